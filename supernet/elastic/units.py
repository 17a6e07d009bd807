"""Units: the steps of a traced network, those in a row that one block holds put together."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from supernet.blocks import Block, Identity, Shape
from supernet.elastic.trace import Step
from supernet.torch_blocks import PART_NAMES, Activate, Layers, Linear, Norm, PlainConv

_PLACE: dict[type[Block], int] = {Identity: 0, PlainConv: 0, Linear: 0, Norm: 1, Activate: 2}
"""The order in which steps stand in a unit; of each at most one."""


@dataclass(frozen=True)
class Unit:
    """One or several steps that become a site.

    Args:
        name: of its first step.
        steps: in the order they run; only the last one is read by others.
        inputs: units that are read, or "input".
    """

    name: str
    steps: tuple[Step, ...]
    inputs: tuple[str, ...]

    @property
    def merge(self) -> str:
        """The way in which several inputs become one."""
        return self.steps[0].merge

    @property
    def shape(self) -> Shape:
        """(C, H, W) of the output."""
        return self.steps[-1].shape

    @property
    def first(self) -> Block:
        """The block that decides its channels."""
        return self.steps[0].block

    def block(self, first: Block | None = None) -> Block:
        """The block, with another one in the place of its first."""
        blocks = [first or self.first, *(step.block for step in self.steps[1:])]
        blocks = [block for block in blocks if not isinstance(block, Identity)]
        return Layers(tuple(blocks)) if len(blocks) > 1 else blocks[0] if blocks else Identity()

    @property
    def parts(self) -> list[tuple[str, str]]:
        """Per layer with tensors its name in the block, "" where it is the whole block, and its module's path."""
        whole, found = self.block(), []
        for step in self.steps:
            names = [PART_NAMES[type(step.block)]] if isinstance(whole, Layers) else []
            names += ["linear"] if isinstance(step.block, Linear) else []
            if step.module is not None:
                found.append((".".join(names), step.module))
        return found


def units_of(steps: Sequence[Step]) -> list[Unit]:
    """The units of a network, in the order they run."""
    readers = Counter(name for step in steps for name in step.inputs)
    rows: list[list[Step]] = []
    row_of: dict[str, list[Step]] = {}
    for step in steps:
        row = row_of.get(step.inputs[0]) if len(step.inputs) == 1 else None
        place = _PLACE.get(type(step.block), 0)
        before = None if row is None else _PLACE.get(type(row[-1].block))
        if row is not None and before is not None and before < place and readers[step.inputs[0]] == 1:
            row.append(step)
        else:
            row = [step]
            rows.append(row)
        row_of[step.name] = row
    first = {step.name: row[0].name for row in rows for step in row}
    return [Unit(row[0].name, tuple(row), tuple(first.get(name, name) for name in row[0].inputs)) for row in rows]
