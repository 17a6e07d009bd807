"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): the original python or binary files, or a folder per class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from config_file.readers.door import read_text
from config_file.readers.form import check_form
from training.data.folder import folder_source
from training.data.pickled_arrays import load_arrays
from training.data.source import ImageArrays, Source

_Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]


@dataclass(frozen=True)
class _Cifar:
    """The differences of the two: file names, keys, the bytes before each image, statistics of the training images."""

    name: str
    python_folder: str
    binary_folder: str
    train: tuple[str, ...]
    test: str
    python_meta: str
    binary_meta: str
    label_key: str
    names_key: str
    label_bytes: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


CIFAR10 = _Cifar(
    name="cifar10",
    python_folder="cifar-10-batches-py",
    binary_folder="cifar-10-batches-bin",
    train=tuple(f"data_batch_{i}" for i in range(1, 6)),
    test="test_batch",
    python_meta="batches.meta",
    binary_meta="batches.meta.txt",
    label_key="labels",
    names_key="label_names",
    label_bytes=1,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)
CIFAR100 = _Cifar(
    name="cifar100",
    python_folder="cifar-100-python",
    binary_folder="cifar-100-binary",
    train=("train",),
    test="test",
    python_meta="meta",
    binary_meta="fine_label_names.txt",
    label_key="fine_labels",
    names_key="fine_label_names",
    label_bytes=2,  # coarse, then fine
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
)


def load_cifar10(options: Any) -> Source:
    """CIFAR-10: 50,000 training and 10,000 test images of 32x32 pixels, 10 classes."""
    return _load(CIFAR10, options)


def load_cifar100(options: Any) -> Source:
    """CIFAR-100: as CIFAR-10, with its 100 fine classes."""
    return _load(CIFAR100, options)


def _load(cifar: _Cifar, options: Any) -> Source:
    root = Path(options.data_path).expanduser()
    source = _find(cifar, root)
    if source is None and options.download and getattr(options, "plan", False):
        return _stand_in(cifar)
    if source is None and options.download:
        _download(cifar, root)
        source = _find(cifar, root)
    if source is None:
        raise UserError(
            f"{cifar.name}: no {cifar.python_folder}/, {cifar.binary_folder}/ or train/ in {root}; "
            "say where it is with --data-path, or add --download"
        )
    return source


def _find(cifar: _Cifar, root: Path) -> Source | None:
    if (root / "train").is_dir():  # in cifar-100-python, `train` is a file
        return folder_source(cifar.name, root, resolution=32, mean=cifar.mean, std=cifar.std)
    for folder in (root / cifar.python_folder, root):
        if (folder / cifar.python_meta).is_file():
            names = _entry(load_arrays(folder / cifar.python_meta), cifar.names_key, folder / cifar.python_meta)
            check_form(names, [str], f"{folder / cifar.python_meta}, {cifar.names_key}")
            return _assemble(cifar, folder, "", names, _read_python)
    for folder in (root / cifar.binary_folder, root):
        if (folder / cifar.binary_meta).is_file():
            names = read_text(folder / cifar.binary_meta).split()
            return _assemble(cifar, folder, ".bin", names, _read_binary)
    return None


def _assemble(
    cifar: _Cifar, folder: Path, suffix: str, names: Sequence[str], read: Callable[[_Cifar, Path], _Arrays]
) -> Source:
    for name in (*cifar.train, cifar.test):
        if not (folder / (name + suffix)).is_file():
            raise UserError(f"{cifar.name}: {name + suffix} is missing in {folder}")
    parts = [read(cifar, folder / (name + suffix)) for name in cifar.train]
    test_images, test_labels = read(cifar, folder / (cifar.test + suffix))
    return ImageArrays(
        train_images=np.concatenate([images for images, _ in parts]),
        train_labels=np.concatenate([labels for _, labels in parts]),
        test_images=test_images,
        test_labels=test_labels,
        classes=names,
        mean=cifar.mean,
        std=cifar.std,
    ).source(cifar.name)


def _read_python(cifar: _Cifar, path: Path) -> _Arrays:
    content = load_arrays(path)
    pixels, given = _entry(content, "data", path), _entry(content, cifar.label_key, path)
    if not isinstance(given, np.ndarray):
        check_form(given, [int], f"{path}, {cifar.label_key}")
    labels = np.asarray(given)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or labels.dtype.kind not in "iu":
        raise UserError(f"{path} does not hold images of {cifar.name}")
    if labels.ndim != 1 or pixels.shape != (len(labels), 3072):
        raise UserError(f"{path} does not hold images of {cifar.name}: pixels {pixels.dtype} {pixels.shape}")
    return _planes_to_pixels(pixels), labels.astype(np.int64)


def _read_binary(cifar: _Cifar, path: Path) -> _Arrays:
    content = np.fromfile(path, dtype=np.uint8)
    row = cifar.label_bytes + 3072
    if len(content) == 0 or len(content) % row:
        raise UserError(f"{path} is truncated or not {cifar.name}: {len(content)} bytes are no multiple of {row}")
    rows = content.reshape(-1, row)
    return _planes_to_pixels(rows[:, cifar.label_bytes :]), rows[:, cifar.label_bytes - 1].astype(np.int64)


def _planes_to_pixels(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _entry(content: object, key: str, path: Path) -> Any:
    if not isinstance(content, dict) or key not in content:
        raise UserError(f"{path} has no {key!r}: not a file of this data set")
    return content[key]


def _stand_in(cifar: _Cifar) -> Source:
    """Black images, as many and as large: a plan downloads nothing."""
    classes = 100 if cifar is CIFAR100 else 10
    train, test = np.zeros((50_000, 32, 32, 3), np.uint8), np.zeros((10_000, 32, 32, 3), np.uint8)
    return ImageArrays(
        train_images=train,
        train_labels=np.arange(len(train)) % classes,
        test_images=test,
        test_labels=np.arange(len(test)) % classes,
        classes=[str(number) for number in range(classes)],
        mean=cifar.mean,
        std=cifar.std,
    ).source(f"{cifar.name} (still to be downloaded)")


def _download(cifar: _Cifar, root: Path) -> None:
    """By torchvision's downloader, which checks the archive's MD5. Its reader is not used: it unpickles anything."""
    from supernet.torchvision_compat import torchvision  # noqa: PLC0415 - slow, only needed here

    archive = getattr(torchvision.datasets, cifar.name.upper())
    try:
        root.mkdir(parents=True, exist_ok=True)
        torchvision.datasets.utils.download_and_extract_archive(
            archive.url, str(root), filename=archive.filename, md5=archive.tgz_md5
        )
    except PermissionError:
        raise UserError(f"{cifar.name} cannot be downloaded: no permission to write to {root}") from None
    except (URLError, TimeoutError, ConnectionError, RuntimeError) as error:
        raise UserError(f"{cifar.name} could not be downloaded: {error}") from None
