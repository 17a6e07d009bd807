"""Path samplers: which architectures a training step runs, as pure functions of (seed, step).

Every rank draws the same paths without talking to the others, and a resumed run needs only the step number.
"""

from __future__ import annotations

import random
from typing import Protocol

from config_file.errors import UserError, choose
from config_file.plugins import guarded, is_reference, load_object
from supernet.space import Architecture, SearchSpace


class Sampler(Protocol):
    """What the training loop asks of a sampler: all gradients of one step's paths go into one optimizer step."""

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


class OwnSampler:
    """A sampler of the user's own, held to what a sampler is.

    Args:
        reference: "package.module:callable", called as callable(space, seed).

    Raises:
        UserError: it cannot be loaded or called, or gives anything but `paths_per_step` architectures of the space.
    """

    def __init__(self, reference: str, space: SearchSpace, seed: int) -> None:
        self.reference = reference
        self.space = space
        own = guarded(reference, load_object(reference))(space, seed)
        if not callable(getattr(own, "paths", None)):
            raise UserError(f"--sample-strategy {reference} made a {type(own).__name__} without a method paths(step)")
        self._paths = guarded(reference, own.paths)
        self.paths_per_step = getattr(own, "paths_per_step", 1)
        self.paths(0)  # what is wrong with it is found out now

    def paths(self, step: int) -> list[Architecture]:
        given = self._paths(step)
        if not isinstance(given, list | tuple) or len(given) != self.paths_per_step:
            raise UserError(
                f"--sample-strategy {self.reference}: paths({step}) must be a list of as many architectures as its "
                f"paths_per_step says ({self.paths_per_step}), not {_shown(given)}"
            )
        for path in given:
            if not isinstance(path, tuple) or not self.space.is_valid(path):
                raise UserError(
                    f"--sample-strategy {self.reference}: {_shown(path)} is not an architecture of {self.space.name}, "
                    f"a tuple of {len(self.space.sizes)} indices"
                )
        return list(given)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


SAMPLERS: dict[str, type[UniformSampler] | type[FairSampler]] = {"uniform": UniformSampler, "fair": FairSampler}
"""Samplers by the name users type."""


def make_sampler(name: str, space: SearchSpace, seed: int) -> Sampler:
    """The sampler called `name`, or of the user's own as "package.module:callable".

    Raises:
        UserError: there is none of that name (it gives the nearest one), or the user's own is no sampler.
    """
    if is_reference(name):
        return OwnSampler(name, space, seed)
    return choose("sample strategy", name, SAMPLERS)(space, seed)
