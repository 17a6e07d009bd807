"""The agreement that the noise of training leaves room for, where networks were trained several times.

A truth that is the mean of k trainings is not exact either, so that no score reaches a tau of 1 or a regret of 0. One
training against another is no ceiling: the mean of k is less noisy, and a predictor may agree with it better than
another training does. The ceiling is what knowing every network's expected accuracy would reach.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from search.ranking.agreement import TOP_K, Agreement
from search.ranking.statistics import (
    Estimate,
    Floats,
    drawn_with_replacement,
    estimate,
    kendall_tau,
    spearman_rho,
    stratified_taus,
    top_k_regret,
)

DRAWS = 50
"""Simulations of a truth."""

NEIGHBOURS = 50  # at least, of similar accuracy, whose variances are averaged: three trainings alone say little
EXPECTED = float("inf")
"""As many trainings as give the expectation."""

STATISTICS = (kendall_tau, spearman_rho, *map(top_k_regret, TOP_K))


def trainings_agree(seeds: Floats, seed: int = 0, resamples: int = 100) -> list[Agreement]:
    """The references of a ranking whose truth is the mean of k trainings, in ascending order of what they know.

    Args:
        seeds: (networks, k) accuracies in points, NaN where a training is missing.
        seed: of the simulation, and of the resampled networks.
        resamples: of the intervals that tau has where trainings are compared.

    Returns:
        One training against another; the mean of all but one against that one, a lower bound of the ceiling, where k is
        three and more; and the ceiling, simulated. [] where fewer than three networks have two trainings.
    """
    whole = seeds[np.isfinite(seeds).sum(1) >= 2]
    if len(whole) < 3:
        return []
    k = whole.shape[1]
    pairs = [(whole[:, [a]], whole[:, b]) for a, b in combinations(range(k), 2)]
    rows = [_mean("one training against another", pairs, resamples, seed)]
    if k >= 3:
        rest = [(np.delete(whole, left_out, 1), whole[:, left_out]) for left_out in range(k)]
        rows.append(_mean(f"the mean of {k - 1} against another one", rest, resamples, seed))
    rows.append(simulated(seeds, EXPECTED, seed))
    return [row for row in rows if np.isfinite(row.tau.value)]


def simulated(seeds: Floats, trainings: float, seed: int = 0) -> Agreement:
    """The agreement of `trainings` further trainings of every network with the truth, the mean of those there are.

    The observed means are taken for the expected accuracies; around them both sides are drawn with the variance within
    networks, averaged over networks of similar accuracy (in its own order, since bad networks vary more). On
    NAS-Bench-Macro this gives a tau of 0.880 for one training against another, where 0.881 is observed.

    Args:
        seeds: (networks, k) accuracies in points, NaN where a training is missing.
        trainings: EXPECTED gives the ceiling.
        seed: of the draws.
    """
    seeds = seeds[np.isfinite(seeds).any(1)]
    expected, deviation = np.nanmean(seeds, axis=1), np.sqrt(within_variance(seeds))
    known = np.isfinite(seeds).sum(1)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(DRAWS):
        truth = expected + deviation / np.sqrt(known) * rng.normal(size=len(expected))
        scores = expected + deviation / np.sqrt(trainings) * rng.normal(size=len(expected))
        found.append([statistic(scores, truth) for statistic in STATISTICS])
    name = "ceiling: expected accuracies" if trainings == EXPECTED else f"{trainings:g} further trainings"
    return _row(f"{name}, simulated", found)


def within_variance(seeds: Floats) -> Floats:
    """(networks, k) accuracies -> (networks,) variances of one training, pooled over networks of similar accuracy."""
    count = np.isfinite(seeds).sum(1)
    mean = np.nanmean(seeds, axis=1)
    squares = np.nansum((seeds - mean[:, None]) ** 2, axis=1)
    order = np.argsort(mean, kind="stable")
    half = max(NEIGHBOURS, len(mean) // 20) // 2
    place = np.arange(len(mean))
    low, high = np.clip(place - half, 0, None), np.clip(place + half + 1, None, len(mean))

    def pooled(values: Floats) -> Floats:
        summed = np.concatenate([[0.0], np.cumsum(values[order])])
        return summed[high] - summed[low]

    freedom = pooled(np.maximum(count - 1, 0).astype(np.float64))
    variance = np.empty(len(mean))
    variance[order] = np.divide(pooled(squares), freedom, out=np.zeros(len(mean)), where=freedom > 0)
    return variance


def levels(seeds: Floats, seed: int = 0) -> dict[float, Agreement]:
    """The simulated agreement of 1, 2 and 3 further trainings of every network, and the ceiling."""
    return {trainings: simulated(seeds, trainings, seed) for trainings in (1, 2, 3, EXPECTED)}


def worth(value: float, known: Mapping[float, Agreement], of: Callable[[Agreement], float]) -> str:
    """Words on how many trainings of every network a figure is worth.

    Args:
        value: such as a tau, or the regret of training the first one only.
        known: `levels`.
        of: the same figure of a row.
    """
    one, ceiling = of(known[1]), of(known[EXPECTED])
    sign = 1 if ceiling >= one else -1
    if sign * value >= sign * ceiling:
        return f"as good as the noise of training lets one see ({ceiling:.3g})"
    for trainings, words in ((3, "three trainings"), (2, "two trainings")):
        if sign * value >= sign * of(known[trainings]):
            return f"at least as good as {words} of every network (the most is {ceiling:.3g})"
    start = "as" if sign * value >= sign * one else "not as"
    return f"{start} good as one training of every network ({one:.3g}; the most is {ceiling:.3g})"


def _mean(name: str, pairs: Sequence[tuple[Floats, Floats]], resamples: int, seed: int) -> Agreement:
    """The mean over pairs of (trainings, another one); a network that lacks one of them is left out of a pair.

    The interval of tau is that of its mean over pairs, from the same resampled networks.
    """
    found, taus = [], []
    for some, other in pairs:
        both = np.isfinite(other) & np.isfinite(some).all(1)
        if both.sum() >= 3:
            scores, truth = some[both].mean(1), other[both]
            found.append([statistic(scores, truth) for statistic in STATISTICS])
            samples = drawn_with_replacement(len(truth), resamples, seed)
            taus.append(stratified_taus(scores, truth, [np.arange(len(truth))], samples))
    row = _row(name, found)
    return replace(row, tau=estimate(row.tau.value, np.mean(taus, axis=0))) if taus else row


def _row(name: str, found: Sequence[Sequence[float]]) -> Agreement:
    tau, rho, *regret = map(Estimate, np.mean(found, axis=0).tolist() if found else [float("nan")] * len(STATISTICS))
    return Agreement(name, tau, rho, regret, kind="trainings")
