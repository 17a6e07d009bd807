"""Operations on the edges of cells, by the names that papers give them."""

from collections.abc import Callable
from functools import partial

from config_file.errors import UserError, nearest
from supernet.blocks import Block, Identity, Pool, Zero
from supernet.cell_blocks import CrossConv, DilConv, FactorizedReduce, NormedPool, SepConv
from supernet.partial import Partial


def _pool(kind: str, stride: int, affine: bool) -> Block:
    return Pool(kind, stride) if affine else NormedPool(kind, stride)


def _skip(stride: int, affine: bool) -> Block:
    return Identity() if stride == 1 else FactorizedReduce(affine=affine)


NONE = "none"

OPERATIONS: dict[str, Callable[[int, bool], Block]] = {
    NONE: lambda stride, affine: Zero(stride),
    "max_pool_3x3": partial(_pool, "max"),
    "avg_pool_3x3": partial(_pool, "avg"),
    "skip_connect": _skip,
    "sep_conv_3x3": partial(SepConv, 3),
    "sep_conv_5x5": partial(SepConv, 5),
    "sep_conv_7x7": partial(SepConv, 7),
    "dil_conv_3x3": partial(DilConv, 3),
    "dil_conv_5x5": partial(DilConv, 5),
    "conv_7x1_1x7": partial(CrossConv, 7),
}
"""Operations of an edge by their names in papers: (stride, do batch norms learn scale and shift?) -> block."""


def check_operation(name: str) -> None:
    """Raise UserError where no operation has this very name."""
    if name not in OPERATIONS:
        known = ", ".join(OPERATIONS)
        raise UserError(f"unknown operation {name!r}{nearest(name, OPERATIONS)} (operations: {known})")


def option_of(operation: str, stride: int, affine: bool, parts: int) -> Block:
    """The block of an edge, which with several parts sees one of that many parts of the channels (PC-DARTS)."""
    block = OPERATIONS[operation](stride, affine)
    return block if parts == 1 else Partial(block, parts)
