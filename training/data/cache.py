"""Decode and resize all images of a data set once, where they fit into memory."""

import numpy as np
import torch
from torch import Tensor

from training.data.image_files import decode, evaluation_margin, typical_shorter_side
from training.data.in_memory import ImageStore, resize
from training.data.source import ImageFiles, Source

_CHUNK = 1024


def cache_images(source: Source, resolution: int, memory_limit: int) -> ImageStore | None:
    """All images as one tensor; None for files that exceed `memory_limit` bytes.

    Images that have the pixels for it are kept at resolution * 256 / 224 and cropped inside; smaller ones are brought
    to the resolution and cropped with black padding. Arrays that would exceed the limit keep the size they have, and
    batches are resized.
    """
    images = source.images
    own = typical_shorter_side(images, source.train) if isinstance(images, ImageFiles) else min(images.shape[1:3])
    margin = 0 if source.stretch else evaluation_margin(resolution, own)
    inside = margin > 0
    if not inside:
        margin = round(resolution * source.crop_margin)
    window = resolution
    if len(images) * (window + 2 * margin) ** 2 * 3 > memory_limit:
        if isinstance(images, ImageFiles):
            return None
        margin = own // 16 if inside else round(own * source.crop_margin)
        window = own - 2 * margin if inside else own
    side = window + 2 * margin
    stored = torch.zeros(len(images), side, side, 3, dtype=torch.uint8)
    filled = stored if inside else stored[:, margin : margin + window, margin : margin + window]
    if isinstance(images, ImageFiles):
        decode(images, filled.numpy(), f"reading {source.name}", source.stretch)
    else:
        _copy_squares(images, filled)
    return ImageStore(
        stored,
        torch.from_numpy(source.labels),
        window,
        resolution,
        horizontal_flip=source.horizontal_flip,
        padded=not inside,
        task=source.task,
    )


def _copy_squares(images: Tensor, into: Tensor) -> None:
    """Centred squares of (N, H, W, 3), resized to the side of `into`."""
    H, W = images.shape[1:3]
    short = min(H, W)
    top, left = (H - short) // 2, (W - short) // 2
    squares = images[:, top : top + short, left : left + short]
    for rows in np.array_split(np.arange(len(images)), -(-len(images) // _CHUNK)):
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        into[part] = squares[part] if short == into.shape[1] else resize(squares[part], into.shape[1])
