"""Source: the answer of a data set's loader, with pixels or files, labels, and which of them are for testing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from config_file.errors import UserError, nearest
from tasks import CLASSIFICATION, Targets, Task
from training.data.holdout import Indices

SHIFT, RESIZED_CROP = "shift", "resized_crop"
"""Random crops (`training.data.augmentation`)."""


@dataclass(frozen=True)
class ImageFiles:
    """Image files, not yet read: paths relative to `root`."""

    root: Path
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Source:
    """A data set as it comes: N images, targets and given splits; what is not given is drawn later.

    Attributes:
        name: as in ``--dataset``.
        classes: names of the outputs; of a classification label i is classes[i].
        images: uint8 (N, H, W, 3), or files.
        labels: the targets: int64 (N,), of landmarks float32 (N, outputs).
        train: rows to train and validate on, int64 (n,).
        test: rows of the test split; None: held out of `train` here, always the same ones.
        val: rows of a validation split that the data set brings; None: held out of `train`.
        resolution: side at which to use the images if nobody says otherwise.
        mean, std: per channel, of pixels in 0..1; None: computed from the training split.
        horizontal_flip: whether an image and its mirror image are of the same class.
        crop_margin: largest shift of training's random crop, as a share of the resolution (4 of 32 pixels for CIFAR).
        stretch: files are brought to the square as a whole, in training too, instead of cropped: what is predicted
            lies in the image.
        crop: training's random crop where the options do not name one.
    """

    name: str
    classes: tuple[str, ...]
    images: Tensor | ImageFiles
    labels: Targets
    train: Indices
    test: Indices | None
    resolution: int
    val: Indices | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    horizontal_flip: bool = True
    crop_margin: float = 1 / 8
    task: Task = CLASSIFICATION
    stretch: bool = False
    crop: str = SHIFT


@dataclass(frozen=True, kw_only=True)
class ImageArrays:
    """Images in memory, as a dataset callable of the user's own may return them (this, or a dict with these keys).

    Attributes:
        train_images: uint8 (N, H, W, 3), (N, H, W, 1) or (N, H, W); numpy or torch.
        train_labels: N integers, classes counted from 0.
        test_images: as `train_images`, same H and W; None: a fifth of the training images, always the same ones.
        resolution: side at which to use them by default; None: the larger of H and W.
        mean, std: of pixels in 0..1, for red, green and blue, both or neither; None: computed from the training split.
        horizontal_flip: whether training may mirror images (not for digits, letters, signs).
        crop_margin: largest shift of training's random crop, as a share of the resolution.
    """

    train_images: Any
    train_labels: Any
    classes: Sequence[str]
    test_images: Any = None
    test_labels: Any = None
    resolution: int | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    horizontal_flip: bool = True
    crop_margin: float = 1 / 8

    @classmethod
    def from_mapping(cls, name: str, values: Mapping[str, Any]) -> "ImageArrays":
        """The same from a dict.

        Raises:
            UserError: a key is missing or unknown.
        """
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                raise UserError(f"dataset {name!r} returns an unknown key {key!r}{nearest(str(key), known)}")
        for key in ("train_images", "train_labels", "classes"):
            if key not in values:
                raise UserError(f"dataset {name!r} returns no {key!r}")
        return cls(**values)

    def source(self, name: str) -> Source:
        """Checked and put together.

        Raises:
            UserError: shapes, types or labels do not fit together.
        """
        classes = tuple(str(c) for c in self.classes)
        images = [_pixels(name, "train_images", self.train_images)]
        labels = [_labels(name, "train_labels", self.train_labels, len(images[0]), len(classes))]
        if self.test_images is not None:
            images.append(_pixels(name, "test_images", self.test_images))
            labels.append(_labels(name, "test_labels", self.test_labels, len(images[1]), len(classes)))
            if images[0].shape[1:] != images[1].shape[1:]:
                raise UserError(f"dataset {name!r}: train_images and test_images differ in height or width")
        for statistic in (self.mean, self.std):
            if (statistic is None) != (self.mean is None) or (statistic is not None and len(statistic) != 3):
                raise UserError(f"dataset {name!r}: mean and std are three numbers each, or both left out")
        if self.std is not None and min(map(float, self.std)) <= 0:
            raise UserError(f"dataset {name!r}: std must be above 0, not {list(self.std)}")
        if self.resolution is not None and int(self.resolution) < 1:
            raise UserError(f"dataset {name!r}: resolution must be at least 1, not {self.resolution}")
        sides = images[0].shape[1:3]
        total = sum(map(len, images))
        return Source(
            name=name,
            classes=classes,
            images=torch.cat(images),
            labels=np.concatenate(labels),
            train=np.arange(len(images[0])),
            test=None if len(images) == 1 else np.arange(len(images[0]), total),
            resolution=max(sides) if self.resolution is None else int(self.resolution),
            mean=None if self.mean is None else tuple(map(float, self.mean)),
            std=None if self.std is None else tuple(map(float, self.std)),
            horizontal_flip=self.horizontal_flip,
            crop_margin=self.crop_margin,
        )


def _pixels(name: str, key: str, values: Any) -> Tensor:
    try:
        images = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"dataset {name!r}: {key} is no array: {error}") from None
    if images.ndim == 3:
        images = images.unsqueeze(-1)
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3) or not len(images):
        raise UserError(
            f"dataset {name!r}: {key} must be uint8 of shape (N, H, W, 3), (N, H, W, 1) or (N, H, W) with N > 0, "
            f"not {str(images.dtype).removeprefix('torch.')} {tuple(images.shape)}"
        )
    return images.expand(*images.shape[:3], 3)


def _labels(name: str, key: str, values: Any, images: int, classes: int) -> Indices:
    labels = np.asarray(values)
    if labels.shape != (images,) or labels.dtype.kind not in "iu":
        raise UserError(f"dataset {name!r}: {key} must be {images} integers, one per image, not {labels.shape}")
    if labels.min() < 0 or labels.max() >= classes:
        raise UserError(
            f"dataset {name!r}: {key} lie in {labels.min()}..{labels.max()}, but {classes} classes are named "
            f"(0 to {classes - 1})"
        )
    return labels.astype(np.int64)
