"""Images that cannot be read: found before a training (--check-data), and left out or replaced (--skip-corrupt)."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options
from config_file.quantity import quantity
from training.data.image_files import read_image
from training.data.source import ImageFiles, Source

NAMED = 3
"""Unreadable images that a line names."""


@options("Data")
class UnreadableOptions:
    """The treatment of images that cannot be read."""

    check_data: bool = option(False, "read every image first, and say at once which cannot be read", saved=False)
    skip_corrupt: bool = option(
        False,
        "leave out images that cannot be read, and say how many, instead of stopping at the first; where they are "
        "read while training, without --check-data, the next one of the split takes the place of such a one",
        inherit=True,
        decides="training",
    )


def readable(source: Source, skip: bool) -> Source:
    """The data set without the images that cannot be read, which are said.

    Raises:
        UserError: there are some, and `skip` is not set; or nothing is left of a split.
    """
    files = source.images
    assert isinstance(files, ImageFiles)
    found = _unreadable(files)
    if not found:
        return source
    few = "; ".join(list(found.values())[:NAMED]) + (f" and {len(found) - NAMED:,} more" if len(found) > NAMED else "")
    if not skip:
        raise UserError(
            f"{quantity(len(found), 'image')} of {len(files):,} cannot be read (--skip-corrupt leaves them out): {few}"
        )
    print(f"left out   {quantity(len(found), 'image')} of {len(files):,} that cannot be read: {few}")
    good = np.ones(len(files), dtype=bool)
    good[list(found)] = False
    moved = np.cumsum(good) - 1  # the row of each file among those that are left
    parts = {name: getattr(source, name) for name in ("train", "val", "test")}
    kept = {name: moved[rows[good[rows]]] for name, rows in parts.items() if rows is not None}
    if empty := [name for name, rows in kept.items() if not len(rows)]:
        raise UserError(f"--skip-corrupt: no image of the {empty[0]} split can be read")
    names = tuple(name for row, name in enumerate(files.names) if good[row])
    return replace(source, images=ImageFiles(files.root, names), labels=source.labels[good], **kept)


def _unreadable(files: ImageFiles) -> dict[int, str]:
    """{row: why} of the files that cannot be read."""

    def reason(row: int) -> str:
        try:
            read_image(files.root / files.names[row]).load()
        except UserError as error:
            return str(error).removeprefix("cannot read image ")
        except OSError as error:
            return f"{files.names[row]}: {error.strerror or error}"
        return ""

    rows: Iterable[int] = range(len(files))
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        reasons = pool.map(reason, rows)
        bar = tqdm(reasons, total=len(files), desc="checking images", unit="img", delay=1.0, disable=None, leave=False)
        return {row: why for row, why in enumerate(bar) if why}
