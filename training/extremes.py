"""The smallest and the largest network of a space: those of the fewest and the most MACs, exactly.

Costs are sums of tables over few decisions, so both follow by elimination, however large the space is and whatever its
decisions are. Of several networks with as many MACs it is always the same one.
"""

from typing import NamedTuple

from config_file.errors import UserError
from lookup_tables.counters import build_table
from supernet import Architecture, SearchSpace


class Extremes(NamedTuple):
    """The canonical architectures of fewest and of most MACs."""

    smallest: Architecture
    largest: Architecture


def extremes(space: SearchSpace) -> Extremes:
    """The smallest and the largest network at the space's own resolution.

    Raises:
        UserError: the space does not count one of the two as a network of its own.
    """
    table = build_table(space, "flops", space.input_shape[1])
    found = Extremes(space.canonical(table.minimum()[1]), space.canonical(table.maximum()[1]))
    if not all(map(space.allows, found)):
        raise UserError(f"{space.name} does not count every encoding: its smallest and largest network are not known")
    return found
