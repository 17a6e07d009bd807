"""Path samplers: the architectures of every training step, as pure functions of (seed, step).

Every rank draws the same paths without talking to the others, and a resumed run needs only the step number.
"""

import math
import random
from collections.abc import Sequence
from typing import Protocol

from config_file.errors import UserError
from supernet.decisions import Architecture
from supernet.space import SearchSpace

CHANNELS = ("channels", "width", "inner_width")
"""Last words of the names of decisions among numbers of channels, whose options ascend."""

MOST_PATHS = 128
"""Passes of one step that a least common multiple may come to."""


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
    """Strict fairness (FairNAS; Chu et al. 2021): per step n paths that use every candidate of every layer.

    n is the largest number of options of any decision, or with `multiple` the least common multiple of all numbers.
    Each decision deals its options from shuffled decks without ever stopping. One whose number of options divides n
    uses each equally often in every step, as the paper defines it; any other at least once in every step, equally often
    over lcm(m, n) paths, and equally often but for one at any time.

    Raises:
        UserError: the multiple is above `MOST_PATHS`.
    """

    def __init__(self, space: SearchSpace, seed: int, multiple: bool = False) -> None:
        self.space = space
        self.seed = seed
        self.paths_per_step = math.lcm(*space.sizes) if multiple else max(space.sizes, default=1)
        if multiple and self.paths_per_step > MOST_PATHS:
            numbers = ", ".join(map(str, sorted(set(space.sizes))))
            raise UserError(
                f"{space.name}: its decisions have {numbers} options, whose least common multiple are "
                f"{self.paths_per_step:,} passes per step (at most {MOST_PATHS}); deal to the largest number instead"
            )

    def paths(self, step: int) -> list[Architecture]:
        dealt = [self._deal(decision, step) for decision in range(len(self.space.sizes))]
        return [tuple(options[path] for options in dealt) for path in range(self.paths_per_step)]

    def _deal(self, decision: int, step: int) -> list[int]:
        """The options of one decision for the paths of a step."""
        size, n = self.space.sizes[decision], self.paths_per_step
        # Decks and steps begin together once in a period: what is dealt depends on nothing before it.
        period = math.lcm(size, n)
        place = step % (period // n)
        deck = (step - place) * n // size
        options: list[int] = []
        while len(options) < (place + 1) * n:
            cards = list(range(size))
            random.Random(f"fair {self.seed} {decision} {deck}").shuffle(cards)
            begun = len(options) % n  # cards of this step that came from the deck before
            options += _completing(options[len(options) - begun :], cards, n - begun)
            deck += 1
        return options[place * n : (place + 1) * n]


class WidestFirst:
    """The paths of another sampler, whose choices among channels are the widest for the first steps.

    Blocks are so trained before their channels are chosen, as in channel search on SPOS (Guo et al. 2020).

    Raises:
        UserError: the space has no such choice.
    """

    def __init__(self, sampler: Sampler, space: SearchSpace, steps: int) -> None:
        self.sampler, self.steps, self.paths_per_step = sampler, steps, sampler.paths_per_step
        self.widest = {
            number: len(decision.options) - 1
            for number, decision in enumerate(space.decisions)
            if decision.name.rpartition("/")[2] in CHANNELS
        }
        if not self.widest:
            raise UserError(f"{space.name} has no choice among channels, so that there is nothing to warm up for")

    def paths(self, step: int) -> list[Architecture]:
        """The architectures of this step; numbers below 0 are those of no training."""
        paths = self.sampler.paths(step)
        if not 0 <= step < self.steps:
            return paths
        return [tuple(self.widest.get(number, option) for number, option in enumerate(path)) for path in paths]


def _completing(begun: Sequence[int], deck: Sequence[int], wanted: int) -> list[int]:
    """The deck with all cards that a step lacks among the first `wanted`, which end it; else in its order."""
    missing = [card for card in deck if card not in begun]
    others = [card for card in deck if card in begun]
    first = {*missing, *others[: max(0, wanted - len(missing))]}
    return sorted(deck, key=lambda card: card not in first)  # stable
