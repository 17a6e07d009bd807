"""The picture of a search: every evaluation as accuracy against cost, and the best so far."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from config_file.files import atomic_path
from lookup_tables.limits import Limit, Limits
from search.objectives import ACCURACY, Objective
from search.pareto import front_over_cost
from search.result import Result

INK, MUTED, ACCENT, FRONT = "#1f2933", "#7b8794", "#d64545", "#243b53"


def draw_search(
    path: Path,
    results: Sequence[Result],
    best: Result,
    constraint: Limits,
    title: str,
    metric: Objective = ACCURACY,
    method: str = "inherited weights",
    confirmed: Result | None = None,
) -> None:
    """Write `accuracy_vs_cost.png`.

    Args:
        results: in the order of evaluation, failed ones included.
        constraint: the limits, and the table whose cost is the x-axis.
        metric: on the y-axis.
        method: what it was measured with, for people.
        confirmed: the best one as it was judged by what nothing was selected by; it is shown there then, with the
            interval, which the score it was selected by has none of.
    """
    limit = constraint.first
    assert limit is not None
    name, unit = limit.table.name, limit.table.metric.per_flag
    word = limit.table.metric.axis(name)
    shown = [(number, result) for number, result in enumerate(results, start=1) if not result.failed]
    order = np.array([number for number, _ in shown])
    cost = np.array([result.cost[name] for _, result in shown]) / unit
    values = np.array([metric.shown(metric.value(result)) for _, result in shown])
    allowed = np.array([constraint.allows(result.architecture) for _, result in shown])

    figure = Figure(figsize=(11.5, 5.4), layout="constrained")
    axes = figure.subplot_mosaic([["range", "."], ["cost", "best"]], width_ratios=(1.75, 1), height_ratios=(0.05, 1))
    figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold", color=INK)
    _range(axes["range"], limit, best.cost[name] / unit, unit, word)
    _metric_against_cost(axes["cost"], order, cost, values, allowed, metric)
    _chosen(axes["cost"], best, confirmed, metric, best.cost[name] / unit)
    _limits(axes["cost"], limit, unit)
    axes["cost"].set_xlabel(word, color=INK)
    axes["cost"].set_ylabel(metric.axis(method), color=INK)
    axes["cost"].legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=4,
        frameon=False,
        fontsize=9,
        borderaxespad=0.2,
        columnspacing=1.4,
    )
    axes["best"].sharey(axes["cost"])
    _best_so_far(axes["best"], order, np.where(allowed, values, math.nan), len(results), metric)
    for panel in (axes["cost"], axes["best"]):
        tidy(panel)
        panel.spines[["left", "bottom"]].set_color(MUTED)
        panel.tick_params(colors=MUTED, labelcolor=INK, labelsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)


def tidy(axes: Any) -> None:
    """A plain grid, and no frame above and on the right."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)


def _range(axes: Any, limit: Limit, chosen: float, unit: float, word: str) -> None:
    """A strip from the space's least to its greatest cost, with the feasible part filled."""
    minimum, maximum = limit.table.minimum()[0] / unit, limit.table.maximum()[0] / unit
    low, high = max(minimum, limit.lower / unit), min(maximum, limit.upper / unit)
    axes.barh(0, maximum - minimum, left=minimum, color="#e4e7eb", height=1)
    axes.barh(0, high - low, left=low, color="#8fb3d9", height=1)
    axes.plot(chosen, 0, "*", color=ACCENT, markersize=10, markeredgecolor="white", markeredgewidth=0.5)
    axes.set_xlim(minimum, maximum)
    axes.set_yticks([])
    wide = maximum - minimum
    ends = [at for at in (low, high) if min(at - minimum, maximum - at) > 0.09 * wide]
    axes.set_xticks([minimum, *ends, maximum], [f"{at:.4g}" for at in (minimum, *ends, maximum)])
    axes.tick_params(length=0, labelsize=8.5, labelcolor=INK, pad=2)
    axes.spines[:].set_visible(False)
    axes.set_title(
        f"{limit.table.space.name}: {word}, feasible part filled", fontsize=9, color=MUTED, loc="left", pad=3
    )


def _metric_against_cost(
    axes: Any, order: np.ndarray, cost: np.ndarray, values: np.ndarray, allowed: np.ndarray, metric: Objective
) -> None:
    colours = ScalarMappable(Normalize(1, max(2, int(order.max()))), "viridis_r")
    if not allowed.all():
        axes.scatter(
            cost[~allowed], values[~allowed], c=MUTED, marker="x", s=18, linewidths=0.8, label="outside the limits"
        )
    axes.scatter(cost[allowed], values[allowed], c=colours.to_rgba(order[allowed]), s=22, linewidths=0, alpha=0.75)
    losses = -values if metric.maximise else values
    front = np.flatnonzero(allowed)[front_over_cost(cost[allowed], losses[allowed])]
    axes.step(cost[front], values[front], where="post", color=FRONT, linewidth=1.4, label="best at or below this cost")
    axes.margins(0.05, 0.07)
    bar = axes.figure.colorbar(colours, ax=axes, pad=0.015, aspect=32)
    bar.set_label("evaluation", color=INK, fontsize=9)
    bar.ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=8)
    bar.outline.set_visible(False)


def _chosen(axes: Any, best: Result, confirmed: Result | None, metric: Objective, cost: float) -> None:
    judged = confirmed or best
    value = metric.shown(metric.value(judged))
    if confirmed is not None and confirmed.interval is not None:
        low, high = map(metric.shown, confirmed.interval)
        axes.errorbar(cost, value, [[value - low], [high - value]], color=ACCENT, capsize=3, zorder=4)
    how = "chosen, not confirmed" if confirmed is None else "chosen, confirmed"
    words = f"{how}: {metric.in_words(metric.value(judged))} at {cost:.4g}"
    axes.plot(
        cost, value, "*", color=ACCENT, markersize=16, markeredgecolor="white", linestyle="none", zorder=5, label=words
    )


def _limits(axes: Any, limit: Limit, unit: float) -> None:
    left, right = axes.get_xlim()
    wide = right - left
    for end, outwards, word in ((limit.upper / unit, 1, "target"), (limit.lower / unit, -1, "minimum")):
        # A limit far from everything evaluated would squeeze the points together.
        if left - wide < end < right + wide:
            left, right = min(left, end - 0.04 * wide), max(right, end + 0.04 * wide)
            axes.axvline(end, color=ACCENT, linewidth=1.2, linestyle=(0, (5, 3)), label=f"{word} {end:.4g}")
            axes.axvspan(end, end + outwards * 10 * wide, color=ACCENT, alpha=0.06, linewidth=0)
    axes.set_xlim(left, right)


def _best_so_far(axes: Any, order: np.ndarray, values: np.ndarray, count: int, metric: Objective) -> None:
    axes.scatter(order, values, s=8, color=MUTED, alpha=0.45, linewidths=0)
    best = (np.fmax if metric.maximise else np.fmin).accumulate(values)
    axes.step([*order, count], [*best, best[-1]], where="post", color=ACCENT, linewidth=1.8)
    axes.set_xlim(0, count + 1)
    axes.set_xlabel("evaluations", color=INK)
    axes.set_title("best so far", fontsize=9, color=MUTED, loc="left")
