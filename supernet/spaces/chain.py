"""Chain spaces as a table: stem, stages of layers that choose among the same candidates, head.

ProxylessNAS, FBNet, SPOS, Single-Path NAS and NAS-Bench-Macro are such tables, and so is a space of one's own in YAML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from config_file.errors import UserError, nearest
from supernet.blocks import ACTIVATIONS, Block, Conv, GlobalPool, Head, Identity, make_divisible
from supernet.composites import InvertedResidual
from supernet.decisions import Decision
from supernet.sharing import SHARING
from supernet.sites import Site
from supernet.space import SearchSpace
from supernet.spaces.candidates import SKIPS, Slot, parse_candidate
from supernet.spec import INPUT

MOST_LAYERS, MOST_WIDTH, MOST_STRIDE, MOST_FACTOR = 500, 2**17, 64, 16
"""Upper limits of a chain: layers that choose, all stages together; channels; strides."""

SMALL_IMAGE = 64
"""At this resolution and below, stem and first strided stage keep the resolution, as is usual for CIFAR."""


@dataclass(frozen=True)
class Stage:
    """Layers of one width; the first has the stride, and every layer chooses among the candidates.

    Args:
        act, candidates: instead of the table's.
        se: every inverted residual has squeeze-excite, or none has; None: those whose name says so.
    """

    channels: int
    depth: int
    stride: int
    act: str | None = None
    se: bool | None = None
    candidates: tuple[str, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without what is the table's."""
        given = {key: value for key, value in asdict(self).items() if value is not None}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}


