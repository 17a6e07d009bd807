"""Options that name a search space."""

from config_file.fields import option
from config_file.options import options
from config_file.plugins import PluginOptions
from supernet.spaces import SPACES


@options("Space")
class SpaceOptions(PluginOptions):
    """The space of networks. Later stages take these from the supernet's run unless told otherwise."""

    search_space: str = option(
        "proxylessnas",
        "{names}, FILE.yml, module:callable, or elastic:NETWORK",
        metavar="NAME",
        names=SPACES,
        inherit=True,
    )
    resolution: int | None = option(
        None,
        "height and width of the input; none: the data set's own",
        unit="pixels",
        flags=("input_size",),
        at_least=1,
        at_most=16384,
        inherit=True,
        decides="training",
    )
    widths: tuple[int, ...] | None = option(
        None, "channels: stem,first,stage...,head; none: the space's", at_least=1, inherit=True
    )
    depths: tuple[int, ...] | None = option(None, "layers per stage; none: the space's", at_least=1, inherit=True)
    strides: tuple[int, ...] | None = option(
        None, "stride of the stem and of each stage; none: by resolution", at_least=1, inherit=True
    )
    skip: str | None = option(
        None,
        "what skip is where the shape changes: a 1x1 convolution + BN, or not offered; none: as the space declares",
        choices=("conv", "identity"),
        inherit=True,
    )
    width_mult: float | None = option(
        None,
        "factor of all widths of a chain or of ofa_*; less than 1 for a supernet that is a proxy of the space that is "
        "searched; none: the space's",
        above=0,
        at_most=16,
        inherit=True,
    )
    image_sizes: str | None = option(
        None,
        "ofa_*, attentivenas, YAML with lists: the image size is a decision, among 128-224:4 or 128,160,224; the "
        "largest is the resolution of the data; fixed: it is none; none: the space's (attentivenas decides at 288)",
        metavar="SIZES",
        inherit=True,
    )
    inner_channels: str | None = option(
        None,
        "spos, mobilenetv2: every layer chooses among shares of its inner channels, as 0.2-1.6:0.2 or 0.5,0.75,1; "
        "none: it has them all",
        metavar="SHARES",
        inherit=True,
    )
    elastic: str | None = option(
        None,
        "elastic:NETWORK: shares of their channels that layers may have, and depth: residual blocks may be left out; "
        "none: '*:0.5,0.75,1,depth'",
        metavar="'GLOB:CHOICES ...'",
        as_json=True,
        inherit=True,
    )
    affine: bool | None = option(
        None,
        "darts and other cells: batch norms of cells learn scale and shift, and none follows a pooling; none: not in a "
        "supernet, but in networks alone",
        inherit=True,
    )
    partial_channels: int | None = option(
        None,
        "darts and other cells: operations of a supernet see one of so many parts of the channels, the others pass, "
        "and the edges of a node compete (PC-DARTS: 4); none: they see all",
        at_least=2,
        at_most=256,
        inherit=True,
    )
