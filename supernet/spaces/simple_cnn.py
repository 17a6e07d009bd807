"""SimpleCnn, the space of Vega's MFKD example: three convolutions and a hidden layer, 36^3 * 5 = 233,280 networks.

Each convolution chooses kernel, filters, batch norm or none, ReLU or none, and is followed by a maximum over 2 x 2; the
hidden layer reads the last map as a whole. Decisions stand in the order of Vega's features, 13 of them. Unlike there
images of another resolution and other numbers of classes will do.
"""

from collections.abc import Sequence
from itertools import product

from supernet.blocks import Block, Conv, Head, Pool
from supernet.decisions import Decision
from supernet.dense import Dense
from supernet.sites import Site
from supernet.space import SearchSpace
from supernet.spec import INPUT

LAYERS = 3
FILTERS, KERNELS, UNITS = (8, 16, 32), (1, 3, 5), (16, 20, 24, 28, 32)
NO_YES = ("no", "yes")


def build_simple_cnn(
    resolution: int,
    num_classes: int,
    in_channels: int,
    layers: int = LAYERS,
    filters: Sequence[int] = FILTERS,
    kernels: Sequence[int] = KERNELS,
    units: Sequence[int] = UNITS,
) -> SearchSpace:
    """The space for images (in_channels, resolution, resolution); all but the image is for smaller ones, in tests."""
    decisions: list[Decision] = []
    sites: list[Site] = []
    side = resolution
    options: tuple[Block, ...] = tuple(
        Conv(channels, kernel, act="relu" if relu else "", bn=bool(bn), bias=True)
        for bn, channels, kernel, relu in product((0, 1), filters, kernels, (0, 1))
    )
    for layer in range(layers):
        name = f"conv{layer}"
        given = tuple(range(len(decisions), len(decisions) + 4))
        decisions += [
            Decision(f"{name}/bn", NO_YES),
            Decision(f"{name}/filters", tuple(map(str, filters))),
            Decision(f"{name}/kernel", tuple(map(str, kernels))),
            Decision(f"{name}/relu", NO_YES),
        ]
        before = sites[-1].name if sites else INPUT
        table = tuple(range(len(options)))
        sites.append(Site(name, options, (before,), given=given, table=table, sharing="sliced"))
        sites.append(Site(f"pool{layer}", (Pool("max2x2"),), (name,)))
        side = -(-side // 2)
    hidden: tuple[Block, ...] = tuple(Dense(count, side) for count in units)
    given = (len(decisions),)
    decisions.append(Decision("hidden/units", tuple(map(str, units))))
    sites += [
        Site("hidden", hidden, (sites[-1].name,), given=given, table=tuple(range(len(hidden))), sharing="sliced"),
        Site("head", (Head(num_classes),), ("hidden",), sharing="sliced"),
    ]
    return SearchSpace("simple_cnn", tuple(decisions), tuple(sites), (in_channels, resolution, resolution))
