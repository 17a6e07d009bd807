"""Random search: uniformly drawn architectures within the cost limits (Li and Talwalkar 2019 make it the baseline)."""

from collections import deque
from collections.abc import Sequence
from random import Random
from typing import ClassVar

from config_file.fields import option
from config_file.options import options
from search.problem import Problem
from search.result import Result
from search.strategies.shared_options import DedupOptions
from supernet import Architecture


@options("Strategy")
class RandomOptions(DedupOptions):
    """The length of a random search."""

    random_iteration: int = option(1000, "architectures that random evaluates", at_least=1, at_most=10**8)


class RandomSearch:
    """`random_iteration` architectures, without replacement if `dedup`; fewer where the space has no more."""

    Options = RandomOptions
    random_start: ClassVar[str] = "random_iteration"
    front: ClassVar[bool] = False

    def __init__(self, problem: Problem, options: RandomOptions, seed: int) -> None:
        self.size = options.random_iteration
        self._limits, self._dedup = problem.limits, options.dedup
        self._rng = Random(seed)
        self._candidates = deque(problem.candidates)
        self._proposed = 0
        self._visited: set[Architecture] = set()

    def ask(self, n: int) -> list[Architecture]:
        proposals: list[Architecture] = []
        while len(proposals) < n and self._proposed < self.size:
            architecture = self._next()
            if architecture is None:
                break
            self._visited.add(architecture)
            self._proposed += 1
            proposals.append(architecture)
        return proposals

    def _next(self) -> Architecture | None:
        """A candidate of a first stage, else a random one."""
        while self._candidates:
            candidate = self._candidates.popleft()
            if candidate not in self._visited and self._limits.allows(candidate):
                return candidate
        return self._limits.sample(self._rng, self._visited if self._dedup else frozenset())

    def tell(self, results: Sequence[Result]) -> None:
        """Random search learns nothing."""

    retell = tell
