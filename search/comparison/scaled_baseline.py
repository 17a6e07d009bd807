"""MobileNetV2 scaled in width to a given cost: the network a search has to beat.

Sandler et al. 2018: inverted residuals k3e6, widths 16, 24, 32, 64, 96, 160, 320 times a multiplier, repeated 1, 2, 3,
4, 3, 3, 1 times. Where the searched space has MobileNetV2's six searchable stages the baseline takes its strides, so
that both see the same resolutions; elsewhere MobileNetV2's own, with the usual change for small images.
"""

from bisect import bisect_left
from collections.abc import Callable
from functools import cache

from supernet import NetSpec, SearchSpace
from supernet.blocks import Conv, make_divisible
from supernet.composites import InvertedResidual
from supernet.spaces.chain import ChainTable
from supernet.spaces.stages import Stage

STEM, FIRST = 32, 16
STAGES = (
    # channels, layers, stride
    Stage(24, 2, 2),
    Stage(32, 3, 2),
    Stage(64, 4, 2),
    Stage(96, 3, 1),
    Stage(160, 3, 2),
    Stage(320, 1, 1),
)
MULTIPLIERS = tuple(step / 200 for step in range(10, 601))
"""0.05 to 3.0; finer than the rounding of widths."""

DIVISOR = 4
"""MobileNetV2 rounds widths to 8; narrow networks need finer steps to meet a cost."""


def scaled_mobilenetv2(space: SearchSpace, cost: Callable[[NetSpec], float], target: float) -> tuple[NetSpec, float]:
    """(network, width multiplier) whose cost is nearest to `target`.

    Args:
        space: the searched space; its resolution, classes, strides and last 1x1 convolution's width are taken over.
        cost: of a network, in the unit of `target`.
    """
    head = _head_width(space)
    strides = _strides(space)

    def network(step: int) -> NetSpec:
        return _mobilenetv2(space, MULTIPLIERS[step], head, strides)

    # Widths are rounded, but never fall as the multiplier rises, and nor does the cost: the first network that costs
    # as much, and the one before, by the least of the multipliers that round to it.
    steps = range(len(MULTIPLIERS))
    costs = cache(lambda step: cost(network(step)))
    above = min(bisect_left(steps, target, key=costs), len(steps) - 1)
    below = bisect_left(steps, costs(max(above - 1, 0)), key=costs)
    nearest = min((below, above), key=lambda step: abs(costs(step) - target))
    return network(nearest), MULTIPLIERS[nearest]


def _mobilenetv2(space: SearchSpace, multiplier: float, head: int, strides: tuple[int, ...] | None) -> NetSpec:
    channels, resolution, _ = space.input_shape
    table = ChainTable(
        name="mobilenetv2_scaled",
        stem=make_divisible(STEM * multiplier, DIVISOR),
        first=make_divisible(FIRST * multiplier, DIVISOR),
        stages=tuple(Stage(make_divisible(s.widths[0] * multiplier, DIVISOR), s.depth, s.stride) for s in STAGES),
        head=head,
        candidates=("k3e6",),
    ).with_settings(strides=strides)
    classes = space.sites[-1].options[0].output_shape((1, 1, 1))[0]
    scaled = table.build(resolution, classes, channels)
    return scaled.decode((0,) * len(scaled.sizes))


def _head_width(space: SearchSpace) -> int:
    widths = [b.out_channels for s in space.sites if not s.given for b in s.options if isinstance(b, Conv)]
    return next(width for width in reversed(widths) if width is not None) if len(widths) > 1 else 1280


def _strides(space: SearchSpace) -> tuple[int, ...] | None:
    """The searched space's (stem, six stages), or None where it is laid out differently."""
    firsts = [site for site in space.sites if site.name.startswith("stage") and site.name.endswith("/0")]
    stem = space.sites[0].options[0]
    if len(firsts) != len(STAGES) or not isinstance(stem, Conv):
        return None
    blocks = [next((b for b in site.options if isinstance(b, InvertedResidual)), None) for site in firsts]
    strides = [block.stride for block in blocks if block is not None]
    return (stem.stride, *strides) if len(strides) == len(STAGES) else None
