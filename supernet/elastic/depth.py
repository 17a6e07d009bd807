"""Residual blocks that may be left out: x + f(x), where nothing else reads what f computes."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from supernet.elastic.units import Unit
from supernet.torch_blocks import Activate, MeanTo, Window

IDEMPOTENT = ("relu", "relu6")
"""Activations that do nothing to what has been through them."""


@dataclass(frozen=True)
class Skippable:
    """A residual block.

    Args:
        path: of the module that it is.
        inside: its units, in the order they run.
        merge: the unit that adds the shortcut, and stands without the block too.
        shortcut: the unit that the block reads.
        is_spare: what follows the sum does nothing where the block is left out.
    """

    path: str
    inside: tuple[str, ...]
    merge: str
    shortcut: str
    is_spare: bool


def skippable(units: Sequence[Unit]) -> list[Skippable]:
    """The blocks that may be left out, in the order they run."""
    by_name = {unit.name: unit for unit in units}
    readers = defaultdict[str, set[str]](set)
    for unit in units:
        for name in unit.inputs:
            readers[name].add(unit.name)
    found = []
    for unit in units:
        if unit.merge != "sum" or len(unit.inputs) != 2 or len(set(unit.inputs)) < 2:
            continue
        for branch, shortcut in (unit.inputs, unit.inputs[::-1]):
            inside = _between(by_name, branch, shortcut)
            if inside and all(readers[name] <= {*inside, unit.name} for name in inside):
                order = tuple(other.name for other in units if other.name in inside)
                path = unit.name.rpartition(".")[0] or unit.name
                found.append(Skippable(path, order, unit.name, shortcut, _is_spare(unit, shortcut, by_name)))
    return found


def _between(units: Mapping[str, Unit], branch: str, shortcut: str) -> Collection[str]:
    """The units that lead from the shortcut to the branch; none where the branch reads anything else."""
    inside, waiting = set[str](), [branch]
    while waiting:
        name = waiting.pop()
        if name == shortcut or name in inside:
            continue
        if name not in units:
            return ()
        inside.add(name)
        waiting += units[name].inputs
    return inside


def _is_spare(merge: Unit, shortcut: str, units: Mapping[str, Unit]) -> bool:
    """True where the activation behind the sum has been applied to the shortcut already."""
    before = units.get(shortcut)
    while before is not None and isinstance(before.first, Window | MeanTo):  # of what is in a range they stay in it
        before = units.get(before.inputs[0])
    if before is None or len(merge.steps) != 2:
        return False
    first, second = before.steps[-1].block, merge.steps[-1].block
    return isinstance(second, Activate) and first == second and second.kind in IDEMPOTENT


def runs(blocks: Sequence[Skippable]) -> list[list[Skippable]]:
    """Blocks that follow one another, of each of which the first ones are kept."""
    rows: list[list[Skippable]] = []
    for block in blocks:
        row = next((row for row in rows if row[-1].merge == block.shortcut), None)
        if row is None:
            rows.append([block])
        else:
            row.append(block)
    return rows
