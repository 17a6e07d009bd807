"""Statistics of ranking: Kendall's tau-b, Spearman's rho, top-k regret, with bootstrap intervals."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Statistic = Callable[[Floats, Floats], float]


def kendall_tau(scores: Floats, truth: Floats) -> float:
    """Kendall's tau-b (ties in either count for neither side); NaN where one of them is constant."""
    return float(stats.kendalltau(scores, truth).statistic)


def spearman_rho(scores: Floats, truth: Floats) -> float:
    """Spearman's rank correlation; NaN where one of them is constant."""
    if np.ptp(scores) == 0 or np.ptp(truth) == 0:
        return float("nan")
    return float(stats.spearmanr(scores, truth).statistic)


def top_k_regret(k: int) -> Statistic:
    """The loss of training only the k networks of the greatest scores: best truth of all minus best of those.

    Of equal scores the order is arbitrary, so the expectation over it is given: what a search that breaks ties at
    random loses on average.
    """

    def regret(scores: Floats, truth: Floats) -> float:
        count = min(k, len(scores))
        cut = np.sort(scores)[::-1][count - 1]
        sure = truth[scores > cut]
        tied = np.sort(truth[scores == cut])[::-1]
        open_places = count - len(sure)
        at_least = sure.max() if len(sure) else -np.inf
        # The best of `open_places` drawn from the tied ones is their i-th greatest with this probability.
        left = len(tied)
        expected, remaining = 0.0, 1.0
        for position, value in enumerate(tied):
            chance = min(1.0, open_places / (left - position)) * remaining
            expected += chance * max(value, at_least)
            remaining -= chance
            if remaining <= 0:
                break
        return float(truth.max() - expected)

    return regret


@dataclass(frozen=True)
class Estimate:
    """A statistic and its 95 % percentile bootstrap interval over networks."""

    value: float
    low: float
    high: float

    def words(self, digits: int = 3) -> str:
        """The numbers for people."""
        return f"{self.value:z.{digits}f} ({self.low:z.{digits}f} to {self.high:z.{digits}f})"


def bootstrap(statistic: Statistic, scores: Floats, truth: Floats, *, resamples: int = 1000, seed: int = 0) -> Estimate:
    """The statistic with the interval that resampling networks, with replacement, gives (Efron and Tibshirani 1993).

    A pair of copies of one network is a tie in both: for tau-b it counts for neither side.
    """
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        drawn = rng.integers(0, len(scores), len(scores))
        values.append(statistic(scores[drawn], truth[drawn]))
    low, high = np.nanquantile(values, (0.025, 0.975)) if not np.all(np.isnan(values)) else (np.nan, np.nan)
    return Estimate(statistic(scores, truth), float(low), float(high))
