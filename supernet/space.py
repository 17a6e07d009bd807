"""SearchSpace: everything that follows from decisions and sites.

An architecture is a tuple with one option index per decision. `select` is its only interpreter: it says which option
stands at each gate, and `trace` lays out what is there. Decode, the supernet, extraction, cost and report read those.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import numpy as np

from config_file.errors import UserError, nearest
from supernet.blocks import Identity, Shape
from supernet.canonical import ALWAYS, Influence, count_canonical, influences, matters
from supernet.counting import count_chain_networks
from supernet.elimination import Factor, Scope, optimum
from supernet.sites import Choice, Decision, Placed, Site, check
from supernet.spec import INPUT, NetSpec, Node, merged_shape

Architecture = tuple[int, ...]
"""One option index per decision of a space."""


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """A search space as data.

    Args:
        name: what people call it.
        decisions: what is chosen; an architecture has one index per decision.
        sites: where blocks stand, in the order they run; the last one is the output.
        input_shape: (C, H, W) of the image it was laid out for.
        recipe: the settings `supernet.build_space` rebuilds it from.

    Raises:
        ValueError: they do not fit together; the message names the decision or site.
    """

    name: str
    decisions: tuple[Decision, ...]
    sites: tuple[Site, ...]
    input_shape: Shape
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            check(self.decisions, self.sites)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    # ---- size

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of options of each decision."""
        return tuple(len(decision.options) for decision in self.decisions)

    @property
    def size(self) -> int:
        """Number of encodings, exactly."""
        return prod(self.sizes)

    @cached_property
    def num_canonical(self) -> int:
        """Number of architectures that differ in a decision that matters, exactly (by elimination)."""
        return count_canonical(self.sizes, self._influence)

    @cached_property
    def num_networks(self) -> int | None:
        """Number of distinct networks, exactly, if the space is a chain; None for cells, where it is not known."""
        before = [INPUT, *(site.name for site in self.sites)]
        is_chain = all(site.inputs == (name,) for site, name in zip(self.sites, before, strict=False))
        return count_chain_networks(self.sizes, self.sites) if is_chain else None

    # ---- the only interpreter of an architecture

    @cached_property
    def _tables(self) -> tuple[np.ndarray, ...]:
        tables = []
        for site in self.sites:
            table = np.empty(len(site.table), object)
            table[:] = site.table
            tables.append(table.reshape([self.sizes[decision] for decision in site.given]))
        return tuple(tables)

    @cached_property
    def _gates(self) -> dict[str, tuple[Scope, np.ndarray]]:
        """Per gate the decisions it depends on and its table; all sites of a gate have the same."""
        return {site.gate_name: (site.given, table) for site, table in zip(self.sites, self._tables, strict=True)}

    def select(self, architecture: Architecture) -> dict[str, int | None]:
        """Which option stands at each gate; None where nothing stands. Raises ValueError for another space's."""
        if not self.is_valid(architecture):
            raise ValueError(f"{architecture} is not an architecture of {self.name}")
        return {
            gate: table[tuple(architecture[decision] for decision in given)]
            for gate, (given, table) in self._gates.items()
        }

    def trace(self, chosen: Mapping[str, Choice | None]) -> list[Placed]:
        """What is there, in the order it runs.

        Args:
            chosen: per gate an option, a tuple of options to mix, or None for nothing. A gate without an entry is
                fixed if its site depends on no decision, and absent otherwise.

        Absent inputs drop out of merges, a site without inputs is absent, an identity that reads one site is elided.
        Raises ValueError if nothing reaches the output.
        """
        present: dict[str, tuple[str, ...]] = {INPUT: (INPUT,)}
        placed = []
        for site in self.sites:
            choice = chosen.get(site.gate_name, None if site.given else 0)
            inputs = tuple(name for read in site.inputs for name in present[read])
            if choice is None or not inputs:
                present[site.name] = ()
            elif len(inputs) == 1 and isinstance(choice, int) and isinstance(site.options[choice], Identity):
                present[site.name] = inputs
            else:
                placed.append(Placed(site, choice, inputs))
                present[site.name] = (site.name,)
        if not present[self.sites[-1].name]:
            raise ValueError(f"{self.name}: in this architecture nothing reaches the output")
        return placed

    def decode(self, architecture: Architecture) -> NetSpec:
        """The network an architecture stands for."""
        nodes = []
        for site, choice, inputs in self.trace(self.select(architecture)):
            assert isinstance(choice, int)
            nodes.append(Node(site.name, site.options[choice], inputs, site.merge))
        return NetSpec(tuple(nodes))

    def derive(self, scores: Mapping[str, Sequence[float]]) -> Architecture:
        """The architecture with the greatest summed score of the options it selects, exactly.

        Args:
            scores: per gate one score per option, such as log probabilities; a gate without scores counts nothing, and
                neither does an absent one.
        """
        factors: list[Factor] = []
        for gate, (given, table) in self._gates.items():
            if gate in scores:
                values = [0.0 if option is None else float(scores[gate][option]) for option in table.flat]
                factors.append((given, np.array(values).reshape(table.shape)))
        return optimum(self.sizes, factors, largest=True)[1]

    # ---- encodings

    def sample(self, rng: random.Random) -> Architecture:
        """An architecture uniformly at random over encodings."""
        draw = rng.random  # a float is drawn several times as fast as an integer, and is off by 2^-53 at most
        return tuple([int(draw() * size) for size in self.sizes])

    def enumerate(self) -> Iterator[Architecture]:
        """Every encoding, lazily, in lexicographic order."""
        return product(*map(range, self.sizes))

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
        """Whether this is an encoding of the space."""
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
        return tuple(parsed)

    @cached_property
    def _influence(self) -> tuple[Influence, ...]:
        return influences(self._gates.values(), len(self.sizes))

    @cached_property
    def conditional(self) -> dict[int, Influence]:
        """The decisions that do not matter in every architecture, and where they act."""
        return {decision: gates for decision, gates in enumerate(self._influence) if gates is not ALWAYS}

    def _matters(self, architecture: Sequence[int], decision: int) -> bool:
        return matters(self._influence[decision], architecture)

    def canonical(self, architecture: Architecture) -> Architecture:
        """The same supernet result, with every decision that does not matter set to 0.

        Decisions are set one after another, until none is left: two that do not matter one by one may matter together.
        """
        if not self.conditional:
            return tuple(architecture)
        current, changed = list(architecture), True
        while changed:
            changed = False
            for decision in self.conditional:
                if current[decision] and not self._matters(current, decision):
                    current[decision] = 0
                    changed = True
        return tuple(current)

    def network_key(self, architecture: Architecture) -> Hashable:
        """Equal for architectures that are the same network (two skips in either order, for instance)."""
        return self.decode(architecture).key()

    def encode(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """(N, D) float array of option indices for predictors; a decision that does not matter is -1."""
        rows = [
            [option if option or self._matters(row, decision) else -1 for decision, option in enumerate(row)]
            for row in map(self.canonical, architectures)
        ]
        return np.array(rows, dtype=np.float64).reshape(len(architectures), len(self.sizes))

    # ---- shapes and costs as factors over decisions

    def factors(self, shape: Shape | None = None) -> list[Factor]:
        """Per site a table over the decisions that change it: (block, input shape), or None where nothing stands.

        Shapes travel as such tables as well, and a decision that changes nothing leaves the scope: that is why a plain
        chain has one decision per factor, and a space with a choice of width has two or three.
        """
        known: dict[str, Factor] = {INPUT: ((), _cell(shape or self.input_shape))}
        result = []
        for site, options in zip(self.sites, self._tables, strict=True):
            inputs = [known[name] for name in site.inputs]
            scope = tuple(dict.fromkeys([*site.given, *(d for before, _ in inputs for d in before)]))
            here = np.empty([self.sizes[decision] for decision in scope], dtype=object)
            out = here.copy()
            for index in np.ndindex(*here.shape):
                choice = dict(zip(scope, index, strict=True))
                option = options[tuple(choice[d] for d in site.given)]
                shapes = [table[tuple(choice[d] for d in before)] for before, table in inputs]
                shapes = [entering for entering in shapes if entering is not None]
                if option is not None and shapes:
                    entering = merged_shape(shapes, site.merge)
                    here[index] = site.options[option], entering
                    out[index] = site.options[option].output_shape(entering)
            known[site.name] = _reduced(scope, out)
            result.append(_reduced(scope, here))
        return result

    def input_channels(self) -> dict[str, tuple[int, ...]]:
        """Per site the numbers of input channels it can meet, ascending. Raises ValueError if it is never there."""
        met: dict[str, set[int]] = {site.name: set() for site in self.sites}
        for site, (_, table) in zip(self.sites, self.factors(), strict=True):
            met[site.name].update(entry[1][0] for entry in table.flat if entry is not None)
        for name, channels in met.items():
            if not channels:
                raise ValueError(f"{name}: in no architecture does anything stand here")
        return {name: tuple(sorted(channels)) for name, channels in met.items()}

    # ---- fingerprints

    @cached_property
    def decisions_fingerprint(self) -> str:
        """Architectures can be exchanged between spaces with the same one."""
        return _digest([[decision.name, list(decision.options)] for decision in self.decisions])

    @cached_property
    def macro_fingerprint(self) -> str:
        """Weights and lookup tables can be exchanged between spaces with the same one."""
        return _digest(
            [
                self.input_shape[0],
                self.decisions_fingerprint,
                [
                    [s.name, [b.to_dict() for b in s.options], s.inputs, s.merge, s.given, s.table, s.gate, s.sharing]
                    for s in self.sites
                ],
            ]
        )

    def describe(self) -> dict[str, Any]:
        """The recipe: what `build_space(**recipe)` rebuilds this space from (JSON)."""
        return dict(self.recipe)


def _cell(value: Any) -> np.ndarray:
    cell = np.empty((), dtype=object)
    cell[()] = value
    return cell


def _reduced(scope: Scope, table: np.ndarray) -> Factor:
    """Drop every decision along which the table does not change."""
    for axis in reversed(range(len(scope))):
        first = np.take(table, [0], axis)
        if all(a == b for a, b in zip(np.broadcast_to(first, table.shape).flat, table.flat, strict=True)):
            kept = np.take(table, 0, axis)
            table = kept if isinstance(kept, np.ndarray) else _cell(kept)
            scope = scope[:axis] + scope[axis + 1 :]
    return scope, table


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()[:16]
