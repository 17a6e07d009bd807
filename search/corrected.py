"""Scores corrected for cost: a supernet's error is first of all one of size.

    corrected(i) = ln(rank of score i / N) + ln(rank of cost i / N)

with ranks from 1, the worst, and their mean where there are ties: the aggregation of AZ-NAS (Lee and Ham 2024) of a
score and live multiply-accumulates. There is no weight to tune. Networks that differ in size are told apart by it far
better; among networks of equal cost it is the order of the score itself. So it helps over a whole space, and within a
budget the less the narrower that is.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from config_file.errors import UserError
from search.evaluators import Context
from search.objectives import Objective
from search.problem import Problem
from search.rescored import Rescored
from search.result import Result
from supernet import Architecture, NetworkSpace, SearchSpace
from supernet.decisions import DecisionSpace
from supernet.liveness import live_costs, live_total
from supernet.metrics import FLOPS

Floats = NDArray[np.float64]

CORRECTED = Objective("corrected", maximise=True, measured=True)


class Correction(Rescored):
    """Scores corrected for cost, by ranks among everything that was evaluated.

    Args:
        resolution: height and width of the image, in pixels.

    Raises:
        UserError: a space of which nothing says what its networks cost.
    """

    becomes = CORRECTED

    def __init__(self, space: DecisionSpace, objective: Objective, resolution: int) -> None:
        super().__init__(space, objective)
        if not isinstance(space, NetworkSpace):
            raise UserError(f"--score corrected: nothing says what an architecture of {space.name} costs")
        self._networks, self._shape = space, (space.input_shape[0], resolution, resolution)
        self._costs: dict[Architecture, float] = {}

    @classmethod
    def made(cls, problem: Problem, objective: Objective, context: Context) -> Self:
        return cls(problem.space, objective, context.resolution)

    @property
    def words(self) -> str:
        return f"{self.objective.name} corrected for live FLOPs, by ranks among all that were evaluated"

    def scores(self, results: Sequence[Result]) -> Floats:
        return corrected(self.raw(results), np.array([*map(self._cost, results)]), self.same(results))

    def _cost(self, result: Result) -> float:
        architecture = result.architecture
        if architecture not in self._costs:
            self._costs[architecture] = self._live_flops(architecture)
        return self._costs[architecture]

    def _live_flops(self, architecture: Architecture) -> float:
        if isinstance(self._networks, SearchSpace):
            return float(live_costs(self._networks, [architecture], FLOPS.of, self._shape)[0])
        return live_total(self._networks.decode(architecture), FLOPS.of, self._shape)


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
