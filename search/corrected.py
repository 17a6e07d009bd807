"""Scores corrected for cost: a supernet's error is first of all one of size.

    corrected(i) = ln(rank of score i / N) + ln(rank of cost i / N)

with ranks from 1, the worst, and their mean where there are ties: the aggregation of AZ-NAS (Lee and Ham 2024) of a
score and live multiply-accumulates. There is no weight to tune. Networks that differ in size are told apart by it far
better; among networks of equal cost it is the order of the score itself. So it helps over a whole space, and within a
budget the less the narrower that is.
"""

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options
from search.objectives import Objective
from search.problem import Problem
from search.result import Result
from supernet import Architecture, NetworkSpace, SearchSpace
from supernet.decisions import DecisionSpace
from supernet.liveness import live_costs, live_total
from supernet.metrics import FLOPS

Floats = NDArray[np.float64]

CORRECTED = Objective("corrected", maximise=True, measured=True)


@options("Score")
class ScoreOptions:
    """The score that networks are ordered by."""

    score: str = option(
        "raw", "corrected: for cost, by the sum of the logarithms of the ranks of score and live multiply-accumulates "
        "among all networks that are compared, scores of equal networks averaged. It helps over a whole space; within "
        "a budget what counts is the order among networks of equal cost", choices=("raw", "corrected")
    )  # fmt: skip


class Correction:
    """The corrected scores of a search: ranks among everything that it has evaluated so far.

    So they change as it goes on: strategies are told again what they remember, and what is chosen in the end is chosen
    by ranks among all. They are a function of the results, whether those were made now or before an interruption.

    Args:
        space: of the results.
        objective: that is corrected.
        resolution: height and width of the image, in pixels.

    Raises:
        UserError: a space of which nothing says what its networks cost.
    """

    def __init__(self, space: DecisionSpace, objective: Objective, resolution: int) -> None:
        if not isinstance(space, NetworkSpace):
            raise UserError(f"--score corrected: nothing says what an architecture of {space.name} costs")
        self._space, self._objective = space, objective
        self._shape = space.input_shape[0], resolution, resolution
        self._known: dict[Architecture, tuple[float, Hashable]] = {}

    @property
    def words(self) -> str:
        """The score, for people."""
        return f"{self._objective.name} corrected for live FLOPs, by ranks among all that were evaluated"

    def objectives(self, problem: Problem) -> tuple[Objective, ...]:
        """Those of a problem, with the corrected one in the place of what is corrected."""
        return tuple(CORRECTED if objective == self._objective else objective for objective in problem.objectives)

    def __call__(self, results: Sequence[Result]) -> list[Result]:
        """The results in their order, those that did not fail with the metric of CORRECTED."""
        good = [result for result in results if not result.failed]
        if not good:
            return list(results)
        known = [self._of(result.architecture) for result in good]
        numbers: dict[Hashable, int] = {}
        same = np.array([numbers.setdefault(key, len(numbers)) for _, key in known])
        scores = np.array([self._objective.score(result) for result in good])
        found = iter(corrected(scores, np.array([cost for cost, _ in known]), same).tolist())
        return [
            result if result.failed else replace(result, metrics={**result.metrics, CORRECTED.name: next(found)})
            for result in results
        ]

    def _of(self, architecture: Architecture) -> tuple[float, Hashable]:
        """The live multiply-accumulates of an architecture, and what equal networks have in common."""
        if architecture not in self._known:
            self._known[architecture] = self._live_flops(architecture), self._space.network_key(architecture)
        return self._known[architecture]

    def _live_flops(self, architecture: Architecture) -> float:
        if isinstance(self._space, SearchSpace):
            return float(live_costs(self._space, [architecture], FLOPS.of, self._shape)[0])
        return live_total(self._space.decode(architecture), FLOPS.of, self._shape)


def corrected(scores: Floats, cost: Floats, same: NDArray[np.intp] | None = None) -> Floats:
    """(N,) scores, greater is better, and costs -> (N,) corrected scores, 0 for the greatest of both.

    Args:
        same: (N,) numbers, equal for architectures that are the same network: their scores are averaged first.
    """
    if same is not None:
        means: Floats = (np.bincount(same, scores) / np.bincount(same))[same]
        # Means of equal scores differ in their last digits: what ties must go on tying.
        scores = np.round(means / (float(np.abs(means).max()) or 1.0), 10).astype(np.float64)
    return log_rank(scores) + log_rank(cost)


def log_rank(values: Floats) -> Floats:
    """(N,) -> (N,) logarithms of ranks over N, from ln(1/N) to 0; ties have the mean of their ranks."""
    return np.log(rankdata(values) / len(values))
