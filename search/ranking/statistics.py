"""Statistics of ranking: Kendall's tau-b, Spearman's rho, nDCG and top-k regret, with bootstrap intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import ndcg_score

Floats = NDArray[np.float64]
Statistic = Callable[[Floats, Floats], float]
Stratum = NDArray[np.intp]
"""The positions of the networks of one group."""

Samples = NDArray[np.intp]
"""(resamples, networks): the positions that each resample draws, with replacement."""

PAIRWISE = 1000  # networks up to which all pairs of a stratum are compared at once, for every resample


def kendall_tau(scores: Floats, truth: Floats) -> float:
    """Kendall's tau-b (ties in either count for neither side); NaN where one of them is constant."""
    return float(stats.kendalltau(scores, truth).statistic)


def spearman_rho(scores: Floats, truth: Floats) -> float:
    """Spearman's rank correlation; NaN where one of them is constant."""
    if np.ptp(scores) == 0 or np.ptp(truth) == 0:
        return float("nan")
    return float(np.corrcoef(stats.rankdata(scores), stats.rankdata(truth))[0, 1])


def ndcg(k: int) -> Statistic:
    """The normalised discounted cumulative gain of the k networks of the greatest scores: 1 where they are the best k.

    The gain is 2 to the power of the accuracy in points (Burges et al. 2005): a point less is worth half. Of equal
    scores the expectation over their orders is given. Järvelin and Kekäläinen 2002.
    """

    def gain_found(scores: Floats, truth: Floats) -> float:
        return float(ndcg_score([np.exp2(truth - truth.max())], [scores], k=k))

    return gain_found


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


def stratified_tau(scores: Floats, truth: Floats, strata: Sequence[Stratum]) -> float:
    """Kendall's tau-b within groups, of equal cost for instance: the mean over groups, weighted by their sizes.

    Tau with a blocking variable (Korn, Biometrics 40, 1984; Taylor, Biometrics 43, 1987, has the weights). Scores that
    are the same in all of a group order nothing there, which counts as 0; a group of one network or of equal truths is
    left out. NaN where no group is left.
    """
    everything = np.arange(len(scores), dtype=np.intp)[None]
    return float(stratified_taus(scores, truth, strata, everything)[0])


def stratified_taus(scores: Floats, truth: Floats, strata: Sequence[Stratum], samples: Samples) -> Floats:
    """(resamples,) the same of every resample; networks stay in their groups, which are weighted by what was drawn."""
    total, weight = np.zeros(len(samples)), np.zeros(len(samples))
    counts = np.array([np.bincount(drawn, minlength=len(scores)) for drawn in samples], dtype=np.float32)
    for stratum in strata:
        taus, varies = _taus(scores[stratum], truth[stratum], counts[:, stratum])
        size = np.where(varies, counts[:, stratum].sum(1), 0)
        total += size * np.nan_to_num(taus)
        weight += size
    return np.divide(total, weight, out=np.full(len(samples), np.nan), where=weight > 0)


def _taus(scores: Floats, truth: Floats, counts: NDArray[np.float32]) -> tuple[Floats, NDArray[np.bool_]]:
    """Tau-b of networks counted so many times, (resamples, networks) -> (resamples,), and whether the truth varies."""
    if len(scores) > PAIRWISE:
        repeated = (np.repeat(np.arange(len(scores)), row.astype(int)) for row in counts)
        drawn = [(scores[rows], truth[rows]) for rows in repeated]
        taus = [kendall_tau(*pair) if len(pair[0]) > 1 else np.nan for pair in drawn]
        return np.array(taus), np.array([len(of) > 1 and np.ptp(of) > 0 for _, of in drawn])
    # tau-b = sum of sign(s_i - s_j) sign(t_i - t_j) over pairs / sqrt(pairs untied in s * pairs untied in t). As a
    # quadratic form in the counts all resamples are one product; sums of so few small integers are exact in float32.
    one, other = (np.sign(np.subtract.outer(of, of)).astype(np.float32) for of in (scores, truth))
    agree, untied, untied_truth = (((counts @ pairs) * counts).sum(1) for pairs in (one * other, one**2, other**2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return agree / np.sqrt(untied.astype(np.float64) * untied_truth), untied_truth > 0


@dataclass(frozen=True)
class Estimate:
    """A statistic and its 95 % percentile bootstrap interval over networks."""

    value: float
    low: float = float("nan")
    high: float = float("nan")

    def words(self, digits: int = 3, sign: str = "") -> str:
        """The numbers for people; without an interval the value alone, a dash where there is none."""
        if np.isnan(self.value):
            return "–"
        if np.isnan(self.low):
            return f"{self.value:{sign}z.{digits}f}"
        return f"{self.value:{sign}z.{digits}f} ({self.low:{sign}z.{digits}f} to {self.high:{sign}z.{digits}f})"


def drawn_with_replacement(networks: int, resamples: int, seed: int) -> Samples:
    """(resamples, networks) positions. What is compared is compared on the same ones.

    A pair of copies of one network is a tie in both: for tau-b it counts for neither side.
    """
    rng = np.random.default_rng(seed)
    return np.array([rng.integers(0, networks, networks) for _ in range(resamples)], dtype=np.intp)


def resampled(statistic: Statistic, scores: Floats, truth: Floats, samples: Samples) -> Floats:
    """(resamples,) a statistic of every resample."""
    return np.array([statistic(scores[drawn], truth[drawn]) for drawn in samples])


def estimate(value: float, values: Floats) -> Estimate:
    """A statistic with the interval that its values over resamples give (Efron and Tibshirani 1993)."""
    if np.isnan(values).all():
        return Estimate(value)
    low, high = np.nanquantile(values, (0.025, 0.975))
    return Estimate(value, float(low), float(high))
