"""A strategy of one's own: random architectures, then neighbours of the best, with an option of its own."""

from collections.abc import Sequence
from random import Random

from config_file.fields import option
from config_file.options import options
from search.problem import Problem
from search.result import Result
from search.strategies import STRATEGIES
from supernet import Architecture


class Climber:
    """Asks one architecture at a time."""

    @options("Climber")
    class Options:
        climber_start: int = option(4, "random architectures at the start", at_least=1)

    front = False
    size = None

    def __init__(self, problem: Problem, options: Options, seed: int) -> None:
        self.problem, self.options, self.rng = problem, options, Random(seed)
        self.known: dict[Architecture, float] = {}

    def ask(self, n: int) -> list[Architecture]:
        near: list[Architecture] = []
        if len(self.known) >= self.options.climber_start:
            best = max(self.known, key=lambda architecture: self.known[architecture])
            near = [a for a in self.problem.space.neighbours(best) if a not in self.known]
        allowed = [a for a in near if self.problem.limits.allows(a)]
        drawn = self.rng.choice(allowed) if allowed else self.problem.limits.sample(self.rng, set(self.known))
        return [] if drawn is None else [drawn]

    def tell(self, results: Sequence[Result]) -> None:
        for result in results:
            self.known[result.architecture] = self.problem.objectives[0].score(result)


STRATEGIES["climber"] = Climber
