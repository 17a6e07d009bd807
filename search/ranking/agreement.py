"""The agreement of scores with a truth, beside that of costs, and the most that noise leaves room for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from search.ranking.statistics import Estimate, bootstrap, kendall_tau, spearman_rho, top_k_regret

TOP_K = (1, 5, 10)


@dataclass(frozen=True)
class Agreement:
    """The agreement of one kind of score with the truth."""

    name: str
    tau: Estimate
    spearman: Estimate
    regret: list[Estimate]


def compare(
    scores: Mapping[str, NDArray[np.float64]], truth: NDArray[np.float64], resamples: int, seed: int
) -> list[Agreement]:
    """One row per kind of score; all intervals from the same resampled networks."""
    statistics = (kendall_tau, spearman_rho, *map(top_k_regret, TOP_K))
    rows = []
    for name, values in scores.items():
        tau, rho, *regret = (bootstrap(s, values, truth, resamples=resamples, seed=seed) for s in statistics)
        rows.append(Agreement(name, tau, rho, regret))
    return rows


def ceiling(seeds: NDArray[np.float64], resamples: int, seed: int) -> Agreement | None:
    """One training seed (as score) against another (as truth), the mean over pairs; None without two seeds.

    A network that lacks a seed is left out of that seed's pairs.
    """
    rows = []
    for a, b in combinations(range(seeds.shape[1]), 2):
        both = np.isfinite(seeds[:, a]) & np.isfinite(seeds[:, b])
        if both.sum() >= 3:
            rows += compare({"": seeds[both, a]}, seeds[both, b], resamples, seed)
    if not rows:
        return None

    def mean(estimates: Sequence[Estimate]) -> Estimate:
        return Estimate(*np.mean([(e.value, e.low, e.high) for e in estimates], axis=0).tolist())

    return Agreement(
        "noise ceiling: seed against seed",
        mean([row.tau for row in rows]),
        mean([row.spearman for row in rows]),
        [mean([row.regret[k] for row in rows]) for k in range(len(TOP_K))],
    )
