"""Batches of a split for what is learned beside the weights: an endless sequence of shuffled passes."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from training.data.split import Split


class EndlessBatches:
    """Batches by number, without augmentation; reading them in order costs no more than one pass after the other.

    Args:
        settings: of `Split.batches`: seed, device, channels_last.
    """

    def __init__(self, images: Split, batch_size: int, **settings: Any) -> None:
        self.images, self.batch_size = images, min(batch_size, len(images))
        self._settings = settings
        self._batches: Iterator[tuple[Tensor, Tensor]] = iter(())
        self._next = -1

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """Batch `number`, from 0: x (B, C, H, W) and its targets."""
        epoch, position = divmod(number, max(1, len(self.images) // self.batch_size))
        if number != self._next or position == 0:
            self._batches = self.images.batches(
                self.batch_size, epoch=epoch, shuffle=True, start=position, drop_last=True, **self._settings
            )
        self._next = number + 1
        return next(self._batches)
