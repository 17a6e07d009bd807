"""python -m supernet --search-space NAME [--architecture FILE|JSON|random] [--json]"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from config_file.errors import run_main
from config_file.fields import option
from config_file.loader import parse
from config_file.options import options
from supernet.architecture_text import FORMS, read_architecture, read_content
from supernet.describe import as_text, describe
from supernet.spaces import build_space
from supernet.spaces.options import SpaceOptions

PROG = "python -m supernet"
_GROUP = "Description"


@options()
class DescribeOptions(SpaceOptions):
    """What to describe, and how."""

    search_space: str | None = option(  # type: ignore[assignment]  # a file may say it
        None, "a shipped name, FILE.yml or module:callable; none: that of --architecture FILE, else proxylessnas",
        group="Space", metavar="NAME",
    )  # fmt: skip
    resolution: int | None = option(
        None, "height and width of the image; none: the space's own", group="Space", unit="pixels", at_least=1,
        at_most=16384,
        flags=("input_size",),
    )  # fmt: skip
    num_classes: int | None = option(None, "width of the classifier; none: 1000", group="Space", at_least=1)
    in_channels: int | None = option(None, "channels of the image; none: 3", group="Space", at_least=1)
    architecture: str | None = option(
        None, f"a network to describe layer by layer: {FORMS}", group=_GROUP, metavar="FILE|JSON|random"
    )
    random_seed: int = option(42, "of a random architecture", group=_GROUP)
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
            f"{PROG} --search-space proxylessnas",
            f"{PROG} --search-space proxylessnas --architecture random --resolution 224 --json",
            f"{PROG} --architecture runs/first/search/best.json",
            f"""{PROG} --search-space nasbench_macro --architecture '["e3k3", "identity", 2, 2, 1, 1, 0, 0]'""",
        ],
    )
    space = build_space(**_recipe(options))
    architecture = None
    if options.architecture is not None:
        architecture = read_architecture(options.architecture, space, options.random_seed)
    description = describe(space, architecture)
    print(json.dumps(description) if options.json else as_text(description))


def _recipe(options: DescribeOptions) -> dict[str, Any]:
    """The settings of the space: from the flags, and below them from a file that says which space it is of."""
    settings = ("resolution", "num_classes", "in_channels", "widths", "depths", "strides", "skip")
    given = {name: getattr(options, name) for name in settings if getattr(options, name) is not None}
    if options.search_space is not None:
        return {"search_space": options.search_space} | given
    recipe: dict[str, Any] = {"search_space": "proxylessnas"}
    if options.architecture not in (None, "random"):
        content = read_content(options.architecture)
        if isinstance(content, dict) and isinstance(content.get("space_options"), dict):
            known = content["space_options"]
            recipe |= {name: known[name] for name in ("search_space", *settings) if name in known}
    return recipe | given


if __name__ == "__main__":
    run_main(main)
