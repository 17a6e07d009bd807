"""Facial landmarks from an image folder and a list file, 106 points, as PFLD's implementations and NNI's example read.

A line of the list is one image, and its fields are separated by blanks:

    path x0 y0 x1 y1 ... x105 y105 [angles] or [attributes angles]

- path: of the image, relative to the data set's folder or else to the list's, without blanks;
- 212 coordinates: x and y of each point as shares of the image's width and height, 0 to 1 (a little outside is a point
  outside of the image);
- optionally the 3 Euler angles of the head, or 6 attributes (pose, expression, illumination, make-up, occlusion, blur)
  and the angles, as in lists made for PFLD. Angles, in degrees, are what the trainer `pose` learns from.

Empty lines and lines that begin with # are left out. The image is brought to the square as a whole, as in NNI, so that
coordinates stay what they are; there is no augmentation. A mirrored face would need its points renumbered.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options, part_of
from config_file.readers.door import read_text, reading
from tasks import LANDMARKS
from training.data.folder import existing_folder
from training.data.real_files import repetitions
from training.data.source import ImageFiles, Source

POINTS = 106
ANGLES = 3
POSE = "pose"
"""The trainer of networks, and the net beside supernets, that learns from the angles of heads too."""

RESOLUTION = 112
EXTRAS = (0, 3, 9)  # numbers that may follow the coordinates: nothing, angles, or attributes and angles
OUTSIDE = 2.0  # greatest absolute coordinate: beyond it, it is no share of the image


@options("Data")
class ListOptions:
    """The lists of images and points."""

    list_file: str | None = option(
        None,
        "landmarks: images and points to train on; none: train_data/list.txt or list.txt in the data set's folder",
        metavar="FILE",
        inherit=True,
    )
    test_list_file: str | None = option(
        None,
        "landmarks: the same to test on; none: test_data/list.txt, or a fifth of the others",
        metavar="FILE",
        inherit=True,
    )


def load_landmarks(options: Any) -> Source:
    """``--dataset landmarks --data-path DIR [--list-file FILE] [--test-list-file FILE]``.

    Without the flags the lists are DIR/train_data/list.txt and DIR/test_data/list.txt, as in NNI's example, or
    DIR/list.txt. Without a list to test on, a fifth of the images tests, the same ones whatever the seed.

    Raises:
        UserError: no list, a line that is not of the format (with its number), an image that is missing, or too few.
    """
    root, lists = existing_folder(options), part_of(options, ListOptions)
    given = [root / "train_data" / "list.txt", root / "list.txt"]
    if lists.list_file is not None:
        given = [Path(lists.list_file).expanduser()]
    found = next((path for path in given if path.is_file()), None)
    if found is None:
        raise UserError(f"no list of landmarks at {' or '.join(map(str, given))} (--list-file)")
    test = root / "test_data" / "list.txt"
    if lists.test_list_file is not None:
        test = Path(lists.test_list_file).expanduser()
        if not test.is_file():
            raise UserError(f"no list of landmarks at {test} (--test-list-file)")
    angles = POSE in (getattr(options, "trainer", None), getattr(options, "auxiliary", None))
    names, targets = read_list(found, root, angles=angles)
    count = len(names)
    if test.is_file():
        others, more = read_list(test, root)
        more = np.pad(more, ((0, 0), (0, targets.shape[1] - more.shape[1])))  # nothing is tested on angles
        names, targets = names + others, np.concatenate((targets, more))
    files = ImageFiles(root, tuple(names))
    for first, again in repetitions(files, [(root / name).stat().st_ino for name in names]):
        if first < count <= again:
            raise UserError(f"{test}: {names[again]} tests, but {found} trains on it")
        other = "" if names[first] == names[again] else f", once as {names[first]}"
        raise UserError(f"{found if first < count else test}: {names[again]} is there twice{other}")
    return Source(
        name="landmarks",
        classes=tuple(f"{axis}{point}" for point in range(POINTS) for axis in "xy"),
        images=files,
        labels=targets,
        train=np.arange(count),
        test=np.arange(count, len(names)) if len(names) > count else None,
        resolution=RESOLUTION,
        horizontal_flip=False,
        crop_margin=0.0,
        task=LANDMARKS,
        stretch=True,
    )


load_landmarks.Options = ListOptions  # type: ignore[attr-defined]


def read_list(path: Path, root: Path, angles: bool = False) -> tuple[list[str], npt.NDArray[np.float32]]:
    """The images of a list, as paths that hold from `root`, and their coordinates, float32 (N, 212), with
    `angles` followed by the three of the head in radians, (N, 215).

    Raises:
        UserError: as `load_landmarks`.
    """
    names: list[str] = []
    rows: list[list[float]] = []
    for where, line in _lines(path):
        name, *fields = line.split()
        values = _numbers(fields, where)
        rows.append(_coordinates(values, where) + (_angles(values, where) if angles else []))
        with reading(where):  # a name may be too long for any file
            names.append(_image(name, root, path.parent, where))
    if not names:
        raise UserError(f"{path} lists no images")
    targets = np.asarray(rows, dtype=np.float32)
    _check_eyes(targets, path)
    return names, targets


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield f"{path}, line {number}", line


def _numbers(fields: list[str], where: str) -> list[float]:
    values = []
    for field in fields:
        try:
            values.append(float(field))
        except ValueError:
            raise UserError(f"{where}: {field!r} is not a number (a path must not hold blanks)") from None
    return values


def _angles(values: list[float], where: str) -> list[float]:
    angles = values[2 * POINTS :][-ANGLES:]
    if not angles:
        raise UserError(f"{where}: no angles behind the points, which --trainer and --auxiliary {POSE} learn from")
    if not all(abs(angle) <= 360 for angle in angles):  # NaN too
        raise UserError(f"{where}: the angles {angles} are not in degrees")
    return [math.radians(angle) for angle in angles]


def _coordinates(values: list[float], where: str) -> list[float]:
    extra = len(values) - 2 * POINTS
    if extra not in EXTRAS:
        raise UserError(
            f"{where}: {len(values)} numbers after the path; {2 * POINTS} are needed (x and y of {POINTS} points), and "
            "3 angles or 6 attributes and 3 angles may follow"
        )
    coordinates = values[: 2 * POINTS]
    for index, value in enumerate(coordinates):
        if not abs(value) <= OUTSIDE:  # NaN too
            point, axis = index // 2, "xy"[index % 2]
            raise UserError(
                f"{where}: {axis} of point {point} is {value:g}; coordinates are shares of the image's width and "
                "height, 0 to 1, not pixels"
            )
    return coordinates


def _image(name: str, root: Path, beside: Path, where: str) -> str:
    """The path of an image from the data set's folder (an absolute one stays what it is)."""
    if (root / name).is_file():
        return name
    other = (beside / name).absolute()
    if other.is_file():
        return str(other)
    raise UserError(f"{where}: no image {name} in {root} or {beside}")


def _check_eyes(targets: npt.NDArray[np.float32], path: Path) -> None:
    first, second = (targets[:, 2 * eye : 2 * eye + 2] for eye in LANDMARKS.eyes)
    together = np.flatnonzero(np.abs(first - second).sum(1) == 0)
    if together.size:
        raise UserError(
            f"{path}, image {int(together[0]) + 1}: points {LANDMARKS.eyes[0]} and {LANDMARKS.eyes[1]}, the outer "
            "corners of the eyes, are the same; the error is measured in their distance"
        )
