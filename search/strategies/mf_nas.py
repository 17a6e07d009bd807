"""MF-NAS (Phan and Luong 2024): halving of what a search on a zero-cost score has found, and R-MF-NAS.

The first stage (`search.first_stage`) is a search of its own, by default first-improvement local search on 2,000
untrained networks; the schedule halves what these strategies propose. They differ in what the first stage hands over:
the best by its score, or a third of these, a third of where its walk started and a third of what lay between.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import ClassVar

from config_file.errors import UserError
from search.objectives import single
from search.problem import Problem
from search.result import Result
from search.strategies.walk import Role
from supernet import Architecture


class MfNas:
    """The candidates of the first stage, once, as one population.

    Raises:
        UserError: there are none, or several objectives.
    """

    first_stage: ClassVar[str] = "synflow"
    first_choice: ClassVar[str] = "best"
    name: ClassVar[str] = "mf_nas"
    front: ClassVar[bool] = False

    def __init__(self, problem: Problem, options: object, seed: int) -> None:
        single(problem.objectives, self.name)
        self._candidates = list(dict.fromkeys(filter(problem.limits.allows, problem.candidates)))
        if not self._candidates:
            raise UserError(f"--search-strategy {self.name} halves what a first stage has found: give --first-stage")
        self.size = self.population = len(self._candidates)

    def ask(self, n: int) -> list[Architecture]:
        proposals, self._candidates = self._candidates[:n], self._candidates[n:]
        return proposals

    def tell(self, results: Sequence[Result]) -> None:
        """Nothing is learned: the schedule chooses."""

    retell = tell


class RMfNas(MfNas):
    """The same, of candidates that are spread over the walk of the first stage."""

    first_choice: ClassVar[str] = "spread"
    name: ClassVar[str] = "r_mf_nas"


def spread(
    ranked: Sequence[Architecture], roles: Mapping[Architecture, Role], count: int, rng: Random
) -> list[Architecture]:
    """So many candidates from all over a walk, as R-MF-NAS takes them: of 32 the best 11, 10 starts and 11 between.

    Args:
        ranked: everything that the walk met, the best first.
        roles: of what it stood on, in the order in which it did so; its first start is left out.
        count: of candidates; fewer where there are no more.
    """
    # 1. The best third, rounded up.
    chosen = list(ranked[: -(-count // 3)])
    # 2. A third of starts, rounded down, at random; the first one was random, not an escape.
    starts, middles = (
        [architecture for architecture in list(roles)[1:] if roles[architecture] == role and architecture not in chosen]
        for role in ("start", "middle")
    )
    from_starts = rng.sample(starts, min(count // 3, len(starts)))
    # 3. The rest of what lay between starts and optima, which also stands in for starts that are missing.
    from_middles = rng.sample(middles, min(count - len(chosen) - len(from_starts), len(middles)))
    chosen += from_starts + from_middles
    # 4. A walk that has met too few of both: the next best.
    taken = set(chosen)
    return chosen + [architecture for architecture in ranked if architecture not in taken][: count - len(chosen)]
