"""A latency table from measurements of whole networks, and what its error is at how many of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from config_file.progress import progress
from lookup_tables.cost_table import CostTable, distinct_blocks
from lookup_tables.latency.accuracy import Accuracy, judge
from lookup_tables.latency.block_features import block_counts, block_features, timed_blocks
from lookup_tables.latency.fitting import LEAST, Fit, fit_blocks
from lookup_tables.latency.measurements import Measurements
from lookup_tables.table_file import Entry
from supernet import SearchSpace
from supernet.metrics import LATENCY

SIZES = (30, 100, 300, 1000)
FOLDS = 5
REPEATS = 3
LEAST_HELD_OUT = 10

Vector = NDArray[np.float64]


class CurvePoint(NamedTuple):
    """Held-out error of fits to so many measurements: medians over repetitions, and the range of the error.

    Args:
        measurements: that each was fitted to.
        spearman, mape: medians; the latter in percent.
        least, most: MAPE of the best and of the worst repetition.
        held_out: networks that they were judged on.
    """

    measurements: int
    spearman: float
    mape: float
    least: float
    most: float
    held_out: int


class Problem(NamedTuple):
    """Measured networks as `fit_blocks` takes them: counts (N, P), features (P, F) and milliseconds (N,)."""

    counts: Vector
    features: Vector
    ms: Vector

    def fit(self, rows: NDArray[np.intp]) -> Fit:
        """Fit to some of the networks."""
        return fit_blocks(self.counts[rows], self.features, self.ms[rows])

    def judge(self, fit: Fit, rows: NDArray[np.intp]) -> Accuracy:
        """How well a fit predicts some of the networks."""
        return judge(fit.predict(self.counts[rows]), self.ms[rows])


def as_problem(space: SearchSpace, resolution: int, measurements: Measurements) -> Problem:
    """Measurements of a space's networks at a resolution, ready to be fitted to."""
    counts = block_counts(space, resolution, measurements.architectures)
    return Problem(counts, block_features(timed_blocks(space, resolution)), measurements.ms)


def cross_validated(problem: Problem, seed: int = 0, folds: int = FOLDS) -> Accuracy:
    """Predictions of every network by a fit to the other folds, judged together.

    Raises:
        UserError: too few measurements.
    """
    order = np.random.default_rng(seed).permutation(len(problem.ms))
    predicted = np.empty(len(problem.ms))
    if len(order) - -(-len(order) // folds) < LEAST:
        raise UserError(f"{len(order)} measurements are too few to fit block costs to and to hold some out")
    for fold in range(folds):
        held_out = order[fold::folds]
        predicted[held_out] = problem.fit(np.setdiff1d(order, held_out)).predict(problem.counts[held_out])
    return judge(predicted, problem.ms)


def learning_curve(
    problem: Problem, seed: int = 0, sizes: Sequence[int] = SIZES, repeats: int = REPEATS, show_progress: bool = False
) -> list[CurvePoint]:
    """Held-out error by number of measurements, on random halves and smaller parts of them.

    Args:
        sizes: numbers of measurements; those that leave fewer than LEAST_HELD_OUT to judge on are left out. Where none
            is left, half of the measurements are fitted to.
        repeats: random choices of each.
    """
    total = len(problem.ms)
    usable = [size for size in sizes if LEAST <= size <= total - LEAST_HELD_OUT] or [total // 2]
    jobs = [(size, repeat) for size in usable for repeat in range(repeats)]
    found: dict[int, list[Accuracy]] = {size: [] for size in usable}
    for size, repeat in progress(jobs, "fitting", "fit") if show_progress else jobs:
        order = np.random.default_rng([seed, repeat]).permutation(total)
        found[size].append(problem.judge(problem.fit(order[:size]), order[size:]))
    return [_point(size, accuracies) for size, accuracies in found.items()]


def fit_table(
    space: SearchSpace, resolution: int, measurements: Measurements, *, device: str | None = None, seed: int = 0
) -> CostTable:
    """A latency table from measured networks.

    An entry's count is the number of measured networks that hold the block: with 0, its value is the prior's alone.

    Args:
        device: what was measured, in words.
        seed: of the folds of its self-check.

    Raises:
        UserError: too few measurements, or all the same.
    """
    problem = as_problem(space, resolution, measurements)
    check = cross_validated(problem, seed)
    fit = fit_blocks(*problem)
    times = dict(zip(timed_blocks(space, resolution), fit.values, strict=True))
    held = dict(zip(times, (problem.counts > 0).sum(0), strict=True))
    entries = {}
    for key in distinct_blocks(space, resolution):
        value = float(times.get(key, 0.0))
        entries[key] = Entry(value, value, 0, int(held.get(key, 0)))
    return CostTable(
        space,
        LATENCY,
        resolution,
        entries,
        counted="milliseconds per image, solved for from measured networks",
        counter="fit",
        counter_version="1",
        device=device,
        offset=fit.offset,
        self_check={
            "spearman": round(check.spearman, 4),
            "mape_percent": round(check.mape, 3),
            "networks": check.networks,
            "how": f"{FOLDS}-fold cross-validation",
        },
    )


def _point(size: int, accuracies: Sequence[Accuracy]) -> CurvePoint:
    errors = [accuracy.mape for accuracy in accuracies]
    return CurvePoint(
        size,
        float(np.median([accuracy.spearman for accuracy in accuracies])),
        float(np.median(errors)),
        min(errors),
        max(errors),
        accuracies[0].networks,
    )
