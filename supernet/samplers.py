"""Path samplers: the architectures of every training step, as pure functions of (seed, step).

Every rank draws the same paths without talking to the others, and a resumed run needs only the step number.
"""

import random
from typing import Protocol

from supernet.decisions import Architecture
from supernet.space import SearchSpace


class Sampler(Protocol):
    """A source of paths for training steps: all gradients of one step's paths go into one optimizer step."""

    paths_per_step: int

    def paths(self, step: int) -> list[Architecture]:
        """The architectures of this step; the same for the same (seed, step)."""
        ...


class UniformSampler:
    """One path per step, every decision uniform and independent (SPOS; Guo et al. 2020)."""

    paths_per_step = 1

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self.space = space
        self.seed = seed

    def paths(self, step: int) -> list[Architecture]:
        return [self.space.sample(random.Random(f"uniform {self.seed} {step}"))]


class FairSampler:
    """Strict fairness (FairNAS; Chu et al. 2021): per step n paths that use every candidate of every layer once.

    n is the largest number of options of any decision. Each decision deals its options from shuffled decks without
    ever stopping: a decision with n options uses one deck per step; one with m < n options has used every option
    equally often after lcm(m, n) paths, and equally often but for one at any time.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self.space = space
        self.seed = seed
        self.paths_per_step = max(space.sizes, default=1)

    def paths(self, step: int) -> list[Architecture]:
        first = step * self.paths_per_step
        dealt = [self._deal(decision, first) for decision in range(len(self.space.sizes))]
        return [tuple(options[path] for options in dealt) for path in range(self.paths_per_step)]

    def _deal(self, decision: int, first: int) -> list[int]:
        """The options of one decision for paths first, first + 1, ... of the whole training."""
        size = self.space.sizes[decision]
        options: list[int] = []
        for deck in range(first // size, (first + self.paths_per_step - 1) // size + 1):
            cards = list(range(size))
            random.Random(f"fair {self.seed} {decision} {deck}").shuffle(cards)
            options += cards
        offset = first % size
        return options[offset : offset + self.paths_per_step]
