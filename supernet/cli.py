"""A search space, and a network of it, in words or as JSON: `python -m supernet`."""

import json
from collections.abc import Sequence
from typing import Any

from config_file.errors import UserError
from config_file.fields import option
from config_file.files import atomic_write_text
from config_file.loader import parse
from config_file.options import options
from supernet.describe import as_text, describe
from supernet.net_config import config_of
from supernet.nni_form import VERSIONS, in_form
from supernet.once_for_all import image_size
from supernet.saved import architecture_of, recorded_name, space_of, widens
from supernet.space import NetworkSpace
from supernet.spaces import SETTINGS, build_network_space
from supernet.spaces.options import SpaceOptions
from supernet.written import ABOUT, read_architecture

PROG = "python -m supernet"
_GROUP = "Description"


@options()
class DescribeOptions(SpaceOptions):
    """Options of `python -m supernet`."""

    search_space: str | None = option(  # type: ignore[assignment]  # a file may say it
        None, "a shipped name, FILE.yml or module:callable; none: that of --architecture FILE, else proxylessnas",
        group="Space", metavar="NAME",
    )  # fmt: skip
    resolution: int | None = option(
        None, "height and width of the image; none: the space's own", group="Space", unit="pixels", at_least=1,
        at_most=16384, flags=("input_size",),
    )  # fmt: skip
    num_classes: int | None = option(
        None, "width of the classifier; none: 1000", group="Space", at_least=1, at_most=10**6
    )
    in_channels: int | None = option(None, "channels of the image; none: 3", group="Space", at_least=1, at_most=4096)
    architecture: str | None = option(
        None, f"a network to describe layer by layer: {ABOUT}", group=_GROUP, metavar="NAME|FILE|LIST"
    )
    constraint: str | None = option(
        None,
        "limits to try the space against: METRIC<=NUMBER or NUMBER<=METRIC<=NUMBER, with commas in between; "
        "millions, as in a search",
        group=_GROUP,
        metavar="LIMITS",
    )
    random_seed: int = option(42, "of a random architecture", group=_GROUP, at_most=2**32 - 1)
    net_config: str | None = option(
        None, "write the network of --architecture to FILE as once-for-all's net.config", group=_GROUP, metavar="FILE"
    )
    nni: str | None = option(
        None, "write --architecture to FILE as NNI's fixed architecture (JSON)", group=_GROUP, metavar="FILE"
    )
    nni_version: str = option(
        "3", "its form: 1 a list of booleans per choice, 2 names per edge, 3 the labels of the hub", group=_GROUP,
        choices=VERSIONS,
    )  # fmt: skip
    json: bool = option(False, "print JSON: size, range, decisions, and macs, params and layers", group=_GROUP)


def main(argv: Sequence[str] | None = None) -> None:
    """Print a search space and, if asked for, one of its networks.

    Raises:
        UserError: whatever the user can mend.
    """
    options = parse(
        DescribeOptions,
        argv,
        prog=PROG,
        description="A search space: decisions, options, exact size and costs; and a network of it, layer by layer.",
        examples=[
            f"{PROG} --search-space proxylessnas --constraint 'flops<=300'",
            f"{PROG} --search-space elastic:torchvision.models.resnet18 --elastic 'layer*:0.5,0.75,1,depth'",
            f"{PROG} --search-space proxylessnas --architecture random --resolution 224 --json",
            f"{PROG} --architecture runs/first/search/best.json",
            f"{PROG} --architecture darts_v2 --resolution 32 --num-classes 10 --nni darts_v2.json",
            f"""{PROG} --search-space nasbench_macro --architecture '["e3k3", "identity", 2, 2, 1, 1, 0, 0]'""",
        ],
    )
    content = None if options.architecture is None else read_architecture(options.architecture)
    space = _space(options, content)
    architecture = None
    if options.architecture is not None:
        architecture = architecture_of(content, space, f"--architecture {options.architecture}", options.random_seed)
    if options.net_config is not None:
        if architecture is None:
            raise UserError("--net-config writes the network of --architecture")
        config = config_of(space.decode(architecture), space.input_shape[0])
        atomic_write_text(options.net_config, json.dumps(config, indent=2) + "\n")
    if options.nni is not None:
        if architecture is None:
            raise UserError("--nni writes the network of --architecture")
        form = in_form(space, architecture, options.nni_version)
        atomic_write_text(options.nni, json.dumps(form, indent=2) + "\n")
    description = describe(space, architecture, options.constraint)
    print(json.dumps(description) if options.json else as_text(description))


def _space(options: DescribeOptions, content: Any) -> NetworkSpace:
    """The space that the flags say, or else a file that says which space its architecture is of."""
    names = ("resolution", "num_classes", "in_channels", *SETTINGS)
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    asked = options.search_space
    recorded = content.get("space_options") if isinstance(content, dict) else None
    if isinstance(recorded, dict) and (asked is None or asked == recorded_name(content) or widens(content, asked)):
        return space_of(content, f"--architecture {options.architecture}", asked, **given)
    if size := image_size(content):
        given = {"resolution": size} | given
    return build_network_space(asked or "proxylessnas", **given)
