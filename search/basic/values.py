"""A space of plain values, {name: [value, ...]}: what a builder of networks of one's own takes, one value of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from config_file.errors import UserError
from supernet import Architecture
from supernet.decisions import Decision, DecisionSpace

Config = dict[str, Any]
"""One value of each name; of a space of other options the name of one."""


@dataclass(frozen=True, eq=False)
class ValueSpace(DecisionSpace):
    """The decisions of a space of values, by name in alphabetical order.

    Attributes:
        values: of every decision what its options stand for, in their order.
    """

    values: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, eq=False)
class BuiltSpace(ValueSpace):
    """Values that a builder makes networks of; `build` is what the training evaluator asks for.

    Attributes:
        builder: a value of each name to a network.
    """

    builder: Callable[[Config], nn.Module]

    def build(self, architecture: Architecture) -> nn.Module:
        """The network of an architecture, with weights of its own choice."""
        return self.builder(config_of(self, architecture))


def built(space: ValueSpace, builder: Callable[[Config], nn.Module]) -> BuiltSpace:
    """The same space with the builder of its networks."""
    return BuiltSpace(space.name, space.decisions, space.values, builder)


def space_of_values(values: Mapping[str, Any]) -> ValueSpace:
    """A space of {name: list of values}.

    Raises:
        UserError: it is not of that form, or a value stands in a list twice.
    """
    if not isinstance(values, Mapping) or not values:
        raise UserError(f"a search space of values is {{name: [value, ...]}}, not {values!r:.60}")
    decisions = []
    for name in sorted(values, key=str):
        options = values[name]
        if not isinstance(name, str) or not isinstance(options, (list, tuple)) or not options:
            raise UserError(f"search space: {name!r} needs a list of values, not {options!r:.60}")
        words = [str(option) for option in options]
        if len(set(words)) < len(words):  # 1 and "1"
            words = [repr(option) for option in options]
        if (twice := next((word for word in words if words.count(word) > 1), None)) is not None:
            raise UserError(f"search space: {name} has {twice} twice")
        decisions.append(Decision(name, tuple(words)))
    ordered = tuple(tuple(values[decision.name]) for decision in decisions)
    return ValueSpace("values", tuple(decisions), ordered)


def config_of(space: DecisionSpace, architecture: Architecture) -> Config:
    """The value, or the name of the option, that an architecture has of each decision."""
    chosen = [options[option] for options, option in zip(_options(space), architecture, strict=True)]
    return {decision.name: value for decision, value in zip(space.decisions, chosen, strict=True)}


def architecture_of(space: DecisionSpace, config: Mapping[str, Any]) -> Architecture:
    """The architecture of one value of each name.

    Raises:
        UserError: a name or a value that the space does not have.
    """
    names = [decision.name for decision in space.decisions]
    if sorted(config) != sorted(names):
        raise UserError(f"an architecture has a value of each of {', '.join(names)}, not of {', '.join(config)}")
    found = []
    for decision, options in zip(space.decisions, _options(space), strict=True):
        value = config[decision.name]
        # 1 == True == 1.0: among values that are equal the one of the same type
        places = [place for place, option in enumerate(options) if type(option) is type(value) and option == value]
        places += [place for place, option in enumerate(options) if option == value]
        if not places:
            raise UserError(f"{decision.name} has no value {value!r:.60} (there are: {', '.join(decision.options)})")
        found.append(places[0])
    return tuple(found)


def _options(space: DecisionSpace) -> tuple[tuple[Any, ...], ...]:
    if isinstance(space, ValueSpace):
        return space.values
    return tuple(decision.options for decision in space.decisions)
