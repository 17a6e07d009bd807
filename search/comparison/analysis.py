"""The analysis of a comparison: how far apart the arms are, and whether that is more than chance.

A training is no independent observation of a search: networks differ, and the trainings of one network share what it
is. So the unit is a mean: of each search (over what it found and its trainings), of each random network. With one
search there is one such unit, and the question can only be whether what it found stands out among random networks.
Both comparisons are made at 5 % together (Holm 1979). How often this is wrong: `python -m benchmarks.verdict_rates`.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

LEVEL = 0.05
"""Of both comparisons together, both sides: without any effect at most 2.5 % are a "Yes" and 2.5 % a "No"."""

Test = tuple[Floats, Callable[[float], tuple[Floats, Floats]]]
"""(p, interval of a confidence) of a difference."""


@dataclass(frozen=True)
class Difference:
    """Mean of what was found minus that of others, in the unit of what was compared; of many comparisons arrays.

    Attributes:
        low, high: its interval.
        confidence: of the interval, which is the one that Holm's step decided by: 0 is outside where `shown`.
        p: of the test alone; 1 where nothing varies.
        shown: whether the difference is more than chance.
    """

    mean: Floats
    low: Floats
    high: Floats
    confidence: Floats
    p: Floats
    shown: NDArray[np.bool_]


def compare(found: Floats, random: Floats, baseline: Floats) -> list[Difference]:
    """The differences of what was found from random networks, and from the baseline.

    Args:
        found: (..., K, N, S) K searches, N networks that each found, S trainings of each; what comes before are cases.
        random: (..., M) random networks, not fewer than searches.
        baseline: (..., B) trainings of one network.
    """
    searches = found.mean((-1, -2))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # that accuracies are nearly identical is for the reader to see
        tests = (against_random(searches, random), against_baseline(found, baseline))
        varies = [np.diff(interval(1 - LEVEL), axis=0)[0] > 0 for _, interval in tests]
        p = np.stack([np.where(there, test, 1.0) for there, (test, _) in zip(varies, tests, strict=True)])
        # Holm: the smaller p at half the level, the larger at the whole one if the smaller has passed.
        passed = p.min(0) <= LEVEL / 2
        first = np.arange(2).reshape(2, *[1] * (p.ndim - 1)) == p.argmin(0)
        level = np.where(first | ~passed, LEVEL / 2, LEVEL)
        intervals = [np.where(level[n] == LEVEL, tests[n][1](1 - LEVEL), tests[n][1](1 - LEVEL / 2)) for n in (0, 1)]
    means = (searches.mean(-1) - others.mean(-1) for others in (random, baseline))
    return [
        Difference(mean, low, high, 1 - level[n], p[n], p[n] <= level[n])
        for n, (mean, (low, high)) in enumerate(zip(means, intervals, strict=True))
    ]


def against_random(searches: Floats, random: Floats) -> Test:
    """Student's test. If searching helps nothing, searches and random networks are draws of one population.

    A single search can be put to it. The mean of several trainings varies less than the one of a random network: with
    no fewer random networks than searches that makes the test more careful.
    """
    test = stats.ttest_ind(searches, random, axis=-1)
    return test.pvalue, test.confidence_interval


def against_baseline(found: Floats, baseline: Floats) -> Test:
    """The baseline is one given network, which only its trainings make uncertain.

    One search: so is what it found, Welch's test between trainings, or between the means of several networks. Several:
    what they find varies too. The variance of a training is pooled over all networks, and the degrees of freedom are
    those of the searches, which is never too many (Hsu 1938).
    """
    searches, networks, trainings = found.shape[-3:]
    if searches == 1:
        units = found[..., 0, 0, :] if networks == 1 else found[..., 0, :, :].mean(-1)
        test = stats.ttest_ind(units, baseline, axis=-1, equal_var=False)
        return test.pvalue, test.confidence_interval
    means = found.mean((-1, -2))
    inner = searches * networks * (trainings - 1) * found.var(-1, ddof=1).mean((-1, -2))
    last = baseline.shape[-1]
    training = (inner + (last - 1) * baseline.var(-1, ddof=1)) / (searches * networks * (trainings - 1) + last - 1)
    error = np.sqrt(means.var(-1, ddof=1) / searches + training / last)
    student, mean = stats.t(searches - 1), means.mean(-1) - baseline.mean(-1)

    def interval(confidence: float) -> tuple[Floats, Floats]:
        half = student.ppf((1 + confidence) / 2) * error
        return mean - half, mean + half

    return 2 * student.sf(np.abs(mean / error)), interval


def in_words(difference: Difference, subject: str, others: str) -> str:
    """The verdict of one comparison of accuracies in points.

    Args:
        subject: what was found: "the search" where several were run, "this network" otherwise.
        others: what it is compared with.
    """
    interval = (
        f"{difference.mean:+.2f} points ({100 * difference.confidence:.4g} % interval "
        f"{difference.low:+.2f} to {difference.high:+.2f})"
    )
    if not difference.high > difference.low:
        interval = f"{difference.mean:+.2f} points, among trainings that do not vary"
    if difference.shown and difference.mean > 0:
        return f"Yes: {subject} beats {others} by {interval}."
    if difference.shown:
        return f"No: {subject} is worse than {others}: {interval}."
    return f"No difference shown between {subject} and {others}: {interval}."
