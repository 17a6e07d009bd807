"""Image files below a folder, each real file once, whatever links lead to it."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from config_file.errors import UserError
from training.data.image_files import IMAGE_SUFFIXES, special_file
from training.data.source import ImageFiles


def is_image(name: str) -> bool:
    """True if a file of this name is taken for an image."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not name.startswith(".")  # noqa: PTH122  # of millions


def find_images(root: Path, folder: str) -> dict[str, int]:
    """All images in and below a folder, each folder once: path relative to `root`, sorted -> number of its inode.

    Raises:
        UserError: a link leads to a folder that it lies in; an image is a link to nothing, a pipe, socket or device.
    """
    found: dict[str, int] = {}
    visited = set()
    real = (root / folder).resolve()
    above = frozenset(_identity(place.stat()) for place in (root.resolve(), *root.resolve().parents, *real.parents))
    pending = [(folder, above | {_identity(real.stat())})]
    while pending:
        relative, above = pending.pop()
        with os.scandir(root / relative) as entries:
            for entry in entries:
                name = f"{relative}{os.sep}{entry.name}"
                if entry.is_file(follow_symlinks=False):  # nearly all: told by the folder, without a look at the file
                    if is_image(entry.name):
                        found[name] = entry.inode()
                    continue
                status = None if entry.name.startswith(".") else _linked(entry)
                if status is None:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    identity = _identity(status)
                    if identity in above:
                        raise UserError(
                            f"{entry.path} leads back to a folder that it lies in: its images would be found without "
                            "end; remove that link"
                        )
                    if identity not in visited:
                        visited.add(identity)
                        pending.append((name, above | {identity}))
                elif is_image(entry.name):
                    if kind := special_file(status.st_mode):
                        raise UserError(f"{entry.path} is {kind}, not an image file")
                    found[name] = status.st_ino
    return dict(sorted(found.items()))


def repetitions(files: ImageFiles, inodes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Pairs of rows (first, again) that are one real file, by links of either kind; `inodes` are of all rows."""
    _, group, counts = np.unique(np.asarray(inodes, dtype=np.uint64), return_inverse=True, return_counts=True)
    first: dict[tuple[int, int], int] = {}
    for row in np.flatnonzero(counts[group] > 1).tolist():
        # Numbers are those of a file system, and there may be several: only alike ones are looked at closely.
        earlier = first.setdefault(_identity((files.root / files.names[row]).stat()), row)
        if earlier != row:
            yield earlier, row


def _linked(entry: os.DirEntry[str]) -> os.stat_result | None:
    """The status of what an entry leads to; None for a link to nowhere that is no image."""
    try:
        return entry.stat()
    except FileNotFoundError:
        if is_image(entry.name):
            raise UserError(f"{entry.path} is a link to nothing") from None
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UserError(f"{entry.path} is a link that leads in a circle, or by too many other links") from None
        raise


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
