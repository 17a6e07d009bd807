"""Narrowed spaces: a space of which some options only are drawn, on the weights of all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from config_file.errors import UserError
from supernet.decisions import Architecture, Decision, DecisionSpace
from supernet.elimination import Factor
from supernet.space import SearchSpace


@dataclass(frozen=True)
class Narrowed:
    """A space with fewer options, and the way back.

    Attributes:
        space: a search space of its own: costs, extremes, counts and draws are of what it has. Its sites, and so the
            weights, are those of the whole space.
        kept: per decision the options of the whole space that it has.
    """

    space: SearchSpace
    kept: tuple[tuple[int, ...], ...]

    def widen(self, architecture: Architecture) -> Architecture:
        """The architecture of the whole space that one of the narrow space is."""
        return tuple(options[option] for options, option in zip(self.kept, architecture, strict=True))


def narrow(space: SearchSpace, kept: Sequence[Sequence[int]]) -> Narrowed:
    """The space with, per decision, these options only, at least one each.

    Raises:
        UserError: the space does not count every encoding.
    """
    if all(len(options) == size for options, size in zip(kept, space.sizes, strict=True)):
        return Narrowed(space, tuple(map(tuple, kept)))
    if type(space).allows is not DecisionSpace.allows:
        raise UserError(f"{space.name} does not count every encoding: its options cannot be drawn in part")
    decisions = tuple(
        Decision(decision.name, tuple(decision.options[option] for option in options))
        for decision, options in zip(space.decisions, kept, strict=True)
    )
    sites = []
    for site in space.sites:
        table = np.empty(prod(space.sizes[decision] for decision in site.given), dtype=object)
        table[:] = site.table
        table = table.reshape([space.sizes[decision] for decision in site.given])
        sites.append(replace(site, table=tuple(_rows((site.given, table), kept).flat)))
    images, shape = None, space.input_shape
    if space.images is not None:
        images = space.images[0], _rows(space.images, kept)
        shape = max(images[1].flat)
    narrowed = SearchSpace(space.name, decisions, tuple(sites), shape, space.recipe, images)
    return Narrowed(narrowed, tuple(map(tuple, kept)))


def _rows(factor: Factor, kept: Sequence[Sequence[int]]) -> np.ndarray[Any, Any]:
    """The part of a factor's table that some options of its decisions leave."""
    scope, table = factor
    return table[np.ix_(*(kept[decision] for decision in scope))] if scope else table
