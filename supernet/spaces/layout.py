"""Decisions and sites laid out one after another, as chains of stages have them."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

from supernet.blocks import Block, Identity
from supernet.decisions import Decision
from supernet.sites import Site
from supernet.spec import INPUT


class Axis(NamedTuple):
    """A choice of a layer: its values, and the decision among them (None: there is one value)."""

    values: tuple
    decision: int | None = None


class Layout:
    """The decisions and sites of a chain so far.

    Attributes:
        reads: the sites whose sum the next one reads: the last one, unless something else is said.
    """

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.sites: list[Site] = []
        self.reads: tuple[str, ...] = (INPUT,)

    def decide(self, name: str, values: Sequence, names: Sequence[object] | None = None, always: bool = False) -> Axis:
        """A decision among the values, where there are several or `always`; `names` of its options, if not those."""
        if len(values) == 1 and not always:
            return Axis(tuple(values))
        self.decisions.append(Decision(name, tuple(map(option_name, values if names is None else names))))
        return Axis(tuple(values), len(self.decisions) - 1)

    def add(
        self,
        name: str,
        make: Callable[..., Block],
        *axes: Axis,
        sharing: str = "own",
        depth: Axis | None = None,
        layer: int = 0,
        inputs: tuple[str, ...] = (),
    ) -> None:
        """A site with a block for every combination of the axes' values, made by `make`.

        Args:
            depth: numbers of layers, ascending, that its stage may have; beyond the chosen one nothing but an identity
                stands here.
            layer: the site's place in its stage, from 0.
            inputs: sites whose sum it reads; none: `reads`.
        """
        every = [make(*values) for values in product(*(axis.values for axis in axes))]
        options = tuple(dict.fromkeys(every))  # two widths may be rounded to the same
        table = tuple(options.index(block) for block in every)
        given = tuple(axis.decision for axis in axes if axis.decision is not None)
        if depth is not None and depth.decision is not None and layer >= depth.values[0]:
            beyond = Identity()
            options = options if beyond in options else (*options, beyond)
            absent = (options.index(beyond),) * len(table)
            table = sum((table if layer < reach else absent for reach in depth.values), ())
            given = (depth.decision, *given)
        site = Site(name, options, inputs or self.reads, given=given, table=table, sharing=sharing)
        self.sites.append(site)
        self.reads = (name,)


def option_name(value: object) -> str:
    """The name of an option that a number stands for."""
    return f"{value:g}" if isinstance(value, float) else str(value)
