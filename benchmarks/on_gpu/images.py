"""Images that every part and script reads within a second: JPEGs are decoded once, to the binary files of CIFAR-10."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from config_file.errors import UserError, choose
from config_file.files import atomic_write_bytes, atomic_write_text
from config_file.readers.arrays import read_arrays
from training.data.cifar import CIFAR10
from training.data.image_files import decode
from training.data.load import DATASETS
from training.data.source import ImageFiles, Source
from training.options import TrainSupernetOptions

Pixels = NDArray[np.uint8]


def at_hand(dataset: str, data_path: str, folder: Path) -> str:
    """The folder to read the data set from: its own, or where its decoded images are now.

    Args:
        data_path: of cifar10 also a file FILE.npz with `jpeg` (bytes of all images), `offset` (N + 1,), `label` (N,)
            and `classes`; the last sixth of the images tests.

    Raises:
        UserError: there is no such data set, or its files are missing or damaged.
    """
    choose("dataset", dataset, DATASETS)
    if dataset == "cifar10" and data_path.endswith(".npz"):
        packed = read_arrays(data_path, ("jpeg", "offset", "label", "classes"))
        images = _decoded(packed["jpeg"], packed["offset"])
        last = len(images) * 5 // 6
        tests = np.arange(len(images)) >= last
        return _written(folder / "images", images, packed["label"], tests, [str(name) for name in packed["classes"]])
    options = TrainSupernetOptions(title="gpu", dataset=dataset, data_path=data_path)
    source = DATASETS[dataset](options)
    if dataset != "cifar10" or not isinstance(source, Source) or not isinstance(source.images, ImageFiles):
        return data_path
    images = np.empty((len(source.images), 32, 32, 3), np.uint8)
    decode(source.images, images, "reading cifar10", source.stretch)
    tests = np.isin(np.arange(len(images)), source.train, invert=True)
    return _written(folder / "images", images, source.labels, tests, source.classes)


def _decoded(jpeg: Pixels, offset: NDArray[np.int64]) -> Pixels:
    def pixels(row: int) -> Pixels:
        return np.asarray(Image.open(io.BytesIO(jpeg[offset[row] : offset[row + 1]].tobytes())).convert("RGB"))

    with ThreadPoolExecutor() as pool:
        images = np.stack([*pool.map(pixels, range(len(offset) - 1), chunksize=500)])
    if images.shape[1:] != (32, 32, 3):
        raise UserError(f"the images of cifar10 have 32 x 32 pixels, not {images.shape[1]} x {images.shape[2]}")
    return images


def _written(folder: Path, images: Pixels, labels: NDArray, tests: NDArray[np.bool_], classes: tuple | list) -> str:
    """Write `cifar-10-batches-bin`: rows of a label, and the planes of red, green and blue."""
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    rows = np.concatenate((labels.astype(np.uint8)[:, None], planes), 1)
    place = folder / CIFAR10.binary_folder
    place.mkdir(parents=True, exist_ok=True)
    for name, part in zip(CIFAR10.train, np.array_split(rows[~tests], len(CIFAR10.train)), strict=True):
        atomic_write_bytes(place / f"{name}.bin", part.tobytes())
    atomic_write_bytes(place / f"{CIFAR10.test}.bin", rows[tests].tobytes())
    atomic_write_text(place / CIFAR10.binary_meta, "\n".join(classes) + "\n")
    return str(folder)
