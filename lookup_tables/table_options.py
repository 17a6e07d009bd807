"""Options and helpers that the commands which write a table share: the space, the image, the file, the last words."""

import re
from collections.abc import Sequence
from pathlib import Path

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options
from lookup_tables.cost_table import CostTable
from lookup_tables.table_file import is_table
from lookup_tables.table_text import extremes, heading
from supernet import SearchSpace
from supernet.saved import named_space
from supernet.space import with_sites
from supernet.spaces.options import SpaceOptions

PROG = "python -m lookup_tables"


@options("Table")
class PlaceOptions(SpaceOptions):
    """A space at a resolution, and where the table goes."""

    resolution: int | None = option(
        None, "height and width of the image; none: the space's own", group="Space", unit="pixels", at_least=1,
        at_most=16384, flags=("input_size",)
    )  # fmt: skip
    num_classes: int = option(1000, "width of the classifier", at_least=1, at_most=10**6)
    in_channels: int = option(3, "channels of the image", at_least=1, at_most=4096)
    output: str | None = option(None, "file to write; none: tables/SPACE-METRIC-RESOLUTION.json in the current folder")


def space_of(options: PlaceOptions) -> SearchSpace:
    """The space that the options name. Raises UserError as `supernet.build_space` does."""
    image = {name: getattr(options, name) for name in ("resolution", "num_classes", "in_channels")}
    return with_sites(named_space(options, **image))


def table_path(options: PlaceOptions, *words: str) -> Path:
    """The file to write; by default its name is made of the words.

    Raises:
        UserError: something that is no lookup table stands there.
    """
    name = "-".join(re.sub(r"[^\w.-]+", "-", word) for word in words)
    path = Path(options.output or f"tables/{name}.json")
    if path.exists() and not is_table(path):
        raise UserError(f"--output {path} exists and is not a lookup table; it is left alone")
    return path


def save_and_report(table: CostTable, path: Path, before: Sequence[str] = (), after: Sequence[str] = ()) -> None:
    """Write a table and print what it holds, with further lines before and after its range."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.save(path)
    print("\n".join([*heading(table.header), *before, *extremes(table), *after]))
    print(f"written to {path}; next: {PROG} show {path}")
