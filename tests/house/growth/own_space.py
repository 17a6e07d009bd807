"""A search space of one's own: three layers of one stage, each a double convolution or nothing."""

from own_block import DoubleConv

from supernet import Decision, SearchSpace, Site
from supernet.blocks import Conv, Head, Identity
from supernet.spaces import SPACES, SpaceDef


def build(resolution: int, num_classes: int, in_channels: int, widths: list[int] | None = None) -> SearchSpace:
    (channels,) = widths or [8]
    sites = [Site("stem", (Conv(channels, 3, 2),), ("input",))]
    decisions = [Decision(f"layer{number}", ("double3", "double5", "none")) for number in range(3)]
    options = (DoubleConv(3), DoubleConv(5), Identity())
    for number, decision in enumerate(decisions):
        sites.append(Site(decision.name, options, (sites[-1].name,), given=(number,), table=(0, 1, 2)))
    sites.append(Site("head", (Head(num_classes),), (sites[-1].name,)))
    return SearchSpace("doubles", tuple(decisions), tuple(sites), (in_channels, resolution, resolution))


SPACES["doubles"] = SpaceDef(build, settings=("widths",), resolution=16)
