"""Once-for-all's mobile spaces (Cai et al. 2020): MobileNetV3 and ProxylessNAS with elastic kernel, width and depth.

Every layer has a kernel of 3, 5 or 7 and an expansion of 3, 4 or 6; a stage has 2, 3 or 4 layers, of which a shallower
one keeps the first. Smaller kernels are learned maps of larger ones, narrower layers their first channels. Decisions
stand stage by stage, depth first; those of layers beyond the depth do not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from config_file.errors import UserError
from supernet.blocks import Conv, GlobalPool, Head
from supernet.composites import InvertedResidual
from supernet.space import SearchSpace
from supernet.spaces.chain import SMALL_IMAGE, scaled, with_each
from supernet.spaces.image_sizes import with_image_sizes
from supernet.spaces.layout import Layout

KERNELS, EXPANSIONS, FEWEST_LAYERS = (3, 5, 7), (3, 4, 6), 2


@dataclass(frozen=True)
class OfaStage:
    """Layers of one width; the first has the stride. The depth is a choice from `FEWEST_LAYERS` to `depth`."""

    channels: int
    stride: int
    act: str
    se: bool = False
    depth: int = 4


@dataclass(frozen=True)
class OfaTable:
    """A space as once-for-all lays it out, at width 1.

    Args:
        name: of the space.
        stem: channels of the 3x3 convolution.
        first: channels of the fixed first block.
        stages: the searchable stages.
        head: channels of the last 1x1 convolution.
        act: activation outside of the stages.
        first_act: activation of the first block.
        first_residual: it has a shortcut.
        features: channels of a 1x1 convolution between global pooling and classifier (MobileNetV3).
        width_mult: default of the setting.
        eps: of all batch norms.
    """

    name: str
    stem: int
    first: int
    stages: tuple[OfaStage, ...]
    head: int
    act: str
    first_act: str
    first_residual: bool = True
    features: int | None = None
    width_mult: float = 1.0
    eps: float = 1e-5
    stem_stride: int = 2

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of stem, first block, stages, head, and features if there are such."""
        ends = (self.head,) if self.features is None else (self.head, self.features)
        return (self.stem, self.first, *(stage.channels for stage in self.stages), *ends)

    def with_settings(
        self,
        widths: Sequence[int] | None = None,
        depths: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        width_mult: float | None = None,
    ) -> OfaTable:
        """The table with other widths, greatest depths or strides (stem, stages), or all its widths scaled."""
        count, table = len(self.stages), self
        if widths is not None and width_mult is not None:
            raise UserError(f"{self.name}: give --widths or --width-mult, not both")
        if widths is None:
            widths = scaled(self.widths, self.width_mult if width_mult is None else width_mult)
        if len(widths) != len(self.widths):
            ends = "head" if self.features is None else "head, features"
            meaning = f"stem, first, {count} stages, {ends}"
            raise UserError(f"widths of {self.name}: {meaning}; that is {len(self.widths)} numbers, not {len(widths)}")
        stages = with_each(self.stages, "channels", widths[2 : 2 + count])
        features = None if self.features is None else widths[-1]
        table = replace(
            table, stem=widths[0], first=widths[1], stages=stages, head=widths[2 + count], features=features
        )
        if depths is not None:
            if len(depths) != count:
                raise UserError(f"depths of {self.name}: the most layers of each of {count} stages, not {len(depths)}")
            table = replace(table, stages=with_each(table.stages, "depth", depths))
        if strides is not None:
            if len(strides) != count + 1:
                raise UserError(f"strides of {self.name}: stem, then one per stage; that is {count + 1} numbers")
            stages = with_each(table.stages, "stride", strides[1:])
            table = replace(table, stem_stride=strides[0], stages=stages)
        return table

    def at_resolution(self, resolution: int) -> OfaTable:
        """The table with the strides that suit images of this size: small ones keep it in stem and first stage."""
        if resolution > SMALL_IMAGE:
            return self
        strides = [1, *(stage.stride for stage in self.stages[1:])]
        return replace(self, stem_stride=1, stages=with_each(self.stages, "stride", strides))

    def build(
        self,
        resolution: int,
        num_classes: int,
        in_channels: int,
        widths: Sequence[int] | None = None,
        depths: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        width_mult: float | None = None,
        image_sizes: str | None = None,
    ) -> SearchSpace:
        """The search space for images (in_channels, resolution, resolution).

        Args:
            widths: stem, first block, stages, head, and the features of `ofa_mbv3`.
            depths: the most layers of each stage.
            strides: stem, then one per stage; without it small images keep their size in stem and first stage.
            width_mult: scales all widths, rounded to multiples of 8.
            image_sizes: makes the image size a decision, see `supernet.spaces.image_sizes`.
        """
        table = self.with_settings(widths, depths, strides, width_mult)
        table = table if strides is not None else table.at_resolution(resolution)
        layout, shape = table._layout(num_classes), (in_channels, resolution, resolution)
        space = SearchSpace(self.name, tuple(layout.decisions), tuple(layout.sites), shape)
        return with_image_sizes(space, image_sizes)

    def _layout(self, num_classes: int) -> Layout:
        act, eps = self.act, self.eps
        first = InvertedResidual(self.first, 3, 1, act=self.first_act, residual=self.first_residual, eps=eps)
        layout = Layout()
        layout.add("stem", lambda: Conv(self.stem, 3, self.stem_stride, act=act, eps=eps))
        layout.add("first", lambda: first)
        for number, stage in enumerate(self.stages, 1):
            depths = range(min(FEWEST_LAYERS, stage.depth), stage.depth + 1)
            depth = layout.decide(f"stage{number}/depth", depths)
            for layer in range(stage.depth):
                name, stride = f"stage{number}/{layer}", stage.stride if layer == 0 else 1
                kernel = layout.decide(f"{name}/kernel", KERNELS)
                expand = layout.decide(f"{name}/expand", EXPANSIONS)
                block = partial(InvertedResidual, stage.channels, stride=stride, act=stage.act, se=stage.se, eps=eps)
                layout.add(name, block, kernel, expand, sharing="elastic_kernel", depth=depth, layer=layer)
        layout.add("mix", lambda: Conv(self.head, act=act, eps=eps))
        if self.features is not None:
            layout.add("pool", GlobalPool)
            layout.add("features", partial(Conv, self.features, act=act, bn=False))
        layout.add("head", lambda: Head(num_classes, dropout=0.1))
        return layout


OFA_MBV3 = OfaTable(
    name="ofa_mbv3",
    stem=16,
    first=16,
    stages=(
        # channels, stride, activation, squeeze-excite
        OfaStage(24, 2, "relu"),
        OfaStage(40, 2, "relu", se=True),
        OfaStage(80, 2, "hswish"),
        OfaStage(112, 1, "hswish", se=True),
        OfaStage(160, 2, "hswish", se=True),
    ),
    head=960,
    features=1280,
    act="hswish",
    first_act="relu",
)

OFA_PROXYLESS = OfaTable(
    name="ofa_proxyless",
    stem=32,
    first=16,
    stages=(
        OfaStage(24, 2, "relu6"),
        OfaStage(40, 2, "relu6"),
        OfaStage(80, 2, "relu6"),
        OfaStage(96, 1, "relu6"),
        OfaStage(192, 2, "relu6"),
        OfaStage(320, 1, "relu6", depth=1),
    ),
    head=1280,
    act="relu6",
    first_act="relu6",
    first_residual=False,
    width_mult=1.3,
    eps=1e-3,
)
