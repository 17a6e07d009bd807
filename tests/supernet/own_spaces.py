"""Spaces that are not shipped, built from sites as a user would: elastic layers, a cell space, absent branches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import product

import numpy as np

from supernet import Decision, SearchSpace, Site
from supernet.blocks import Block, Conv, Head, Identity, Pool
from supernet.composites import InvertedResidual
from supernet.sites import tabulate
from supernet.spaces.nasbench201 import nasbench201


def elastic(
    widths: Sequence[int] = (8, 8, 16, 24, 32),
    kernels: Sequence[int] = (3, 5, 7),
    expands: Sequence[int] = (3, 4, 6),
    depths: Sequence[int] = (2, 3),
    resolution: int = 16,
    num_classes: int = 10,
    in_channels: int = 3,
) -> SearchSpace:
    """Like once-for-all: per stage a depth, per layer a kernel and an expansion; beyond the depth neither matters.

    widths: stem, first, stages, head.
    """
    stem, first, *stages, head = widths
    sites = [
        Site("stem", (Conv(stem, 3, 2, act="hswish"),), ("input",)),
        Site("first", (InvertedResidual(first, 3, 1, act="relu"),), ("stem",)),
    ]
    decisions: list[Decision] = []
    for number, channels in enumerate(stages):
        depth = len(decisions)
        decisions.append(Decision(f"stage{number}/depth", tuple(map(str, depths))))
        for layer in range(max(depths)):
            options: tuple[Block, ...] = tuple(
                InvertedResidual(channels, kernel, expand, 1 if layer else 2, act="hswish", se=number % 2 == 1)
                for kernel, expand in product(kernels, expands)
            )
            beyond = len(options)
            if layer >= min(depths):
                options += (Identity(),)

            def rule(d: int, k: int, e: int, layer: int = layer, beyond: int = beyond) -> int:
                return k * len(expands) + e if layer < depths[d] else beyond

            given = depth, len(decisions), len(decisions) + 1
            table = tabulate((len(depths), len(kernels), len(expands)), rule)
            name = f"stage{number}/{layer}"
            sites.append(Site(name, options, (sites[-1].name,), given=given, table=table, sharing="sliced"))
            decisions += [
                Decision(f"{name}/kernel", tuple(f"k{k}" for k in kernels)),
                Decision(f"{name}/expand", tuple(f"e{e}" for e in expands)),
            ]
    sites += [
        Site("mix", (Conv(head, act="hswish"),), (sites[-1].name,)),
        Site("head", (Head(num_classes),), ("mix",)),
    ]
    return SearchSpace("elastic", tuple(decisions), tuple(sites), (in_channels, resolution, resolution))


small_nasbench201 = partial(nasbench201, widths=(4, 8, 16), depths=(2, 2, 2))
tiny_nasbench201 = partial(nasbench201, widths=(2, 4, 8), depths=(1, 1, 1), resolution=8)


def branches(
    width: int = 4, cells: int = 2, resolution: int = 12, num_classes: int = 5, in_channels: int = 3
) -> SearchSpace:
    """Three branches that are concatenated; two may be absent, and then their operation does not matter.

    The first branch reads the second where both are there. Both cells have the same choices.
    """
    decisions = (
        Decision("shape", ("both", "left", "right", "neither")),
        Decision("left", ("conv3", "conv5", "maxpool")),
        Decision("right", ("conv1", "conv3")),
    )
    left = (Conv(width, 3), Conv(width, 5), Pool("max"))
    right = (Conv(width, 1, act="relu"), Conv(2 * width, 3, act="relu"))
    sites = [Site("stem", (Conv(width, 3),), ("input",))]
    last = "stem"
    for cell in range(cells):
        name = f"cell{cell}"
        sites += [
            Site(
                f"{name}/right",
                right,
                (last,),
                given=(0, 2),
                table=tabulate((4, 2), lambda shape, op: op if shape in (0, 2) else None),
                gate="right",
            ),
            Site(f"{name}/entry", (Conv(width, 1, bn=False),), (last, f"{name}/right"), "concat", sharing="sliced"),
            Site(
                f"{name}/left",
                left,
                (f"{name}/entry",),
                given=(0, 1),
                table=tabulate((4, 3), lambda shape, op: op if shape in (0, 1) else None),
                gate="left",
            ),
            Site(f"{name}/middle", (Conv(width, 3, 2 if cell == 0 else 1, act="hswish"),), (f"{name}/entry",)),
            Site(f"{name}/tail", (Pool("avg", 2 if cell == 0 else 1),), (f"{name}/left",)),
            Site(name, (Identity(),), (f"{name}/tail", f"{name}/middle"), "concat"),
            Site(f"{name}/mix", (Conv(width, 1),), (name,), sharing="sliced"),
        ]
        last = f"{name}/mix"
    sites.append(Site("head", (Head(num_classes, bias=False),), (last,)))
    return SearchSpace("branches", decisions, tuple(sites), (in_channels, resolution, resolution))


def zoomed(
    resolutions: Sequence[int] = (9, 12, 16), width: int = 4, num_classes: int = 5, in_channels: int = 3
) -> SearchSpace:
    """A chain of two layers whose image size is a decision too, like once-for-all's."""
    kernels = "k3", "k5"
    decisions = (
        Decision("stage/0", kernels),
        Decision("resolution", tuple(map(str, resolutions))),
        Decision("stage/1", kernels),
    )
    sites = [Site("stem", (Conv(width, 3),), ("input",))]
    for layer, decision in enumerate((0, 2)):
        options = tuple(InvertedResidual(width * 2, kernel, 2, 2) for kernel in (3, 5))
        sites.append(Site(f"stage/{layer}", options, (sites[-1].name,), given=(decision,), table=(0, 1)))
    sites.append(Site("head", (Head(num_classes),), (sites[-1].name,)))
    shapes = np.empty(len(resolutions), dtype=object)
    shapes[:] = [(in_channels, side, side) for side in resolutions]
    largest = (in_channels, max(resolutions), max(resolutions))
    return SearchSpace("zoomed", decisions, tuple(sites), largest, images=((1,), shapes))


def zoomed_to(*, resolution: int, num_classes: int, in_channels: int) -> SearchSpace:
    """The same as `--search-space module:callable` makes it: `resolution` is the largest."""
    return zoomed((resolution // 2, resolution), num_classes=num_classes, in_channels=in_channels)


YAML_SPACE = """\
# a space of one's own: MobileNetV3-like candidates on three stages
name: pocket
stem: 8
stem_stride: 1
first: 8
head: 32
act: hswish
candidates: [k3e3se, e6k5, k3e4, skip]
stages:
  - {channels: 8, depth: 2, stride: 1}
  - {channels: 16, depth: 2, stride: 2}
  - {channels: 24, depth: 1, stride: 2}
"""


def failing(*, resolution: int, num_classes: int, in_channels: int) -> SearchSpace:
    """A mistake of the user's."""
    widths: dict[str, int] = {}
    raise ValueError(widths["stem"])
