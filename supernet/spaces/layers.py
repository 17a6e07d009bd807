"""Layers of a chain's stages as sites, and how their options share weights."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from config_file.errors import UserError
from supernet.blocks import Block, Identity, Pool
from supernet.composites import InvertedResidual, Projection
from supernet.spaces.candidates import SKIPS, Slot, parse_candidate
from supernet.spaces.layout import Axis, Layout
from supernet.spaces.stages import Stage, several


@dataclass(frozen=True)
class Layers:
    """Everything that the layers of all stages of a chain have in common, as its table says.

    Args:
        space: the table's name.
        candidates, act: unless a stage has its own.
        skip, always_expand, sharing: as in the table.
        projections: inverted residuals that change the shape have a shortcut too.
        shares: of the inner channels of shuffle blocks.
    """

    space: str
    candidates: tuple[str, ...]
    act: str
    skip: str
    always_expand: bool
    sharing: str
    projections: bool = False
    shares: tuple[float, ...] = (1.0,)

    def add(self, layout: Layout, name: str, stage: Stage, before: Axis, channels: Axis) -> None:
        """Lay out a stage: `before` are the widths that enter it, `channels` its own."""
        depth = layout.decide(f"{name}/depth", stage.depths)
        kernel, expand = Axis(()), Axis(())
        for layer in range(stage.most):
            place, stride = f"{name}/{layer}", stage.stride if layer == 0 else 1
            if stage.expand is None:
                first = before if layer == 0 else None
                self._add_candidates(layout, place, stage, stride, first, channels, depth, layer)
                continue
            if layer == 0 or not stage.tied:
                where = name if stage.tied else place
                kernel = layout.decide(f"{where}/kernel", several(stage.kernel))
                expand = layout.decide(f"{where}/expand", several(stage.expand))
            sharing = "sliced" if self.sharing == "own" else self.sharing
            beside = self.projections and layer == 0
            block = partial(
                InvertedResidual, stride=stride, act=self._act(stage), se=bool(stage.se), residual=not beside,
                always_expand=self.always_expand,
            )  # fmt: skip
            entering = layout.reads
            layout.add(place, block, channels, kernel, expand, sharing=sharing, depth=depth, layer=layer)
            if beside:
                shortcut = f"{place}/shortcut"
                reads = partial(_shortcut, stride)
                layout.add(shortcut, reads, before, channels, sharing=sliced(before, channels), inputs=entering)
                layout.reads = (place, shortcut)

    def _add_candidates(
        self, layout: Layout, place: str, stage: Stage, stride: int, before: Axis | None, channels: Axis, depth: Axis,
        layer: int,
    ) -> None:  # fmt: skip
        """A layer that chooses among candidates; `before` is what enters a stage's first layer."""
        one = before is not None and len(before.values) == len(channels.values) == 1

        def options(out: int, share: float = 1.0) -> dict[str, Block]:
            entering = out if before is None else before.values[0] if one else None
            return self.options(entering, out, stage, stride, share)

        offered = options(channels.values[0])
        names = layout.decide(place, tuple(offered), always=True)
        shares = layout.decide(f"{place}/channels", self.shares)
        elastic = len(shares.values) > 1 or sliced(channels, *([before] if before else [])) != "own"
        layout.add(
            place, lambda out, name, share: options(out, share)[name], channels, names, shares,
            sharing=self._sharing_of(offered.values(), elastic), depth=depth, layer=layer,
        )  # fmt: skip

    def _sharing_of(self, blocks: Iterable[Block], elastic: bool) -> str:
        """The way the options of one layer share: a skip that is a convolution cannot lie inside a super-kernel."""
        if self.sharing == "own":
            return "sliced_channels" if elastic else "own"
        inside = all(isinstance(block, (InvertedResidual, Identity)) for block in blocks)
        return self.sharing if inside else "sliced"

    def _act(self, stage: Stage) -> str:
        return self.act if stage.act is None else stage.act

    def options(
        self, in_channels: int | None, out_channels: int, stage: Stage, stride: int, share: float = 1.0
    ) -> dict[str, Block]:
        """The candidates of one layer by name."""
        slot = Slot(in_channels, out_channels, stride, self._act(stage), stage.se, self.always_expand, share)
        options: dict[str, Block] = {}
        for name in stage.candidates or self.candidates:
            if name in SKIPS and slot.changes and self.skip == "identity":
                continue
            block = parse_candidate(name)(slot)
            for other, same in options.items():
                if block == same:
                    raise UserError(f"{self.space}: candidates {other!r} and {name!r} are the same block")
            options[name] = block
        if not options:
            raise UserError(
                f"{self.space}: skip is the only candidate, and with skip: identity it cannot change the shape"
            )
        return options


def _shortcut(stride: int, entering: int, leaving: int) -> Block:
    """The block of a shortcut between these widths."""
    if entering != leaving:
        return Projection(leaving, stride)
    return Identity() if stride == 1 else Pool("mean2x2")


def sliced(*axes: Axis) -> str:
    """The sharing of a site that enters and leaves with these widths."""
    return "sliced" if any(len(axis.values) > 1 for axis in axes) else "own"
