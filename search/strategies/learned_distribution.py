"""A learned distribution as a strategy: the architecture that was derived from it first, then draws."""

from collections.abc import Sequence
from random import Random
from typing import ClassVar

import numpy as np

from search.problem import Problem
from search.result import Result
from search.strategies.limited_draws import LimitedDraws
from supernet import Architecture
from supernet.derivation import derive_within, independent
from training.differentiable_search.options import GradientOptions

TRIES = 1000  # draws per sample, most rejected where limits are tight, after which no other is likely within the limits


class LearnedDistribution:
    """The derived architecture first, then `a_samples` draws without repetition; all within the limits.

    Fewer where the distribution has no more within the limits. It is the distribution of the problem.

    Raises:
        UserError: nothing is within all limits.
    """

    Options = GradientOptions
    front: ClassVar[bool] = False
    needs_distribution: ClassVar[bool] = True
    takes_candidates: ClassVar[bool] = False

    def __init__(self, problem: Problem, options: GradientOptions, seed: int) -> None:
        assert problem.distribution is not None, "what it draws from is to be learned first"
        self.size = options.a_samples + 1
        self._space, self._limits = problem.space, problem.limits
        self._distribution = problem.distribution
        self._draws = LimitedDraws(self._distribution.log_probabilities, self._limits.bounds())
        self._rng = Random(seed)
        self._visited: set[Architecture] = set()
        self._ended = False
        self._derived = self._derive()

    def _derive(self) -> Architecture:
        """The architecture that training derived, or, where it is not within the limits, the most probable that is."""
        derived = self._distribution.derived
        if not self._limits.allows(derived):
            scores = self._distribution.log_probabilities
            derived = derive_within(self._space.sizes, independent(scores), self._limits.bounds())
        return self._space.canonical(derived)

    def ask(self, n: int) -> list[Architecture]:
        proposals: list[Architecture] = []
        if not self._visited:
            self._visited.add(self._derived)
            proposals.append(self._derived)
        while len(proposals) < n and len(self._visited) < self.size and not self._ended:
            drawn = self._draw()
            if drawn is None:
                self._ended = True
            else:
                self._visited.add(drawn)
                proposals.append(drawn)
        return proposals

    def tell(self, results: Sequence[Result]) -> None:
        """Nothing is learned any more."""

    retell = tell

    def _draw(self) -> Architecture | None:
        generator = np.random.default_rng(self._rng.getrandbits(64))
        for _ in range(TRIES):
            drawn = self._draws(generator)
            if drawn is None:
                continue
            canonical = self._space.canonical(drawn)
            if canonical not in self._visited and self._limits.allows(canonical):
                return canonical
        return None