def with_each(stages: Sequence[Any], field: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """The stages, each with a value of its own in one field."""
    return tuple(replace(stage, **{field: value}) for stage, value in zip(stages, values, strict=True))


@dataclass(frozen=True)
class ChainTable:
    """A chain space as its paper tabulates it.

    Args:
        name: of the space.
        stages: the searchable stages.
        candidates: names of the candidates of a layer, unless its stage has others: kKeE (inverted residual of kernel
            K and expansion E, also written eEkK; gG for grouped pointwise convolutions with a shuffle, se for
            squeeze-excite), shuffle_kK, xception, skip or identity.
        stem: channels of the 3x3 stem.
        stem_stride: its stride.
        first: channels of a fixed k3e1 block after the stem, or None.
        head: channels of the last 1x1 convolution.
        act: activation.
        skip: what a skip is where the shape changes: "conv" (1x1 convolution + BN, strided), or "identity": there is
            none.
        always_expand: expansion-1 blocks keep their 1x1 expansion.
        sharing: "own" weights for every candidate, "sliced" from the largest, or "super_kernel": sliced, and mixed
            inside the kernel.
        head_bias: the classifier has a bias.
        head_dropout: dropout before the classifier.
        features: channels of a 1x1 convolution with bias between a global pooling and the classifier (MobileNetV3).
        small_images: on small images the stem and the first strided stage keep the resolution.
    """

    name: str
    stages: tuple[Stage, ...]
    candidates: tuple[str, ...]
    stem: int
    head: int
    stem_stride: int = 2
    first: int | None = None
    act: str = "relu6"
    skip: str = "conv"
    always_expand: bool = False
    sharing: str = "own"
    head_bias: bool = True
    head_dropout: float = 0.0
    features: int | None = None
    small_images: bool = True

    def __post_init__(self) -> None:
        if not self.stages:
            raise UserError(f"{self.name}: a space needs at least one stage")
        for candidates in (self.candidates, *(s.candidates for s in self.stages if s.candidates is not None)):
            if not candidates or len(set(candidates)) < len(candidates):
                raise UserError(f"{self.name}: candidates must be different names, at least one")
            for name in candidates:
                parse_candidate(name)
        acts = [self.act, *(stage.act for stage in self.stages if stage.act is not None)]
        for what, value, known in (
            ("skip", self.skip, ("conv", "identity")),
            *(("act", act, tuple(ACTIVATIONS)) for act in acts),
            ("sharing", self.sharing, tuple(SHARING)),
        ):
            if value not in known:
                raise UserError(
                    f"{self.name}: unknown {what} {value!r}{nearest(str(value), known)} (choices: {', '.join(known)})"
                )
        widths = [self.stem, self.head, *(n for n in (self.first, self.features) if n is not None)]
        widths += [stage.channels for stage in self.stages]
        depths, strides = [s.depth for s in self.stages], [self.stem_stride, *(s.stride for s in self.stages)]
        if any(type(number) is not int or number < 1 for number in (*widths, *depths, *strides)):
            raise UserError(f"{self.name}: channels, depths and strides must be whole numbers of at least 1")
        if max(widths) > MOST_WIDTH or sum(depths) > MOST_LAYERS or max(strides) > MOST_STRIDE:
            raise UserError(
                f"{self.name}: at most {MOST_WIDTH:,} channels, {MOST_LAYERS} layers and strides of {MOST_STRIDE}; "
                f"it has {max(widths)} channels, {sum(depths)} layers, and a stride of {max(strides)}"
            )
        for what in ("always_expand", "head_bias", "small_images"):
            if not isinstance(getattr(self, what), bool):
                raise UserError(f"{self.name}: {what} must be true or false, not {getattr(self, what)!r}")
        if any(stage.se not in (None, True, False) for stage in self.stages):
            raise UserError(f"{self.name}: se of a stage must be true or false")

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `ChainTable.from_dict` reads back; the form of a YAML file."""
        return asdict(self) | {"stages": [s.to_dict() for s in self.stages], "candidates": list(self.candidates)}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> ChainTable:
        """A table from a YAML file's content. Raises UserError naming the key that is wrong."""
        known = {f.name: f for f in fields(ChainTable)}
        for key in data:
            if key not in known:
                raise UserError(
                    f"unknown key {key!r} in a search space{nearest(str(key), known)} (keys: {', '.join(known)})"
                )
        missing = [key for key in ("name", "stages", "candidates", "stem", "head") if key not in data]
        if missing:
            raise UserError(f"a search space needs {', '.join(missing)}")
        stages, candidates = _stages(data["stages"]), _names(data["candidates"])
        return ChainTable(**dict(data) | {"name": str(data["name"]), "stages": stages, "candidates": candidates})

    def with_settings(
        self,
        widths: Sequence[int] | None = None,
        depths: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        skip: str | None = None,
        width_mult: float | None = None,
    ) -> ChainTable:
        """The table with other widths (stem, first if there is one, stages, head), depths or strides (stem, stages).

        `width_mult` is a factor of all widths, those given included.
        """
        count, table = len(self.stages), self
        fixed = ["stem"] if self.first is None else ["stem", "first"]
        if widths is not None:
            _expect(widths, len(fixed) + count + 1, f"widths of {self.name}: {', '.join(fixed)}, {count} stages, head")
            ends: dict[str, Any] = dict(zip(fixed, widths, strict=False)) | {"head": widths[-1]}
            table = replace(table, stages=with_each(table.stages, "channels", widths[len(fixed) : -1]), **ends)
        if width_mult is not None:
            names = [name for name in (*fixed, "head", "features") if getattr(table, name) is not None]
            ends = dict(zip(names, scaled([getattr(table, name) for name in names], width_mult), strict=True))
            channels = scaled([stage.channels for stage in table.stages], width_mult)
            table = replace(table, stages=with_each(table.stages, "channels", channels), **ends)
        if depths is not None:
            _expect(depths, count, f"depths of {self.name}: one per stage")
            table = replace(table, stages=with_each(table.stages, "depth", depths))
        if strides is not None:
            _expect(strides, count + 1, f"strides of {self.name}: stem, then one per stage")
            stages = with_each(table.stages, "stride", strides[1:])
            table = replace(table, stem_stride=strides[0], stages=stages, small_images=False)
        return table if skip is None else replace(table, skip=skip)

    @property
    def settings(self) -> tuple[str, ...]:
        """The settings that apply: `skip` only where a candidate is one."""
        names = {name for stage in self.stages for name in stage.candidates or self.candidates}
        return ("widths", "depths", "strides", *(["skip"] if names.intersection(SKIPS) else []), "width_mult")

    def at_resolution(self, resolution: int) -> ChainTable:
        """The table with the strides that suit images of this size."""
        if resolution > SMALL_IMAGE or not self.small_images:
            return self
        strided = next((index for index, stage in enumerate(self.stages) if stage.stride > 1), None)
        strides = [1 if index == strided else stage.stride for index, stage in enumerate(self.stages)]
        return replace(self, stem_stride=1, stages=with_each(self.stages, "stride", strides))

    def build(self, resolution: int, num_classes: int, in_channels: int) -> SearchSpace:
        """The search space for images (in_channels, resolution, resolution)."""
        table = self.at_resolution(resolution)
        sites: list[Site] = []
        decisions: list[Decision] = []

        def add(name: str, *options: Block, **settings: Any) -> None:
            sites.append(Site(name, options, (sites[-1].name if sites else INPUT,), **settings))

        add("stem", Conv(table.stem, 3, table.stem_stride, act=table.act))
        channels = table.stem
        if table.first is not None:
            add("first", InvertedResidual(table.first, 3, 1, act=table.act, residual=False))
            channels = table.first
        for number, stage in enumerate(table.stages, 1):
            for layer in range(stage.depth):
                options = table.options(channels, stage, stage.stride if layer == 0 else 1)
                blocks = tuple(options.values())
                rows = tuple(range(len(blocks)))
                sharing = table.sharing_of(blocks)
                add(f"stage{number}/{layer}", *blocks, given=(len(decisions),), table=rows, sharing=sharing)
                decisions.append(Decision(sites[-1].name, tuple(options)))
                channels = stage.channels
        add("mix", Conv(table.head, act=table.act))
        if table.features is not None:
            add("pool", GlobalPool())
            add("features", Conv(table.features, act=table.act, bn=False, bias=True))
        add("head", Head(num_classes, bias=table.head_bias, dropout=table.head_dropout))
        return SearchSpace(table.name, tuple(decisions), tuple(sites), (in_channels, resolution, resolution))

    def sharing_of(self, blocks: Sequence[Block]) -> str:
        """The way the options of one layer share: a skip that is a convolution cannot lie inside a super-kernel."""
        inside = all(isinstance(block, (InvertedResidual, Identity)) for block in blocks)
        return "sliced" if self.sharing != "own" and not inside else self.sharing

    def options(self, in_channels: int, stage: Stage, stride: int) -> dict[str, Block]:
        """The candidates of one layer by name."""
        act = self.act if stage.act is None else stage.act
        slot = Slot(in_channels, stage.channels, stride, act, stage.se, self.always_expand)
        options: dict[str, Block] = {}
        for name in stage.candidates or self.candidates:
            if name in SKIPS and slot.changes and self.skip == "identity":
                continue
            block = parse_candidate(name)(slot)
            for other, same in options.items():
                if block == same:
                    raise UserError(f"{self.name}: candidates {other!r} and {name!r} are the same block")
            options[name] = block
        if not options:
            raise UserError(
                f"{self.name}: skip is the only candidate, and with skip: identity it cannot change the shape"
            )
        return options


def _stages(content: Any) -> tuple[Stage, ...]:
    needed, known = {"channels", "depth", "stride"}, {f.name for f in fields(Stage)}
    if not isinstance(content, Sequence) or not all(
        isinstance(stage, Mapping) and needed <= set(stage) <= known for stage in content
    ):
        raise UserError(
            "stages must be a list of {channels: C, depth: N, stride: S}, with act, se and candidates where they differ"
        )
    return tuple(
        Stage(**dict(stage) | ({"candidates": _names(stage["candidates"])} if "candidates" in stage else {}))
        for stage in content
    )


def _names(content: Any) -> tuple[str, ...]:
    if isinstance(content, str) or not isinstance(content, Sequence):
        raise UserError("candidates must be a list of names")
    return tuple(map(str, content))


def scaled(widths: Sequence[int], factor: float) -> list[int]:
    """Widths times a factor, rounded to multiples of 8 as MobileNetV2's are. Raises UserError for no such factor."""
    if not 0 < factor <= MOST_FACTOR:
        raise UserError(f"--width-mult must be above 0 and at most {MOST_FACTOR}, not {factor}")
    return [make_divisible(width * factor) for width in widths]


def _expect(values: Sequence[int], length: int, meaning: str) -> None:
    if len(values) != length:
        raise UserError(f"{meaning}; that is {length} numbers, not {len(values)}")
