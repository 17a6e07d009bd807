"""The picture of a ranking: score against accuracy, and the tau of every score and baseline with its interval."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from config_file.files import atomic_path
from search.ranking.agreement import Agreement
from search.ranking.baselines import EQUAL_COST
from search.ranking.statistics import Floats
from search.reporting.picture import ACCENT, INK, MUTED, tidy


def draw(
    path: Path, scores: Floats, truth: Floats, best: int, title: str, axis: str, rows: Sequence[Agreement]
) -> None:
    """Write the picture as PNG.

    Args:
        scores: (N,) as they are shown.
        truth: (N,) accuracies in percent.
        best: the position of the greatest score.
        title: above the networks.
        axis: below them.
        rows: what is compared, in the order from the top to the bottom.
    """
    figure = Figure(figsize=(12.0, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.scatter(scores, truth, s=10, color=INK, alpha=0.35, linewidths=0)
    left.plot(scores[best], truth[best], "*", color=ACCENT, markersize=14, label="greatest score")
    left.set_xlabel(axis, color=INK)
    left.set_ylabel("accuracy trained alone (%)", color=INK)
    left.set_title(title, fontsize=9, color=MUTED, loc="left")
    left.legend(frameon=False, loc="lower right")
    places = np.arange(len(rows))[::-1]
    for group, offset, marker, label in (("all", 0.12, "o", "all networks"), (EQUAL_COST, -0.12, "d", EQUAL_COST)):
        taus = [row.tau_in(group) for row in rows]
        colour = [ACCENT if row.kind == "score" else INK if row.kind == "baseline" else MUTED for row in rows]
        if all(np.isnan(tau.value) for tau in taus):
            continue
        right.scatter([tau.value for tau in taus], places + offset, c=colour, s=26, marker=marker, label=label)
        right.hlines(places + offset, [tau.low for tau in taus], [tau.high for tau in taus], colors=colour, linewidth=1)
    right.set_yticks(places, [row.name for row in rows], fontsize=8)
    right.set_xlabel("Kendall τ-b, 95 % intervals", color=INK)
    right.set_title("scores, baselines, and what trainings agree on", fontsize=9, color=MUTED, loc="left")
    right.legend(frameon=False, loc="best", fontsize=8)
    for axes in (left, right):
        tidy(axes)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
