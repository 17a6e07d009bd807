"""MobileNetV2 with a choice of width and depth per stage, as Vega's MFKD searches it: 2,097,152 architectures.

Each of seven stages repeats its block 1 to 4 times and has one of two widths. Weights are shared across depth (a layer
beyond the depth is left out) and width (the narrow layer is the first channels of the wide one).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from config_file.errors import UserError
from supernet.blocks import Block, Conv, Head, Identity
from supernet.composites import InvertedResidual
from supernet.decisions import Decision
from supernet.sites import Site, tabulate
from supernet.space import SearchSpace
from supernet.spaces.chain import SMALL_IMAGE, with_each
from supernet.spaces.inner_channels import shares_of
from supernet.spec import INPUT


@dataclass(frozen=True)
class ElasticStage:
    """Inverted residuals of one expansion; the width is one of `channels`, the depth 1 to `repetitions`."""

    channels: tuple[int, ...]
    expand: int
    stride: int
    repetitions: int = 4


STEM, HEAD = 32, 1280
STAGES: tuple[ElasticStage, ...] = (
    # channels, expansion, stride
    ElasticStage((16, 24), 1, 1),
    ElasticStage((24, 32), 6, 2),
    ElasticStage((32, 64), 6, 2),
    ElasticStage((64, 96), 6, 2),
    ElasticStage((96, 160), 6, 1),
    ElasticStage((160, 320), 6, 2),
    ElasticStage((320, 640), 6, 1),
)


def build_mobilenetv2(
    resolution: int,
    num_classes: int,
    in_channels: int,
    widths: Sequence[int] | None = None,
    depths: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    inner_channels: str | None = None,
) -> SearchSpace:
    """The space for images (in_channels, resolution, resolution).

    Args:
        widths: stem, two widths per stage (narrow, wide), head.
        depths: greatest number of repetitions per stage.
        strides: stem, then one per stage. The stem's default is 1 on small images, as in MFKD, and 2 otherwise.
        inner_channels: shares of its expansion that every layer chooses among, where it has one.
    """
    shares = shares_of(inner_channels)
    stem, head, stages = STEM, HEAD, STAGES
    stem_stride = 1 if resolution <= SMALL_IMAGE else 2
    count = len(stages)
    if widths is not None:
        if len(widths) != 2 * count + 2:
            raise UserError(f"widths of mobilenetv2: stem, {count} pairs, head; that is {2 * count + 2} numbers")
        stem, head = widths[0], widths[-1]
        pairs = [(widths[1 + 2 * index], widths[2 + 2 * index]) for index in range(count)]
        if any(narrow >= wide for narrow, wide in pairs):
            raise UserError("widths of mobilenetv2: each pair is a narrow and a wider width")
        stages = with_each(stages, "channels", pairs)
    if depths is not None:
        if len(depths) != count or min(depths) < 1:
            raise UserError(f"depths of mobilenetv2: {count} numbers of at least 1, the most repetitions per stage")
        stages = with_each(stages, "repetitions", depths)
    if strides is not None:
        if len(strides) != count + 1:
            raise UserError(f"strides of mobilenetv2: stem, then one per stage; that is {count + 1} numbers")
        stem_stride = strides[0]
        stages = with_each(stages, "stride", strides[1:])

    decisions: list[Decision] = []
    sites = [Site("stem", (Conv(stem, 3, stem_stride),), (INPUT,))]
    for number, stage in enumerate(stages, 1):
        given: tuple[int, ...] = (len(decisions), len(decisions) + 1)
        depth_names = tuple(str(depth + 1) for depth in range(stage.repetitions))
        decisions.append(Decision(f"stage{number}/channels", tuple(map(str, stage.channels))))
        decisions.append(Decision(f"stage{number}/repetitions", depth_names))
        expansions = tuple(_expansion(stage.expand, share) for share in shares) if stage.expand > 1 else (stage.expand,)
        for layer in range(stage.repetitions):
            name, reads = f"stage{number}/{layer}", given
            if len(expansions) > 1:
                reads = *given, len(decisions)
                decisions.append(Decision(f"{name}/channels", tuple(f"{share:g}" for share in shares)))
            sites.append(_layer_site(name, stage, layer, sites[-1].name, reads, expansions))
    sites += [
        Site("mix", (Conv(head),), (sites[-1].name,), sharing="sliced"),
        Site("head", (Head(num_classes, dropout=0.2),), ("mix",)),
    ]
    return SearchSpace("mobilenetv2", tuple(decisions), tuple(sites), (in_channels, resolution, resolution))


def _expansion(expand: int, share: float) -> int | float:
    inner = expand * share
    if inner < 1:
        raise UserError(f"--inner-channels: {share:g} of expansion {expand} is below 1")
    return int(inner) if inner.is_integer() else inner


def _layer_site(
    name: str, stage: ElasticStage, layer: int, before: str, given: tuple[int, ...], expansions: Sequence[int | float]
) -> Site:
    stride = stage.stride if layer == 0 else 1
    options: tuple[Block, ...] = tuple(
        InvertedResidual(channels, 3, expand, stride) for channels in stage.channels for expand in expansions
    )
    beyond_depth = len(options)
    if layer:
        options += (Identity(),)
    count = len(expansions)
    sizes = (len(stage.channels), stage.repetitions, count)[: len(given)]
    table = tabulate(sizes, lambda width, depth, inner=0: width * count + inner if depth >= layer else beyond_depth)
    return Site(name, options, (before,), given=given, table=table, sharing="sliced")
