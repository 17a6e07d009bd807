"""Batches that are evaluated again and again: the same ones in every pass, decoded once where there is room."""

from collections.abc import Callable, Iterable, Iterator

from torch import Tensor

KEPT_BYTES = 1 << 30

Batch = tuple[Tensor, Tensor]
"""Images (B, C, H, W), or what became of them, and targets (B, ...)."""


class Images:
    """The images of batches, without labels, in every pass."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[Tensor]:
        return (x for x, _ in self._batches)


class KeptBatches:
    """The same batches of so many `images` in every pass: decoded once where they fit into KEPT_BYTES, else anew."""

    def __init__(self, load: Callable[[], Iterator[Batch]], images: int) -> None:
        self._load = load
        self.images = images
        self._kept: list[Batch] | None = []

    def __iter__(self) -> Iterator[Batch]:
        if self._kept:
            yield from self._kept
            return
        kept, size = [], 0
        for x, y in self._load():
            size += x.nbytes
            if self._kept is not None and size <= KEPT_BYTES:
                kept.append((x, y))
            else:
                kept, self._kept = [], None
            yield x, y
        if self._kept is not None:
            self._kept = kept
