"""NetworkSpace: architectures that are networks. SearchSpace: everything that follows from decisions and sites.

`select` is the only interpreter of an architecture: it says which option stands at each gate, and `trace` lays out what
is there. Decode, the supernet, extraction, cost and report read those.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from config_file.errors import UserError
from supernet.blocks import Block, Identity, Shape, Zero
from supernet.canonical import ALWAYS, Influence, count_canonical, influences
from supernet.counting import count_chain_networks
from supernet.decisions import Architecture, DecisionSpace, digest
from supernet.elimination import Coded, Factor, cell, coded, coded_table, combined
from supernet.isomorphism import network_key
from supernet.sites import Choice, Placed, Site, check_sites
from supernet.spec import INPUT, NetSpec, Node, merged_shape


class NetworkSpace(DecisionSpace):
    """A space each of whose architectures is a network.

    That is all that training, scoring before training, counting and exporting need. Where blocks depend on the whole
    architecture, as channels do in NAS-Bench-101, there is no more: no sites, so no supernet and no lookup table.

    A subclass is a frozen dataclass that adds both attributes as fields and says `decode`, `macro_fingerprint` and
    `ends`.

    Attributes:
        input_shape: (C, H, W) of the image it was laid out for.
        recipe: the settings `supernet.spaces.build_network_space` rebuilds it from.
    """

    input_shape: Shape
    recipe: Mapping[str, Any]

    def decode(self, architecture: Architecture) -> NetSpec:
        """The network an architecture stands for. Raises ValueError for another space's."""
        raise NotImplementedError

    def ends(self) -> tuple[Architecture, Architecture]:
        """The architectures that cost least and most, whatever is counted. Limits on costs need to know them."""
        raise NotImplementedError

    def image(self, architecture: Architecture) -> Shape:
        """(C, H, W) of the image that an architecture reads."""
        return self.input_shape

    def network_key(self, architecture: Architecture) -> Hashable:
        """Equal for architectures that are the same network on images of the same size.

        Two skips in either order are, for instance.
        """
        return network_key(self.decode(architecture)), self.image(architecture)

    has_equals: ClassVar[bool] = False
    """Several architectures may be the same network, and `first_equal` knows which."""

    def first_equal(self, architecture: Architecture) -> Architecture:
        """The first of the architectures that are the same network; itself, where the space does not know."""
        return architecture

    @property
    def macro_fingerprint(self) -> str:
        """Weights can be exchanged between spaces with the same one."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """The recipe: what `build_network_space(**recipe)` rebuilds this space from (JSON)."""
        return dict(self.recipe)


@dataclass(frozen=True, eq=False)
class SearchSpace(NetworkSpace):
    """A search space as data: decisions, and the networks they choose among.

    Args:
        sites: where blocks stand, in the order they run; the last one is the output.
        input_shape: (C, H, W) of the image it was laid out for.
        recipe: the settings `supernet.build_space` rebuilds it from.
        images: where the image size is a decision: a table of (C, H, W) over the decisions that choose it, of the
            channels of `input_shape`, which is the largest.

    Raises:
        ValueError: they do not fit together; the message names the decision or site.
    """

    sites: tuple[Site, ...]
    input_shape: Shape
    recipe: Mapping[str, Any] = field(default_factory=dict)
    images: Factor | None = None

    def _check(self) -> None:
        super()._check()
        check_sites(self.decisions, self.sites)
        if self.images is not None:
            scope, table = self.images
            if table.shape != tuple(len(self.decisions[decision].options) for decision in scope):
                raise ValueError("images: one shape per combination of the decisions that choose it")
            if {shape[0] for shape in table.flat} != {self.input_shape[0]} or max(table.flat) != self.input_shape:
                raise ValueError(f"images: shapes of {self.input_shape[0]} channels, the largest {self.input_shape}")

    # ---- size

    @cached_property
    def num_canonical(self) -> int:
        """Number of architectures that differ in a decision that matters, exactly (by elimination)."""
        return count_canonical(self.sizes, self._influence)

    @cached_property
    def num_networks(self) -> int | None:
        """Number of distinct networks, exactly, if the space is a chain; None for cells, where it is not known."""
        before = [INPUT, *(site.name for site in self.sites)]
        is_chain = all(site.inputs == (name,) for site, name in zip(self.sites, before, strict=False))
        scope, table = self._images(None)
        if not is_chain or any(decision in site.given for site in self.sites for decision in scope):
            return None
        return count_chain_networks(self.sites, self.gates) * len(set(table.flat))

    # ---- the only interpreter of an architecture

    @cached_property
    def gates(self) -> dict[str, Factor]:
        """Per gate the decisions it depends on and its table of options; all sites of a gate have the same."""
        return {
            site.gate_name: (
                site.given,
                np.array(site.table, dtype=object).reshape([self.sizes[d] for d in site.given]),
            )
            for site in self.sites
        }

    @cached_property
    def zeros(self) -> dict[str, frozenset[int]]:
        """Per gate the options that are zeros at every site."""
        found: dict[str, frozenset[int]] = {}
        for site in self.sites:
            zero = frozenset(number for number, option in enumerate(site.options) if isinstance(option, Zero))
            found[site.gate_name] = found.get(site.gate_name, zero) & zero
        return found

    def select(self, architecture: Architecture) -> dict[str, int | None]:
        """The option that stands at each gate; None where nothing stands. Raises ValueError for another space's."""
        if not self.is_valid(architecture):
            raise ValueError(f"{architecture} is not an architecture of {self.name}")
        return {
            gate: table[tuple(architecture[decision] for decision in given)]
            for gate, (given, table) in self.gates.items()
        }

    def trace(self, chosen: Mapping[str, Choice | None]) -> list[Placed]:
        """The sites that are there, in the order they run.

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

    def image(self, architecture: Architecture) -> Shape:
        """(C, H, W) of the image that an architecture reads: `input_shape`, unless that is a decision."""
        scope, table = self._images(None)
        return table[tuple(architecture[decision] for decision in scope)]

    def _images(self, shape: Shape | None) -> Factor:
        """The image's shape as a table: that of the space, or a given one."""
        if shape in (None, self.input_shape) and self.images is not None:
            return self.images
        return (), cell(shape or self.input_shape)

    @cached_property
    def _influence(self) -> tuple[Influence, ...]:
        scope, images = self._images(None)
        distinct = list(dict.fromkeys(images.flat))
        codes = np.array([distinct.index(shape) for shape in images.flat], dtype=object).reshape(images.shape)
        return influences([(scope, codes), *self.gates.values()], len(self.sizes))

    @cached_property
    def conditional(self) -> dict[int, Influence]:
        """The decisions that do not matter in every architecture, and where they act."""
        return {decision: gates for decision, gates in enumerate(self._influence) if gates is not ALWAYS}

    def matters(self, architecture: Sequence[int], decision: int) -> bool:
        """True if the decision changes what stands anywhere, given the others."""
        gates = self._influence[decision]
        return any(acts[tuple(architecture[other] for other in scope)] for _, (scope, acts) in gates)

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
                if current[decision] and not self.matters(current, decision):
                    current[decision] = 0
                    changed = True
        return tuple(current)

    # ---- shapes and costs as factors over decisions

    def factors(self, shape: Shape | None = None) -> list[Factor]:
        """Per site a table over the decisions that change it: (block, input shape), or None where nothing stands.

        Args:
            shape: (C, H, W) of the image; none: the space's own, or what the architecture decides.

        Shapes travel as such tables as well, and a decision that changes nothing leaves the scope: that is why a plain
        chain has one decision per factor, and a space with a choice of width has two or three.
        """
        return [placed.factor for placed in self.placed(shape)]

    def placed(self, shape: Shape | None = None) -> list[Coded]:
        """The same, for what looks at every different (block, input shape) once.

        Of cells whose output depends on what every node reads, a table has a hundred thousand places and two entries.
        """
        shape = None if shape == self.input_shape else shape
        if shape in self._placed:
            return self._placed[shape]
        known = {INPUT: coded_table(*self._images(shape))}
        result = self._placed[shape] = []
        for site in self.sites:

            def stands(entries: list[Any], site: Site = site) -> tuple[Block, Shape] | None:
                option, *shapes = entries
                shapes = [entering for entering in shapes if entering is not None]
                if option is None or not shapes:
                    return None
                return site.options[option], merged_shape(shapes, site.merge)

            gate = coded_table(*self.gates[site.gate_name])
            here = combined([gate, *(known[name] for name in site.inputs)], stands)
            leaving = [None if entry is None else entry[0].output_shape(entry[1]) for entry in here.entries]
            known[site.name] = coded(here.scope, here.codes, leaving)
            result.append(here)
        return result

    @cached_property
    def _placed(self) -> dict[Shape | None, list[Coded]]:
        return {}

    def priced(self, cost: Callable[[Block, Shape], float], shape: Shape | None = None) -> list[Factor]:
        """Per site a table of what (block, input shape) costs; 0 where nothing stands."""
        return [placed.map(lambda entry: 0.0 if entry is None else cost(*entry)) for placed in self.placed(shape)]

    def input_channels(self) -> dict[str, tuple[int, ...]]:
        """Per site the numbers of input channels it can meet, ascending. Raises ValueError if it is never there."""
        met = {}
        for site, (_, _, entries) in zip(self.sites, self.placed(), strict=True):
            met[site.name] = tuple(sorted({shape[0] for _, shape in filter(None, entries)}))
            if not met[site.name]:
                raise ValueError(f"{site.name}: in no architecture does anything stand here")
        return met

    # ---- fingerprints

    @cached_property
    def macro_fingerprint(self) -> str:
        """Weights and lookup tables can be exchanged between spaces with the same one."""
        sites = [
            [s.name, [b.to_dict() for b in s.options], s.inputs, s.merge, s.given, s.table, s.gate, s.sharing]
            for s in self.sites
        ]
        images = [] if self.images is None else [[self.images[0], list(self.images[1].flat)]]
        return digest([self.input_shape[0], self.decisions_fingerprint, sites, *images])


def with_sites(space: NetworkSpace) -> SearchSpace:
    """The space, for what reads its sites. Raises UserError where it has none."""
    if not isinstance(space, SearchSpace):
        raise UserError(
            f"{space.name} has no supernet and no lookup table: its blocks depend on the whole architecture; its "
            "networks can be trained, scored and counted one by one"
        )
    return space
