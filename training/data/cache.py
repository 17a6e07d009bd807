"""Decode and resize all images of a data set once, where they fit into memory."""

import torch

from training.data.augmentation import Augmentation, Frame
from training.data.image_files import decode
from training.data.in_memory import ImageStore, empty_frames, lay_out
from training.data.source import SHIFT, ImageFiles, Source


def cache_images(source: Source, frame: Frame, augmentation: Augmentation, memory_limit: int) -> ImageStore | None:
    """All images as one tensor; None for files that exceed `memory_limit` bytes.

    Arrays that would exceed it keep the size they have, and are resized batch by batch.
    """
    images, kept = source.images, None
    window = frame.resolution
    if len(images) * frame.side**2 * 3 > memory_limit:
        if isinstance(images, ImageFiles):
            return None
        stored, window, kept = images, min(images.shape[1:3]), frame
    elif isinstance(images, ImageFiles):
        stored, filled = empty_frames(len(images), frame)
        decode(images, filled.numpy(), f"reading {source.name}", source.stretch)
    else:
        stored = lay_out(images, frame)
    return ImageStore(
        stored,
        torch.from_numpy(source.labels),
        window,
        frame.resolution,
        horizontal_flip=augmentation.mirror,
        shift=augmentation.crop == SHIFT,
        frame=kept,
        task=source.task,
    )
