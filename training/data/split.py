"""Splits: batches as a pure function of (seed, epoch, position), and raw images, for training and evaluation."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from config_file.errors import UserError
from config_file.quantity import quantity
from tasks import CLASSIFICATION, Task
from training.data.augmentation import cut_out
from training.data.preprocessing import BGR, RGB
from training.data.seeds import generator_of

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Normalisation:
    """x = (pixel / 255 - mean) / std per channel, pixels 0..255, in the colour order that the network reads."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    colour_order: str = RGB

    def __call__(self, images: Tensor, channels_last: bool = True) -> Tensor:
        """RGB uint8 (B, H, W, 3) -> float32 (B, 3, H, W), on the same device, in channels_last memory or contiguous."""
        B, H, W, C = images.shape
        # Rows of W * C values: a factor that repeats every 3 elements would not be vectorised.
        scale, shift = _rows(self.mean, self.std, W, images.device)
        images = images.flip(-1) if self.colour_order == BGR else images
        x = images.reshape(B, H, W * C).float().mul_(scale).add_(shift)
        x = x.view(B, H, W, C).permute(0, 3, 1, 2)
        return x if channels_last else x.contiguous()


@lru_cache(maxsize=16)
def _rows(mean: tuple[float, ...], std: tuple[float, ...], width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    scale = [1.0 / (255.0 * s) for s in std]
    shift = [-m / s for m, s in zip(mean, std, strict=True)]
    return torch.tensor(scale * width, device=device), torch.tensor(shift * width, device=device)


class Request(NamedTuple):
    """Place, augmentation and form of the batches that are asked for.

    Attributes:
        start: number of the first one in its epoch.
        augmentation: (seed, epoch) that it is drawn from, None for none.
        part: of each batch, (which, of how many): what is drawn for an image is the same whatever part it is in.
    """

    start: int
    augmentation: tuple[int, int] | None
    device: torch.device
    channels_last: bool
    part: tuple[int, int] = (0, 1)

    def of(self, images: int) -> slice:
        """The part of a batch of so many images."""
        which, parts = self.part
        return slice(which * images // parts, (which + 1) * images // parts)


class Split(ABC):
    """A part of a data set: N images at the network's resolution R and their labels.

    Attributes:
        labels: the targets in the order of `raw`: int64 (N,), classes from 0; of landmarks float32 (N, outputs).
        normalisation: what turns `raw` images into a network's input.
        cutout: side of the square that training erases of every image, in pixels; 0: none.
        replaced: images so far that could not be read, in whose place others were taken (--skip-corrupt).
        loads_parts: whether `_load` gives only the part of each batch that is asked for; else all of it is loaded.
    """

    cutout: int = 0
    replaced: int = 0
    loads_parts: ClassVar[bool] = False

    def __init__(self, labels: Tensor, normalisation: Normalisation, task: Task = CLASSIFICATION) -> None:
        self.labels = labels
        self.normalisation = normalisation
        self.task = task

    def __len__(self) -> int:
        return len(self.labels)

    def batches(
        self,
        batch_size: int,
        *,
        seed: int = 0,
        epoch: int = 0,
        shuffle: bool = False,
        augment: bool = False,
        start: int = 0,
        drop_last: bool = False,
        limit: int | None = None,
        device: torch.device | str | None = None,
        channels_last: bool = True,
        part: tuple[int, int] = (0, 1),
    ) -> Iterator[Batch]:
        """The batches of one epoch, normalised; bit-identical for the same (seed, epoch, position).

        Args:
            batch_size: images per batch; the last one is smaller unless `drop_last`.
            seed: of order and augmentation; no global random state is read or moved.
            epoch: another epoch, another order and other augmentation.
            shuffle: a permutation of the whole split instead of its order.
            augment: training's random crop, where the data set allows it horizontal flip, and cutout.
            start: leave out this many batches: what follows is what a full pass gives from there.
            drop_last: leave out the last batch if it is not full.
            limit: only the first `limit` images of the (shuffled) order.
            part: of each batch only this one of so many parts, as each of several processes takes one.

        Returns:
            an iterator of (x, y): x float32 (B, 3, R, R), y int64 (B,), of landmarks float32 (B, outputs).

        Raises:
            UserError: `batch_size` leaves no full batch with `drop_last`; an image file cannot be read.
        """
        if batch_size < 1:
            raise UserError(f"a batch of {quantity(batch_size, 'image')}: at least 1 is needed")
        images = len(self) if limit is None else min(limit, len(self))
        count = images // batch_size if drop_last else -(-images // batch_size)
        if count == 0:
            there = quantity(len(self), "image")
            raise UserError(f"{there} do not fill one batch of {batch_size}: choose a smaller --batch-size")
        order = self.order(seed, epoch) if shuffle else torch.arange(len(self))
        batches = list(order[:limit].split(batch_size))[start:count]
        where = torch.empty(0, device=device or "cpu").device  # "cuda" and "cuda:0" become one
        request = Request(start, (seed, epoch) if augment else None, where, channels_last, part)
        loaded = self._load(batches, request)
        if part != (0, 1) and not self.loads_parts:
            loaded = ((x[request.of(len(x))], y[request.of(len(y))]) for x, y in loaded)
        if not (augment and self.cutout):
            return loaded
        sizes = map(len, batches)
        return (
            (cut_out(x, self.cutout, generator_of("cutout", seed, epoch, number), size, request.of(size)), y)
            for number, (size, (x, y)) in enumerate(zip(sizes, loaded, strict=False), start)
        )

    def order(self, seed: int, epoch: int = 0) -> Tensor:
        """The positions in the order of a shuffled epoch: int64 (N,)."""
        return torch.randperm(len(self), generator=generator_of("order", seed, epoch))

    @abstractmethod
    def raw(self, indices: Sequence[int] | Tensor) -> Tensor:
        """The images evaluation sees, before normalisation: uint8 (N, R, R, 3), RGB, on the CPU."""

    @abstractmethod
    def _load(self, batches: list[Tensor], request: Request) -> Iterator[Batch]:
        """The batches of these positions in the split."""


@dataclass(frozen=True)
class Data:
    """A data set, split, and all that a network trained on it must know about its input.

    Attributes:
        classes: names of the outputs, of a classification in the order of the labels.
        mean, std: per channel, of pixels in 0..1.
        train: what weights are fitted on.
        val: held out of the training images; what a search validates on.
        test: reported once, at the end; nothing is ever chosen by it.
        trainval: `train` and `val` together, for a last training.
        crop_pct: share of an image's shorter side that evaluation sees, 1.0 for all of it; None if not known.
        stretch: an image is brought to the square as a whole, instead of its centre.
        colour_order: of the channels that a network reads, and so of `mean` and `std`.
        split_record: sizes, seed and SHA-256 of the three index sets, to be kept with a run.
    """

    name: str
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resolution: int
    train: Split
    val: Split
    test: Split
    trainval: Split
    crop_pct: float | None = None
    split_record: dict[str, Any] = field(default_factory=dict)
    in_channels: int = 3
    stretch: bool = False
    colour_order: str = RGB

    @property
    def task(self) -> Task:
        """The task of the training images."""
        return self.train.task

    @property
    def description(self) -> dict[str, Any]:
        """All that whoever uses a network trained on it must know about its input and its outputs, as JSON."""
        return {
            "task": self.task.name,
            "classes": list(self.classes),
            "mean": list(self.mean),
            "std": list(self.std),
            "colour_order": self.colour_order,
            "resolution": self.resolution,
            "crop_pct": self.crop_pct,
            "stretch": self.stretch,
            "dataset": self.name,
        }

    def summary(self) -> str:
        """One line for a person."""
        return (
            f"{self.name}: {len(self.train):,} train, {len(self.val):,} validation, "
            f"{quantity(len(self.test), 'test image')}, {self.task.describe(self.classes)}, {self.resolution} px"
        )


class SplitPart(Split):
    """The images of `whole` at `positions` (int64, (n,)): a part, where a training needs two sets that do not meet."""

    def __init__(self, whole: Split, positions: Tensor) -> None:
        super().__init__(whole.labels[positions], whole.normalisation, whole.task)
        self.whole = whole
        self.positions = positions
        self.cutout = whole.cutout
        self.loads_parts = whole.loads_parts  # type: ignore[misc]  # as what it is a part of

    @property
    def replaced(self) -> int:  # type: ignore[override]  # of what it is a part of
        return self.whole.replaced

    def raw(self, indices: Sequence[int] | Tensor) -> Tensor:
        return self.whole.raw(self.positions[torch.as_tensor(indices, dtype=torch.int64)])

    def _load(self, batches: list[Tensor], request: Request) -> Iterator[Batch]:
        return self.whole._load([self.positions[batch] for batch in batches], request)


def divide(split: Split, share: float, seed: int) -> tuple[SplitPart, SplitPart]:
    """Two parts at random: (1 - share, share) of the images, each at least one."""
    order = torch.randperm(len(split), generator=generator_of("divide", seed))
    second = min(max(1, round(share * len(split))), len(split) - 1)
    return SplitPart(split, order[second:]), SplitPart(split, order[:second])
