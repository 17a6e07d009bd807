"""Proposals drawn from a controller, and the strategy that only ranks those of one trained with the supernet."""

from collections.abc import Mapping
from typing import ClassVar

import torch

from config_file.fields import option
from config_file.options import options
from search.problem import Problem
from search.strategies.breeding import Breeding, one_on_average
from search.strategies.generation import Generational, Scores, Told
from supernet import Architecture
from supernet.controllers import Controller

ROUNDS = 4  # of samples without anything new, before a mutant of one is proposed
MUTANTS = 30  # then a random architecture takes its place


class ControllerDraws(Generational):
    """The base of strategies that propose what a controller draws: what is new and within the limits.

    Where a few rounds of draws bring nothing new, a mutant of a draw is proposed, and where none fits, a random
    architecture.
    """

    takes_candidates: ClassVar[bool] = False

    def __init__(self, problem: Problem, seed: int, controller: Controller, samples: int) -> None:
        super().__init__(problem, seed)
        self.controller, self.samples = controller, samples
        self.drawn: list[Architecture] = []
        """Canonical draws, those outside the limits and known ones included."""

    def propose(self) -> list[Architecture]:
        for _ in range(ROUNDS):
            drawn = self._draw()
            self.drawn += drawn
            fresh = [a for a in dict.fromkeys(drawn) if a not in self.visited and self.limits.allows(a)]
            if fresh:
                return fresh
        attempts = range(MUTANTS)
        mutant = Breeding(
            self.limits, self.rng, lambda: self.rng.choice(self.drawn), self.visited, attempts, mutation=one_on_average
        ).child()
        found = self.limits.sample_distinct(self.rng, 1, self.visited) if mutant is None else [mutant]
        self.drawn += found
        return found

    def _draw(self) -> list[Architecture]:
        """Samples of the controller."""
        generator = torch.Generator().manual_seed(self.rng.getrandbits(60))
        return [self.space.canonical(tuple(row)) for row in self.controller.sample(self.samples, generator).tolist()]


@options("ENAS")
class ControllerOptions:
    """Samples of a trained controller."""

    controller_samples: int = option(
        50, "different architectures drawn from the controller, ranked by validation", at_least=1, at_most=10**6
    )


class TrainedController(ControllerDraws):
    """ENAS's search (Pham et al. 2018, section 2.2): samples of the controller that was trained with the supernet.

    It is the controller of the problem, and learns nothing any more.
    """

    Options = ControllerOptions
    needs_controller: ClassVar[bool] = True

    def __init__(self, problem: Problem, options: ControllerOptions, seed: int) -> None:
        assert problem.controller is not None, "it is trained with the supernet"
        super().__init__(problem, seed, problem.controller, options.controller_samples)
        self.size = options.controller_samples

    def propose(self) -> list[Architecture]:
        return super().propose()[: self.samples - len(self.visited)]

    def learn(self, told: Told) -> None:
        """Nothing is learned any more."""

    def remember(self, scores: Mapping[Architecture, Scores]) -> None:
        """Nothing that scores could change."""
