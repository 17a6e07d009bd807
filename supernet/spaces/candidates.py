"""Candidates of a chain's layers by the names that papers and YAML files give them."""

import re
from collections.abc import Callable
from typing import NamedTuple

from config_file.errors import UserError
from supernet.blocks import Block, Conv, Identity
from supernet.composites import InvertedResidual, ShuffleBlock
from supernet.spaces.inner_channels import share_of


class Slot(NamedTuple):
    """A layer of a chain, as its candidates see it.

    Args:
        in_channels, out_channels, stride: of the layer; None where its input can have several widths.
        act: activation of inverted residuals.
        se: they have squeeze-excite; None: those whose name says so.
        always_expand: expansion-1 blocks keep their 1x1 expansion.
        share: of the inner channels that shuffle blocks have.
    """

    in_channels: int | None
    out_channels: int
    stride: int
    act: str = "relu6"
    se: bool | None = None
    always_expand: bool = False
    share: float = 1.0

    @property
    def changes(self) -> bool:
        """True where input and output differ in shape, or can."""
        return self.in_channels != self.out_channels or self.stride > 1

    @property
    def mid(self) -> int | None:
        """The inner channels of shuffle blocks, None where they are half of the output. Raises UserError for none."""
        half = self.out_channels // 2
        inner = half if self.share == 1 else share_of(half, self.share, f"a shuffle block to {self.out_channels}")
        return None if inner == half else inner


Candidate = Callable[[Slot], Block]

_MOST = 100
_LONGEST = 100

SKIPS = ("skip", "identity")
_RATIO = r"\d+(?:\.\d+)?"
_INVERTED_RESIDUAL = re.compile(
    rf"(?:k(?P<k>\d+)e(?P<e>{_RATIO})|e(?P<e2>{_RATIO})k(?P<k2>\d+))(?:g(?P<g>\d+))?(?P<se>se)?"
)
_SHUFFLE = re.compile(r"shuffle_k(?P<k>\d+)")


def shuffles(name: str) -> bool:
    """True for the candidates that are shuffle blocks."""
    return name == "xception" or _SHUFFLE.fullmatch(name) is not None


def parse_candidate(name: str) -> Candidate:
    """The block that a candidate's name stands for, given its layer. Raises UserError for a name with no meaning."""
    if name in SKIPS:
        return _skip
    name = name[:_LONGEST]
    if name == "xception":
        return lambda slot: ShuffleBlock(slot.out_channels, 3, slot.stride, xception=True, mid=slot.mid)
    if match := _SHUFFLE.fullmatch(name):
        kernel = _odd(int(match["k"]), name)
        return lambda slot: ShuffleBlock(slot.out_channels, kernel, slot.stride, mid=slot.mid)
    if match := _INVERTED_RESIDUAL.fullmatch(name):
        kernel, ratio = _odd(int(match["k"] or match["k2"]), name), float(match["e"] or match["e2"])
        expand = int(ratio) if ratio.is_integer() else ratio
        groups, se = int(match["g"] or 1), match["se"] is not None
        if not 1 <= min(expand, groups) <= max(expand, groups) <= _MOST:
            raise UserError(f"candidate {name!r}: expansion and groups must be at least 1, at most {_MOST}")
        return lambda slot: InvertedResidual(
            slot.out_channels, kernel, expand, slot.stride, slot.act, se if slot.se is None else slot.se, groups,
            slot.always_expand,
        )  # fmt: skip
    raise UserError(
        f"unknown candidate {name!r} (such as k3e6, k5e3se, k3e1g2, e3k5, shuffle_k3, xception, skip, identity)"
    )


def _skip(slot: Slot) -> Block:
    return Conv(slot.out_channels, 1, slot.stride, act="") if slot.changes else Identity()


def _odd(kernel: int, name: str) -> int:
    if kernel % 2 == 0 or kernel > _MOST:
        raise UserError(f"candidate {name!r}: the kernel must be odd, and at most {_MOST}")
    return kernel
