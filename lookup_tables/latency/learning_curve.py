"""The picture of a fit: held-out error and rank correlation against the number of measured networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from config_file.files import atomic_path
from lookup_tables.latency.fit import CurvePoint


def draw_learning_curve(path: Path, curves: Mapping[str, Sequence[CurvePoint]], title: str) -> None:
    """Write a PNG with one line per curve; the shade is the range over repetitions.

    Args:
        path: where to.
        curves: by what they are called.
        title: one line.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    error, rank = figure.subplots(1, 2)
    figure.suptitle(title, x=0.012, ha="left", fontsize=12, fontweight="bold")
    for name, points in curves.items():
        sizes = [point.measurements for point in points]
        (line,) = error.plot(sizes, [point.mape for point in points], marker="o", label=name)
        low, high = ([getattr(point, end) for point in points] for end in ("least", "most"))
        error.fill_between(sizes, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
        rank.plot(sizes, [point.spearman for point in points], marker="o", color=line.get_color(), label=name)
    error.set_ylabel("mean absolute error, held out (%)")
    error.set_ylim(bottom=0)
    rank.set_ylabel("Spearman, held out")
    for axes in (error, rank):
        axes.set_xscale("log")
        axes.set_xticks(sorted({point.measurements for points in curves.values() for point in points}))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("measured networks")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    if len(curves) > 1:
        rank.legend(frameon=False, fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)
