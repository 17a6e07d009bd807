"""The start of an export: a network's file, and real images with the logits the trained network gave for them."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from config_file.errors import UserError
from config_file.files import atomic_write_bytes
from config_file.readers.arrays import MOST_BYTES, read_arrays
from config_file.readers.checksum import check_zip, is_sealed_zip, seal_zip
from config_file.readers.door import read_bytes, reading
from config_file.readers.form import check_form
from deployment.engines.engine import Floats
from deployment.weights import load_network
from supernet.blocks import Shape
from supernet.network import Network
from tasks import TASKS, Targets, Task, task_of

# Far above what two ways of computing the same differ by, far below what a wrong mean, file or class order does.
_SAME_LOGITS = 1e-2
_LEAST_STD = 1e-4  # of pixels in 0..1: a 40th of the smallest step of 8 bits

_INPUT = {"classes": [str], "mean": [float], "std": [float], "resolution": int, "in_channels": int}
_ABOUT = {
    "crop_pct?": (float, None),
    "stretch?": (bool, None),
    **dict.fromkeys(("dataset?", "search_space?"), (str, None)),
    **{f"{split}_{task.metric}?": (float, None) for split in ("test", "val") for task in TASKS.values()},
    "space_options?": (dict, None),
    "architecture?": ([int], None),
    "names?": ([str], None),
}

COLOUR_ORDERS = ("RGB", "BGR")


@dataclass(frozen=True)
class Retrained:
    """A trained network with all that a user of it must know, and images to try it on.

    Attributes:
        weights: the network's file.
        sha256: of that file.
        network: in eval mode, on the CPU.
        metadata: of the file, decoded.
        classes: names of the outputs, in their order.
        task: what they are for.
        mean, std: per channel, of pixels in 0..1.
        colour_order: "RGB" or "BGR", in which the network reads an image's channels.
        shape: (C, H, W) of an image.
        images: uint8 (N, H, W, C), real images at the network's resolution.
        labels: the targets: int64 (N,), of landmarks float32 (N, O).
        logits: float32 (N, O), the network's outputs, computed here by PyTorch.
    """

    weights: Path
    sha256: str
    network: Network
    metadata: dict[str, Any]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    shape: Shape
    images: npt.NDArray[np.uint8]
    labels: Targets
    logits: Floats
    task: Task
    colour_order: str = "RGB"


def load_retrained(weights: str | Path, samples: str | Path | None = None, limit: int | None = None) -> Retrained:
    """Read a network and its sample images, and see that they belong together.

    Args:
        weights: ``model.safetensors`` of a retrain folder, or any file of :func:`deployment.weights.save_network`.
        samples: ``.npz`` with ``images`` uint8 (N, H, W, C), ``labels`` (N,) and, if known, ``logits`` (N, classes);
            by default ``samples.npz`` beside the weights.
        limit: use the first so many images only.

    Raises:
        UserError: a file is missing, damaged or of another kind; the metadata lack what its user must know; the
            images do not fit the network; the network does not give the logits that were recorded.
    """
    weights = Path(weights)
    network, metadata = load_network(weights)
    classes, mean, std, resolution = described_input(weights, metadata)
    order = metadata.get("colour_order", "RGB")
    with reading(weights):
        task = task_of(metadata)
    shape = (network.in_channels, resolution, resolution)
    path = weights.with_name("samples.npz") if samples is None else Path(samples)
    images, labels, recorded = _read_samples(path, limit)
    if images.shape[1:] != (resolution, resolution, network.in_channels):
        raise UserError(
            f"{path}: images of {images.shape[1:]}, but the network takes {resolution} x {resolution} pixels in "
            f"{network.in_channels} channels"
        )
    with torch.inference_mode():
        batches = torch.from_numpy(normalised(images, mean, std, order)).split(32)
        logits = torch.cat([network(x) for x in batches]).numpy()
    if logits.shape != (len(images), len(classes)):
        raise UserError(f"{weights}: names {len(classes)} classes, its network gives outputs of shape {logits.shape}")
    if not np.isfinite(logits).all():
        raise UserError(f"{weights}: the network answers with NaN or infinity; its training diverged")
    if misfit := task.misfit(labels, len(classes)):
        raise UserError(f"{path}: {misfit}")
    if recorded is not None:
        _check_recorded(path, weights, logits, recorded)
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    return Retrained(weights, sha256, network, metadata, classes, mean, std, shape, images, labels, logits, task, order)


def save_samples(path: Path, images: npt.NDArray[np.uint8], labels: Targets, logits: Floats) -> None:
    """Write the sample images of a network, with a checksum; shapes and types as in :class:`Retrained`."""
    file = io.BytesIO()
    np.savez_compressed(file, images=images, labels=labels, logits=logits)
    seal_zip(file)
    atomic_write_bytes(path, file.getbuffer())


def normalised(
    images: npt.NDArray[np.uint8], mean: tuple[float, ...], std: tuple[float, ...], order: str = "RGB"
) -> Floats:
    """Images as the network reads them: uint8 (N, H, W, C) -> float32 (N, C, H, W), (pixel / 255 - mean) / std."""
    x = (scaled(images, order) - np.array(mean).reshape(-1, 1, 1)) / np.array(std).reshape(-1, 1, 1)
    return np.ascontiguousarray(x, dtype=np.float32)


def scaled(images: npt.NDArray[np.uint8], order: str = "RGB") -> Floats:
    """Pixels in 0..1: uint8 (N, H, W, C), RGB -> float32 (N, C, H, W), the channels in that order."""
    images = images[..., ::-1] if order == "BGR" else images
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)


def described_input(path: Path, metadata: dict[str, Any]) -> tuple[tuple[str, ...], Any, Any, int]:
    """(classes, mean, std, resolution) of a network's file. Raises UserError where they do not fit together."""
    check_form(metadata, _INPUT, f"{path}: a user could not feed the network")
    check_form(metadata, _ABOUT, f"{path}, metadata")
    if not 0.05 <= (metadata.get("crop_pct") or 1) <= 1:
        raise UserError(f"{path}: crop_pct is a share of the image, up to 1, not {metadata['crop_pct']}")
    if metadata.get("colour_order", "RGB") not in COLOUR_ORDERS:
        raise UserError(f"{path}: its channels are in no order that is known (colour_order: RGB or BGR)")
    classes, mean, std = (tuple(metadata[name]) for name in ("classes", "mean", "std"))
    resolution, channels = metadata["resolution"], metadata["in_channels"]
    usable = all(value >= _LEAST_STD for value in std) and all(abs(value) <= 1 / _LEAST_STD for value in (*mean, *std))
    if len(mean) != channels or len(std) != channels or not usable or resolution < 1 or not classes:
        raise UserError(
            f"{path}: its metadata do not fit together: {channels} channels, mean {list(mean)}, std {list(std)}, "
            f"resolution {resolution}, {len(classes)} classes"
        )
    return classes, mean, std, resolution


