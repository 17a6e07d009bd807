"""Chain spaces as a table: stem, stages of layers that choose among the same candidates, head.

ProxylessNAS, FBNet, SPOS, Single-Path NAS and NAS-Bench-Macro are such tables, and so is a space of one's own in YAML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

from config_file.errors import UserError, nearest
from supernet.blocks import ACTIVATIONS, Conv, GlobalPool, Head, make_divisible
from supernet.composites import InvertedResidual
from supernet.sharing import SHARING
from supernet.space import SearchSpace
from supernet.spaces.candidates import SKIPS, shuffles
from supernet.spaces.image_sizes import FIXED, parse_sizes, with_image_sizes
from supernet.spaces.inner_channels import parse_shares, shares_of
from supernet.spaces.layers import Layers, sliced
from supernet.spaces.layout import Axis, Layout
from supernet.spaces.stages import Stage, check_candidates, check_choices, names_of, several, stages_of

MOST_LAYERS, MOST_WIDTH, MOST_STRIDE, MOST_FACTOR = 500, 2**17, 64, 16
"""Upper limits of a chain: layers that choose, all stages together; channels; strides."""

LATER: dict[str, Any] = {
    "head_expand": None, "features_bias": True, "projections": False, "width_mult": None, "inner_channels": None,
    "image_sizes": None,
}  # fmt: skip
"""Keys that tables as data have only where they are not at their default: files know them since later versions."""

SMALL_IMAGE = 64
"""At this resolution and below, stem and first strided stage keep the resolution, as is usual for CIFAR."""


def with_each(stages: Sequence[Any], field: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """The stages, each with a value of its own in one field."""
    return tuple(replace(stage, **{field: value}) for stage, value in zip(stages, values, strict=True))


@dataclass(frozen=True)
class ChainTable:
    """A chain space as its paper tabulates it.

    Args:
        name: of the space.
        stages: the searchable stages.
        candidates: names of the candidates of a layer, unless its stage has its own, or kernels and expansions: kKeE
            (inverted residual of kernel K and expansion E, also written eEkK; gG for grouped pointwise convolutions
            with a shuffle, se for squeeze-excite), shuffle_kK, xception, skip or identity.
        stem: channels of the 3x3 stem; here, of head and features a tuple is a choice, as in a `Stage`.
        stem_stride: its stride.
        first: channels of a fixed k3e1 block after the stem, or None.
        head: channels of the last 1x1 convolution, or None.
        head_expand: it has so many times the channels of the last stage instead.
        act: activation.
        skip: what a skip is where the shape changes: "conv" (1x1 convolution + BN, strided), or "identity": there is
            none.
        always_expand: expansion-1 blocks keep their 1x1 expansion.
        sharing: "own" weights for every candidate; "sliced" from the largest; "super_kernel": sliced, and mixed inside
            the kernel; "elastic_kernel": sliced, and small kernels are learned maps of large ones. What is a choice of
            numbers is sliced in any case.
        head_bias: the classifier has a bias.
        head_dropout: dropout before the classifier.
        features: channels of a 1x1 convolution between a global pooling and the classifier (MobileNetV3).
        features_bias: it has a bias.
        small_images: on small images the stem and the first strided stage keep the resolution.
        projections: where a stage begins with another shape, its first layer has a shortcut too, see `Projection`; for
            stages of kernels and expansions.
        width_mult: factor of all widths, rounded to multiples of 8.
        inner_channels: every layer chooses among these shares of the channels inside its shuffle block.
        image_sizes: the image size is a decision among these, where the largest is the resolution at hand.
    """

    name: str
    stages: tuple[Stage, ...]
    candidates: tuple[str, ...]
    stem: int | tuple[int, ...]
    head: int | tuple[int, ...] | None
    stem_stride: int = 2
    first: int | None = None
    act: str = "relu6"
    skip: str = "conv"
    always_expand: bool = False
    sharing: str = "own"
    head_bias: bool = True
    head_dropout: float = 0.0
    features: int | tuple[int, ...] | None = None
    small_images: bool = True
    head_expand: int | None = None
    features_bias: bool = True
    projections: bool = False
    width_mult: float | None = None
    inner_channels: str | None = None
    image_sizes: str | None = None

    def __post_init__(self) -> None:
        if not self.stages:
            raise UserError(f"{self.name}: a space needs at least one stage")
        for number, stage in enumerate(self.stages, 1):
            stage.check(f"{self.name}: stage {number}")
            if stage.expand is None:
                check_candidates(self.name, self.candidates if stage.candidates is None else stage.candidates)
        self._check_choices()
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
        widths = [n for _, channels in self._ends() for n in several(channels)]
        widths += [*several(self.first), *(width for stage in self.stages for width in stage.widths)]
        depths, strides = [s.most for s in self.stages], [self.stem_stride, *(s.stride for s in self.stages)]
        if any(type(number) is not int or number < 1 for number in (*widths, *depths, *strides)):
            raise UserError(f"{self.name}: channels, depths and strides must be whole numbers of at least 1")
        widest = max(widths) * max(1, self.width_mult or 1, self.head_expand or 1)
        if widest > MOST_WIDTH or sum(depths) > MOST_LAYERS or max(strides) > MOST_STRIDE:
            raise UserError(
                f"{self.name}: at most {MOST_WIDTH:,} channels, {MOST_LAYERS} layers and strides of {MOST_STRIDE}; "
                f"it has {widest:g} channels, {sum(depths)} layers, and a stride of {max(strides)}"
            )
        for what in ("always_expand", "head_bias", "small_images", "features_bias", "projections"):
            if not isinstance(getattr(self, what), bool):
                raise UserError(f"{self.name}: {what} must be true or false, not {getattr(self, what)!r}")

    def _check_choices(self) -> None:
        """Raises UserError for choices of numbers that the table cannot have."""
        for key, kinds in (("width_mult", (int, float)), ("head_expand", (int,))):
            if (value := getattr(self, key)) is not None and type(value) not in kinds:
                raise UserError(f"{self.name}: {key} must be a number, not {value!r:.60}")
        for what, channels in self._ends():
            check_choices(f"{self.name}: {what}", channels, whole=True)
        if (self.head is None) == (self.head_expand is None):
            raise UserError(f"{self.name}: it needs head, or head_expand, not both")
        if self.width_mult is not None:
            scaled([], self.width_mult)
        if self.inner_channels is not None:
            parse_shares(self.inner_channels)
        if self.image_sizes is not None and self.image_sizes != FIXED:
            parse_sizes(self.image_sizes)
        self._check_layers()

    def _check_layers(self) -> None:
        """Raises UserError for choices that candidates or their sharing do not allow."""
        if self.projections and any(stage.expand is None or stage.stride not in (1, 2) for stage in self.stages):
            raise UserError(f"{self.name}: projections are for stages of kernel and expand with stride 1 or 2")
        if self.elastic_widths and self.sharing == "super_kernel":
            raise UserError(f"{self.name}: layers that mix inside their kernel (super_kernel) have one width each")
        if self.inner_channels is not None and "inner_channels" not in self.settings:
            raise UserError(
                f"{self.name}: inner_channels are for shuffle_kK and xception; inverted residuals choose theirs by "
                "expand: [3, 4, 6]"
            )
        for name in self._names():
            if self.elastic_widths and shuffles(name):
                raise UserError(
                    f"{self.name}: {name} splits its channels and needs one width; inner_channels can be chosen"
                )

    def _ends(self) -> list[tuple[str, Any]]:
        """The channels of stem, head and features, as far as there are such."""
        ends = (
            ("stem", self.stem),
            ("head", self.head),
            ("head_expand", self.head_expand),
            ("features", self.features),
        )
        return [(what, channels) for what, channels in ends if channels is not None]

    def _names(self) -> set[str]:
        """The names of candidates in use."""
        return {name for s in self.stages if s.expand is None for name in s.candidates or self.candidates}

    @property
    def elastic_widths(self) -> bool:
        """True where a width is a choice."""
        return any(
            isinstance(c, tuple) for c in (self.stem, self.head, self.features, *(s.channels for s in self.stages))
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `ChainTable.from_dict` reads back; the form of a YAML file."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        data = {key: value for key, value in data.items() if key not in LATER or value != LATER[key]}
        data |= {"stages": [stage.to_dict() for stage in self.stages], "candidates": list(self.candidates)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in data.items()}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> ChainTable:
        """A table from a YAML file's content. Raises UserError naming the key that is wrong."""
        known = {f.name: f for f in fields(ChainTable)}
        for key in data:
            if key not in known:
                hint = nearest(str(key), known) or f" (keys: {', '.join(known)})"
                raise UserError(f"unknown key {key!r} in a search space{hint}")
        missing = [key for key in ("name", "stages", "stem") if key not in data]
        if missing:
            raise UserError(f"a search space needs {', '.join(missing)}")
        given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
        for key in ("inner_channels", "image_sizes"):
            if key in given and given[key] is not None:
                given[key] = ",".join(map(str, several(given[key])))
        given["stages"], given["candidates"] = stages_of(data["stages"]), names_of(data.get("candidates", []))
        return ChainTable(**({"head": None} | given | {"name": str(data["name"])}))

    def with_settings(
        self,
        widths: Sequence[int] | None = None,
        depths: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        skip: str | None = None,
        width_mult: float | None = None,
        inner_channels: str | None = None,
        image_sizes: str | None = None,
    ) -> ChainTable:
        """The table with other widths (stem, first if there is one, stages, head), depths or strides (stem, stages).

        `depths` are the greatest where a stage chooses its depth. `width_mult` is a factor of all widths, those given
        included.
        """
        count, table = len(self.stages), self
        fixed = ["stem"] if self.first is None else ["stem", "first"]
        if widths is not None:
            _expect(widths, len(fixed) + count + 1, f"widths of {self.name}: {', '.join(fixed)}, {count} stages, head")
            ends: dict[str, Any] = dict(zip(fixed, widths, strict=False)) | {"head": widths[-1]}
            table = replace(table, stages=with_each(table.stages, "channels", widths[len(fixed) : -1]), **ends)
        if depths is not None:
            _expect(depths, count, f"depths of {self.name}: one per stage")
            stages = tuple(stage.with_most(depth) for stage, depth in zip(table.stages, depths, strict=True))
            table = replace(table, stages=stages)
        if strides is not None:
            _expect(strides, count + 1, f"strides of {self.name}: stem, then one per stage")
            stages = with_each(table.stages, "stride", strides[1:])
            table = replace(table, stem_stride=strides[0], stages=stages, small_images=False)
        others: dict[str, Any] = {
            "skip": skip,
            "width_mult": width_mult,
            "inner_channels": inner_channels,
            "image_sizes": image_sizes,
        }
        return replace(table, **{name: value for name, value in others.items() if value is not None})

    @property
    def settings(self) -> tuple[str, ...]:
        """The settings that apply: `skip` only where a candidate is one, `widths` where none is a choice."""
        names = self._names()
        applies = {
            "widths": not self.elastic_widths and self.head is not None,
            "depths": True,
            "strides": True,
            "skip": bool(names.intersection(SKIPS)),
            "width_mult": True,
            "inner_channels": bool(names) and all(map(shuffles, names)),
            "image_sizes": self.image_sizes is not None or any(stage.elastic for stage in self.stages),
        }
        return tuple(name for name, is_so in applies.items() if is_so)

    def at_resolution(self, resolution: int) -> ChainTable:
        """The table with the strides that suit images of this size."""
        if resolution > SMALL_IMAGE or not self.small_images:
            return self
        strided = next((index for index, stage in enumerate(self.stages) if stage.stride > 1), None)
        strides = [1 if index == strided else stage.stride for index, stage in enumerate(self.stages)]
        return replace(self, stem_stride=1, stages=with_each(self.stages, "stride", strides))

    def build(self, resolution: int, num_classes: int, in_channels: int) -> SearchSpace:
        """The search space for images (in_channels, resolution, resolution)."""
        table, layout = self.at_resolution(resolution), Layout()

        def width(name: str, channels: Any) -> Axis:
            return layout.decide(f"{name}/channels", table._wide(several(channels)), several(channels))

        stem = width("stem", table.stem)
        layout.add("stem", partial(Conv, kernel=3, stride=table.stem_stride, act=table.act), stem, sharing=sliced(stem))
        before = stem
        if table.first is not None:
            first = Axis(table._wide((table.first,)))
            fixed = partial(InvertedResidual, kernel=3, expand=1, act=table.act, residual=False)
            layout.add("first", fixed, first, sharing=sliced(before))
            before = first
        layers = Layers(
            table.name, table.candidates, table.act, table.skip, table.always_expand, table.sharing,
            table.projections, shares_of(table.inner_channels),
        )  # fmt: skip
        for number, stage in enumerate(table.stages, 1):
            channels = width(f"stage{number}", stage.channels)
            layers.add(layout, f"stage{number}", stage, before, channels)
            before = channels
        if table.head_expand is None:
            head = width("mix", table.head)
        else:
            head = Axis(tuple(make_divisible(c * table.head_expand) for c in before.values), before.decision)
        layout.add("mix", partial(Conv, act=table.act), head, sharing=sliced(before, head))
        if table.features is not None:
            before, head = head, width("features", table.features)
            layout.add("pool", GlobalPool)
            mixed = partial(Conv, act=table.act, bn=False, bias=table.features_bias)
            layout.add("features", mixed, head, sharing=sliced(before, head))
        classifier = partial(Head, num_classes, bias=table.head_bias, dropout=table.head_dropout)
        layout.add("head", classifier, sharing=sliced(head))
        shape = in_channels, resolution, resolution
        space = SearchSpace(table.name, tuple(layout.decisions), tuple(layout.sites), shape)
        return with_image_sizes(space, table.image_sizes)

    def _wide(self, widths: Sequence[int]) -> tuple[int, ...]:
        return tuple(widths if self.width_mult is None else scaled(widths, self.width_mult))

    def for_images(self, resolution: int) -> ChainTable:
        """The table with a fixed image size, unless its own sizes reach up to this one."""
        if self.image_sizes is None or self.image_sizes == FIXED or parse_sizes(self.image_sizes)[-1] == resolution:
            return self
        return replace(self, image_sizes=None)


def scaled(widths: Sequence[int], factor: float) -> list[int]:
    """Widths times a factor, rounded to multiples of 8 as MobileNetV2's are. Raises UserError for no such factor."""
    if not 0 < factor <= MOST_FACTOR:
        raise UserError(f"--width-mult must be above 0 and at most {MOST_FACTOR}, not {factor}")
    return [make_divisible(width * factor) for width in widths]


def _expect(values: Sequence[int], length: int, meaning: str) -> None:
    if len(values) != length:
        raise UserError(f"{meaning}; that is {length} numbers, not {len(values)}")
