"""Once-for-all's ResNet-50-D (Cai et al. 2020) with elastic depth, width and bottlenecks.

Stem and stages have a width each, of 0.65, 0.8 or 1 times ResNet-50's; a bottleneck's inner width is 0.2, 0.25 or 0.35
of its output; a stage has up to two layers more than 2, 2, 4 and 2. Narrower layers are the first channels of the
widest; a shallower stage keeps its first layers.
"""

from collections.abc import Sequence

from config_file.errors import UserError
from supernet.blocks import Block, Conv, Head, Identity, Pool, make_divisible
from supernet.composites import Bottleneck, ResidualConv
from supernet.decisions import Decision
from supernet.sites import Site
from supernet.space import SearchSpace
from supernet.spaces.chain import SMALL_IMAGE
from supernet.spaces.image_sizes import with_image_sizes
from supernet.spec import INPUT

FACTORS, EXPANSIONS, EXTRA_LAYERS = (0.65, 0.8, 1.0), (0.2, 0.25, 0.35), 2
STEM, WIDTHS, DEPTHS, STRIDES = 64, (256, 512, 1024, 2048), (4, 4, 6, 4), (1, 2, 2, 2)


def build_ofa_resnet50(
    resolution: int,
    num_classes: int,
    in_channels: int,
    widths: Sequence[int] | None = None,
    depths: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    image_sizes: str | None = None,
    factors: Sequence[float] = FACTORS,
    expansions: Sequence[float] = EXPANSIONS,
) -> SearchSpace:
    """The space for images (in_channels, resolution, resolution).

    Args:
        widths: of the stem and each stage at factor 1.
        depths: the most layers of each stage; up to two of them, but not the first, may be left out.
        strides: stem, pooling, stages; without it small images keep their size in stem and pooling.
        image_sizes: makes the image size a decision, see `supernet.spaces.image_sizes`.
        factors, expansions: others than once-for-all's, for smaller spaces in tests.
    """
    count = len(WIDTHS)
    stem, *stages = widths if widths is not None else (STEM, *WIDTHS)
    depths = DEPTHS if depths is None else depths
    if strides is None:
        strides = (*((1, 1) if resolution <= SMALL_IMAGE else (2, 2)), *STRIDES)
    for name, values, meaning, length in (
        ("widths", stages, f"stem, {count} stages", count),
        ("depths", depths, f"the most layers of each of {count} stages", count),
        ("strides", strides, f"stem, pooling, {count} stages", count + 2),
    ):
        if len(values) != length:
            raise UserError(f"{name} of ofa_resnet50: {meaning}")
    layout = _Layout(factors, expansions)
    layout.stem(stem, strides[0], strides[1])
    for number, (width, depth, stride) in enumerate(zip(stages, depths, strides[2:], strict=True), 1):
        layout.stage(f"stage{number}", width, depth, stride)
    layout.add("head", (Head(num_classes),))
    shape = in_channels, resolution, resolution
    space = SearchSpace("ofa_resnet50", tuple(layout.decisions), tuple(layout.sites), shape)
    return with_image_sizes(space, image_sizes)


class _Layout:
    """The decisions and sites, laid out one after another."""

    def __init__(self, factors: Sequence[float], expansions: Sequence[float]) -> None:
        self.factors, self.expansions = factors, expansions
        self.decisions: list[Decision] = []
        self.sites: list[Site] = []

    def decide(self, name: str, options: Sequence[float]) -> int:
        self.decisions.append(Decision(name, tuple(f"{option:g}" for option in options)))
        return len(self.decisions) - 1

    def add(self, name: str, options: tuple[Block, ...], given: tuple[int, ...] = (), table: tuple = (0,)) -> None:
        before = self.sites[-1].name if self.sites else INPUT
        distinct = tuple(dict.fromkeys(options))  # two widths may be rounded to the same
        table = tuple(distinct.index(options[option]) for option in table)
        self.sites.append(Site(name, distinct, (before,), given=given, table=table, sharing="sliced"))

    def stem(self, width: int, stride: int, pooling: int) -> None:
        """Three 3x3 convolutions, of which the one in the middle may be left out, and a pooling."""
        wide = [make_divisible(width * factor) for factor in self.factors]
        narrow = [make_divisible(channels // 2) for channels in wide]
        every = tuple(range(len(self.factors)))
        inside = self.decide("stem/inner_width", self.factors)
        self.add("stem/0", tuple(Conv(channels, 3, stride, act="relu") for channels in narrow), (inside,), every)
        middle = self.decide("stem/depth", (0, EXTRA_LAYERS))
        self.add("stem/1", (Identity(), ResidualConv()), (middle,), (0, 1))
        outside = self.decide("stem/width", self.factors)
        self.add("stem/2", tuple(Conv(channels, 3, act="relu") for channels in wide), (outside,), every)
        self.add("pool", (Pool("max", pooling),))

    def stage(self, name: str, width: int, layers: int, stride: int) -> None:
        """Bottlenecks of one width, each with an inner width of its own."""
        wide = [make_divisible(width * factor) for factor in self.factors]
        channels = self.decide(f"{name}/width", self.factors)
        extra = range(min(EXTRA_LAYERS, layers - 1) + 1)
        always = layers - extra[-1]
        depth = self.decide(f"{name}/depth", extra) if len(extra) > 1 else -1
        for layer in range(layers):
            inner = self.decide(f"{name}/{layer}/expand", self.expansions)
            strided = stride if layer == 0 else 1
            options: tuple[Block, ...] = tuple(
                Bottleneck(out, ratio, 3, strided, project=layer == 0) for out in wide for ratio in self.expansions
            )
            given, every = (channels, inner), tuple(range(len(options)))
            if layer < always:
                self.add(f"{name}/{layer}", options, given, every)
            else:
                table = sum((every if layer < always + more else (len(options),) * len(options) for more in extra), ())
                self.add(f"{name}/{layer}", (*options, Identity()), (depth, *given), table)