def _read_samples(path: Path, limit: int | None) -> tuple[npt.NDArray[np.uint8], Targets, Floats | None]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; parity is checked on real images: give others with --samples FILE.npz")
    if is_sealed_zip(data := read_bytes(path, MOST_BYTES)):
        check_zip(data, path)
    arrays = read_arrays(path, ("images", "labels"), ("logits",))
    with reading(path, "does not hold images with labels"):
        images, labels = arrays["images"][:limit], arrays["labels"][:limit]
        logits = arrays["logits"][:limit] if "logits" in arrays else None
    if images.dtype != np.uint8 or images.ndim != 4 or labels.dtype.kind not in "iuf":
        raise UserError(f"{path}: expected images uint8 (N, H, W, C) and labels that are numbers, not {images.dtype}")
    if len(images) == 0 or len(labels.shape) == 0 or len(labels) != len(images):
        raise UserError(f"{path}: {len(images)} images and labels of shape {labels.shape}; one label each is needed")
    labels = labels.astype(np.float32 if labels.dtype.kind == "f" else np.int64)
    return images[:limit], labels[:limit], None if logits is None else logits[:limit]


def _check_recorded(path: Path, weights: Path, logits: Floats, recorded: Floats) -> None:
    if recorded.shape != logits.shape or recorded.dtype.kind != "f" or not np.isfinite(recorded).all():
        raise UserError(f"{path}: logits of shape {recorded.shape}, the network gives {logits.shape}")
    apart = float((np.abs(logits - recorded) / np.maximum(1, np.abs(recorded))).max())
    if not apart <= _SAME_LOGITS:
        raise UserError(
            f"{path} and {weights} do not belong together: the network's logits are {apart:.2g} from the recorded ones"
        )
