"""Image files to pixels: one file with its errors explained, or a whole list with a pool of threads."""

import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from config_file.errors import UserError
from deployment.preprocessing import FORMATS, read_upright, square, whole
from training.data.source import ImageFiles

# Pillow warns, in several lines, of large images and of metadata that it cannot read; neither matters here.
warnings.filterwarnings("ignore", module="PIL")

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
_CHUNK = 64


_SPECIAL = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def special_file(mode: int) -> str:
    """The kind of what is no ordinary file, in words, by its `st_mode`; "" for a file."""
    return _SPECIAL.get(stat.S_IFMT(mode), "")


def read_image(path: str | Path, shorter_side: int | None = None) -> Image.Image:
    """An image as RGB, upright (EXIF orientation applied), without its transparency.

    Args:
        shorter_side: a JPEG may be decoded at a half, a quarter or an eighth of its size as long as its shorter side
            stays at least twice this.

    Raises:
        UserError: the file is no image, truncated, or of a kind that is not read (16 bits per channel); it is a pipe or
            a device, which would never end.
    """
    with _explained(path):
        return read_upright(path, shorter_side)


def evaluation_margin(resolution: int, shorter_side: int) -> int:
    """Pixels that a centre crop leaves out on every side: 16 of 256 at 224, as in ImageNet recipes; 0 if too small."""
    margin = round(resolution / 14)
    return margin if shorter_side >= resolution + 2 * margin else 0


def decode(files: ImageFiles, into: NDArray[np.uint8], title: str, stretch: bool = False) -> None:
    """Read every file into `into`, uint8 (N, side, side, 3), as a centred square, or with `stretch` as a whole.

    Raises:
        UserError: a file cannot be read; the first one in the list is named.
    """
    side = into.shape[1]
    fit = whole if stretch else square

    def decode_chunk(rows: range) -> int:
        for row in rows:
            into[row] = np.asarray(fit(read_image(files.root / files.names[row], side), side))
        return len(rows)

    chunks = [range(start, min(start + _CHUNK, len(files))) for start in range(0, len(files), _CHUNK)]
    # Threads: Pillow decodes and resizes without holding the interpreter.
    pool = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1))
    try:
        with tqdm(total=len(files), desc=title, unit="img", delay=1.0, disable=None, leave=False) as bar:
            for done in pool.map(decode_chunk, chunks):
                bar.update(done)
    finally:
        pool.shutdown(cancel_futures=True)


def typical_shorter_side(files: ImageFiles, rows: Sequence[int] | NDArray[np.int64], sample: int = 64) -> int:
    """Median shorter side in pixels of up to `sample` of the files, evenly spaced, from their headers.

    Those that cannot be read are left to whoever reads them. Raises UserError where none can.
    """
    chosen = np.asarray(rows)[np.linspace(0, len(rows) - 1, min(sample, len(rows))).astype(int)]
    sides, first = [], None
    for row in chosen.tolist():
        path = files.root / files.names[row]
        try:
            with _explained(path), Image.open(path, formats=FORMATS) as image:
                sides.append(min(image.size))
        except UserError as error:
            first = first or error
    if first is not None and not sides:
        raise first
    return int(np.median(sides))


@contextmanager
def _explained(path: str | Path) -> Iterator[None]:
    """Give whatever an image fails with as one line: Pillow reports damage by whatever its decoders run into."""
    status = Path(path).stat()
    if kind := special_file(status.st_mode):
        raise UserError(f"cannot read image {path}: it is {kind}")
    try:
        yield
    except UnidentifiedImageError:
        what = "not an image file" if status.st_size else "the file is empty"
        raise UserError(f"cannot read image {path}: {what}") from None
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"cannot read image {path}: {error}") from error
