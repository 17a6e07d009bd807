"""Decisions: the choices that an architecture makes, and a space of nothing but decisions.

An architecture is a tuple with one option index per decision. What it builds is another matter: a `SearchSpace` adds
the sites where blocks stand (`supernet.space`), while a table of measured results or a builder of one's own needs no
more than the decisions.
"""

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import numpy as np

from config_file.errors import UserError, nearest
from supernet.canonical import Influence

Architecture = tuple[int, ...]
"""One option index per decision of a space."""

CONNECTION = ("none", "skip")
"""The options of a decision about a connection: it is there or not."""

TRIES = 10**5
"""Draws after which a space that allows none of them is given up."""


@dataclass(frozen=True)
class Decision:
    """Something a strategy chooses: a name and the names of its options."""

    name: str
    options: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class DecisionSpace:
    """A space of architectures: what strategies, limits and tables need to know of it.

    Raises:
        ValueError: two decisions of one name, or a decision without options or with two of one name.
    """

    name: str
    decisions: tuple[Decision, ...]

    def __post_init__(self) -> None:
        try:
            self._check()
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    def _check(self) -> None:
        """Raise ValueError, naming the culprit, if this cannot be a space."""
        check_names("decision", [decision.name for decision in self.decisions])
        for decision in self.decisions:
            if not decision.options or len(set(decision.options)) < len(decision.options):
                raise ValueError(f"{decision.name}: its options need different names, at least one")

    # ---- size

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of options of each decision."""
        return tuple(len(decision.options) for decision in self.decisions)

    @property
    def size(self) -> int:
        """Number of encodings, exactly."""
        return prod(self.sizes)

    @property
    def num_canonical(self) -> int:
        """Number of architectures that differ in a decision that matters, exactly."""
        return self.size

    # ---- encodings

    def sample(self, rng: random.Random) -> Architecture:
        """An architecture uniformly at random over the encodings that the space allows.

        Raises:
            UserError: none was found.
        """
        draw = rng.random  # a float is drawn several times as fast as an integer, and is off by 2^-53 at most
        for _ in range(TRIES):
            drawn = tuple([int(draw() * size) for size in self.sizes])
            if self.allows(drawn):
                return drawn
        raise UserError(f"{self.name}: of {TRIES:,} encodings that were drawn it allows none")

    def enumerate(self) -> Iterator[Architecture]:
        """Every encoding that the space allows, lazily, in lexicographic order."""
        return filter(self.allows, product(*map(range, self.sizes)))

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """All architectures that differ in exactly one decision."""
        return [
            (*architecture[:position], option, *architecture[position + 1 :])
            for position, size in enumerate(self.sizes)
            for option in range(size)
            if option != architecture[position]
        ]

    def mutate(self, architecture: Architecture, rng: random.Random, probability: float) -> Architecture:
        """Each decision changes, with `probability`, to a different option drawn uniformly."""
        draw = rng.random
        return tuple(
            [
                (option + 1 + int(draw() * (size - 1))) % size if draw() < probability and size > 1 else option
                for option, size in zip(architecture, self.sizes, strict=True)
            ]
        )

    def crossover(self, first: Architecture, second: Architecture, rng: random.Random) -> Architecture:
        """Uniform crossover: each decision from either parent with probability one half."""
        return tuple(rng.choice(pair) for pair in zip(first, second, strict=True))

    def is_valid(self, architecture: Sequence[int]) -> bool:
        """True for an encoding of the space: one index per decision, each of an option that is there."""
        return len(architecture) == len(self.sizes) and all(
            isinstance(option, (int, np.integer)) and 0 <= option < size
            for option, size in zip(architecture, self.sizes, strict=True)
        )

    def names(self, architecture: Architecture) -> list[str]:
        """The option names of an architecture, one per decision."""
        return [decision.options[option] for decision, option in zip(self.decisions, architecture, strict=True)]

    def parse(self, options: Sequence[str | int]) -> Architecture:
        """An architecture from option names or indices. Raises UserError saying which entry is wrong, and why."""
        if isinstance(options, str) or not isinstance(options, Sequence):
            raise UserError(f"an architecture is a list of {len(self.sizes)} options (names or indices)")
        if len(options) != len(self.sizes):
            raise UserError(f"{self.name} has {len(self.sizes)} decisions, the architecture has {len(options)} entries")
        parsed = []
        for position, (option, decision) in enumerate(zip(options, self.decisions, strict=True)):
            if isinstance(option, str) and option in decision.options:
                parsed.append(decision.options.index(option))
            elif isinstance(option, (int, np.integer)) and not isinstance(option, bool):
                if not 0 <= option < len(decision.options):
                    raise UserError(
                        f"architecture entry {position} ({decision.name}): index {option} is not in "
                        f"0..{len(decision.options) - 1}"
                    )
                parsed.append(int(option))
            else:
                raise UserError(
                    f"architecture entry {position} ({decision.name}): unknown option {option!r}"
                    f"{nearest(str(option), decision.options)} (options: {', '.join(decision.options)})"
                )
        if not self.allows(parsed):
            raise UserError(f"{self.name} does not allow the architecture {' '.join(map(str, options))}")
        return tuple(parsed)

    def are_names(self, words: Sequence[str | int]) -> bool:
        """True if there is a word for each decision, and all of them are names of its options."""
        return len(words) == len(self.decisions) and all(
            word in decision.options for word, decision in zip(words, self.decisions, strict=True)
        )

    def allows(self, architecture: Sequence[int]) -> bool:
        """True for an encoding that the space counts as one of its architectures; all of them, unless it says so."""
        return True

    # ---- what matters

    @property
    def conditional(self) -> Mapping[int, Influence]:
        """The decisions that do not matter in every architecture, and where they act."""
        return {}

    def matters(self, architecture: Sequence[int], decision: int) -> bool:
        """True if the decision, given the others, changes anything."""
        return True

    def canonical(self, architecture: Architecture) -> Architecture:
        """The same result with every decision that does not matter set to 0."""
        return tuple(architecture)

    def encode(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """(N, D) float array of option indices for predictors; a decision that does not matter is -1."""
        rows = [
            [option if option or self.matters(row, decision) else -1 for decision, option in enumerate(row)]
            for row in map(self.canonical, architectures)
        ]
        return np.array(rows, dtype=np.float64).reshape(len(architectures), len(self.sizes))

    # ---- fingerprint

    @cached_property
    def decisions_fingerprint(self) -> str:
        """Architectures can be exchanged between spaces with the same one."""
        return digest([[decision.name, list(decision.options)] for decision in self.decisions])


def check_names(what: str, names: Sequence[str]) -> None:
    """Raise ValueError if two are the same."""
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two {what}s are called {name!r}")


def digest(data: Any) -> str:
    """The fingerprint of JSON data: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()[:16]
