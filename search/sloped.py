"""Scores drawn towards what their cost makes likely: the choice among noisy scores that uses a limit.

A measured score s of a network that costs c is that of the network and an error; what is known beside it is that scores
rise with cost. With m(c) = a + b c fitted to everything that was evaluated, both together say

    E(score | s, c) = m(c) + w (s - m(c)),    w = 1 - error variance / residual variance,

the estimate of Efron and Morris (1975) around a line. Up to a constant it is w s + (1 - w) b c: the score plus the
slope of accuracy on cost, which counts the more the noisier the scores are, and not at all where they are exact. The
slope is Theil and Sen's median (Sen 1968), and never negative; the variance is that of the median deviation, so that a
few networks that learnt nothing move neither.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from scipy.stats import median_abs_deviation, theilslopes

from config_file.errors import UserError
from lookup_tables.limits import Limits
from search.evaluators import Context
from search.objectives import Objective
from search.problem import Problem
from search.rescored import Rescored
from search.result import Result
from search.structure.model import Floats
from search.structure.selection import deviation_of

SLOPED = Objective("sloped", maximise=True, measured=True)

FEWEST = 8
"""Results below which no line is fitted."""

LEAST = 0.05
"""Weight of a score at least, however noisy the scores are."""


class Sloped(Rescored):
    """Scores drawn towards a line over cost, by as much as they are noise.

    The noise is that of the intervals of results: of validation images drawn, where a supernet judges. Without
    intervals scores are taken to be exact.

    Args:
        limits: the first one's cost is what the line is over.
    """

    becomes = SLOPED

    def __init__(self, limits: Limits, objective: Objective) -> None:
        super().__init__(limits.space, objective)
        self._limits = limits

    @classmethod
    def made(cls, problem: Problem, objective: Objective, context: Context) -> Self:
        if problem.limits.first is None:
            raise UserError("--score sloped: scores rise with the limited cost, and nothing is limited (--target-hc)")
        return cls(problem.limits, objective)

    @property
    def words(self) -> str:
        return f"{self.objective.name} drawn towards its line over cost, by the share of it that is noise"

    def scores(self, results: Sequence[Result]) -> Floats:
        cost = self._limits.cost([result.architecture for result in results])
        errors = np.array([deviation_of(result.interval) for result in results])
        return sloped(self.raw(results), cost, float(np.nanmean(errors**2)) if np.isfinite(errors).any() else 0.0)


def sloped(scores: Floats, cost: Floats, noise: float) -> Floats:
    """(N,) scores, greater is better, and costs -> (N,) expected scores.

    Args:
        noise: variance of the scores' errors.
    """
    if len(scores) < FEWEST or noise <= 0 or np.ptp(cost) == 0:
        return scores
    slope = max(0.0, float(theilslopes(scores, cost).slope))
    line = np.median(scores - slope * cost) + slope * cost
    rest = scores - line
    variance = float(median_abs_deviation(rest, scale="normal")) ** 2
    weight = max(LEAST, 1.0 - noise / variance) if variance > 0 else LEAST
    return line + weight * rest
