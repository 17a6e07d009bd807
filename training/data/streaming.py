"""Images read, cropped and augmented by worker processes, batch after batch: too large for memory, or cropped anew."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from config_file.errors import UserError
from deployment.preprocessing import square, whole
from tasks import CLASSIFICATION, Task
from training.data.augmentation import Frame, draw_shifts
from training.data.image_files import read_image
from training.data.in_memory import empty_frames
from training.data.seeds import generator_of
from training.data.source import RESIZED_CROP, SHIFT, ImageFiles
from training.data.split import Batch, Normalisation, Request, Split

TRIES = 8
"""Images of a split, one after another, of which the first readable one is taken."""

Draw = int | tuple[int, int, bool] | None
"""Of one image: the seed of a resized crop; (top, left, mirrored) of a shift; None for what evaluation sees."""


class FilePool:
    """All images of a data set, and how one of them becomes R x R pixels.

    Args:
        files: the images: files, or uint8 (N, H, W, 3).
        margin, padded: of the frame.
        stretch: the whole image as it is, brought to R x R, whatever the purpose.
        crop_scale: area of the smallest resized crop.
        skip_corrupt: others take the place of images that cannot be read.
    """

    def __init__(
        self,
        files: ImageFiles | Tensor,
        labels: Tensor,
        resolution: int,
        *,
        margin: int,
        padded: bool = False,
        horizontal_flip: bool = True,
        stretch: bool = False,
        crop: str = RESIZED_CROP,
        crop_scale: float = 0.08,
        task: Task = CLASSIFICATION,
        skip_corrupt: bool = False,
    ) -> None:
        self.tries = TRIES if skip_corrupt else 1
        self._names: Any = files
        if isinstance(files, ImageFiles):
            # Bytes in one array: a list of a million strings would be copied into every worker, as reading moves its
            # reference counts.
            self._names = np.array([os.fsencode(name) for name in files.names])
            self._root = files.root
        self.labels = labels
        self.frame = Frame(resolution, 0 if stretch else margin, padded)
        self.stretch = stretch
        self.horizontal_flip = horizontal_flip
        self.crop = crop
        self.task = task
        # Made here, so that torchvision is imported once and not by every worker.
        self._transform: Any = None
        if crop == RESIZED_CROP and not stretch:
            self._transform = _training_transform(resolution, horizontal_flip, crop_scale)

    def __len__(self) -> int:
        return len(self._names)

    def read(self, row: int, draw: Draw) -> Tensor:
        """uint8 (R, R, 3).

        Raises:
            UserError: the file cannot be read.
        """
        frame = self.frame
        if self.stretch:
            return torch.from_numpy(np.array(whole(self._image(row, frame.resolution), frame.resolution)))
        if isinstance(draw, int):
            # A crop of a fifth of the area has less than half the side.
            return torch.from_numpy(np.array(self._augmented(self._image(row, 2 * frame.resolution), draw)))
        top, left, mirrored = (frame.margin, frame.margin, False) if draw is None else draw
        laid_out, filled = empty_frames(1, frame)
        side = filled.shape[1]
        filled[0] = torch.from_numpy(np.array(square(self._image(row, side), side)))
        window = laid_out[0, top : top + frame.resolution, left : left + frame.resolution]
        return window.flip(1) if mirrored else window.contiguous()

    def draws(self, count: int, seeds: Sequence[int | str]) -> Callable[[Tensor, int], list[Draw]]:
        """The draws of an epoch over `count` images: a function of the positions and the number of a batch."""
        if self.crop == RESIZED_CROP:
            drawn = torch.randint(2**62, (count,), generator=generator_of("augment", *seeds))
            return lambda positions, _: drawn[positions].tolist()

        def shifts(positions: Tensor, number: int) -> list[Draw]:
            generator, margin = generator_of("augment", *seeds, number), self.frame.margin
            top, left, mirror = draw_shifts(generator, len(positions), margin)
            if self.crop != SHIFT:
                top = left = torch.full_like(top, margin)
            return list(zip(top.tolist(), left.tolist(), (mirror & self.horizontal_flip).tolist(), strict=True))

        return shifts

    def _image(self, row: int, shorter_side: int) -> Image.Image:
        if isinstance(self._names, Tensor):
            return Image.fromarray(self._names[row].numpy())
        return read_image(self._root / os.fsdecode(self._names[row]), shorter_side)

    def _augmented(self, image: Image.Image, seed: int) -> Image.Image:
        # torchvision draws from the global generator: lend it a seeded state and put the old one back. The seed goes to
        # the CPU generator alone, as torch.manual_seed would also reseed a GPU's.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            augmented: Image.Image = self._transform(image)
        return augmented


def _training_transform(resolution: int, horizontal_flip: bool, crop_scale: float) -> Any:
    from supernet.torchvision_compat import torchvision  # noqa: PLC0415 - takes a second, and only few need it

    v2 = torchvision.transforms.v2
    steps = [v2.RandomResizedCrop(resolution, scale=(crop_scale, 1.0), antialias=True)]
    if horizontal_flip:
        steps.append(v2.RandomHorizontalFlip())
    return v2.Compose(steps)


class _Reader(Dataset[tuple[Tensor, Tensor, int] | UserError]):
    """Reads an image for a worker, or the first readable one of several; with how many could not be read."""

    def __init__(self, pool: FilePool) -> None:
        self.pool = pool

    def __getitem__(self, request: tuple[list[int], Draw]) -> tuple[Tensor, Tensor, int] | UserError:
        rows, draw = request
        failed: list[UserError] = []
        for row in rows:
            try:
                return self.pool.read(row, draw), self.pool.labels[row], len(failed)
            except UserError as error:
                failed.append(error)
        return failed[0]  # raised in a worker, it would arrive wrapped in the worker's traceback


def _collate(items: list[tuple[Tensor, Tensor, int] | UserError]) -> tuple[Tensor, Tensor, int] | UserError:
    images, labels, replaced = [], [], 0
    for item in items:
        if isinstance(item, UserError):
            return item
        images.append(item[0])
        labels.append(item[1])
        replaced += bool(item[2])
    return torch.stack(images), torch.stack(labels), replaced


class StreamedSplit(Split):
    """The rows `indices` (int64, (n,)) of a `FilePool`, read by `workers` processes (0: in this one)."""

    loads_parts = True

    def __init__(self, pool: FilePool, indices: Tensor, normalisation: Normalisation, workers: int = 0) -> None:
        super().__init__(pool.labels[indices], normalisation, pool.task)
        self.pool = pool
        self.indices = indices
        self.workers = workers

    def raw(self, indices: Sequence[int] | Tensor) -> Tensor:
        positions = torch.as_tensor(indices, dtype=torch.int64)
        batch = _collate([_Reader(self.pool)[rows, None] for rows in self._rows(positions)])
        if isinstance(batch, UserError):
            raise batch
        return batch[0]

    def _rows(self, positions: Tensor) -> list[list[int]]:
        """The row of each position, and those after it that may take its place."""
        tries = torch.arange(self.pool.tries)
        rows: list[list[int]] = self.indices[(positions.view(-1, 1) + tries) % len(self.indices)].tolist()
        return rows

    def _requests(self, batches: list[Tensor], request: Request) -> Iterator[list[tuple[list[int], Draw]]]:
        """One list per batch of positions; made as they are asked for, as an epoch may have a million."""
        draws = None if request.augmentation is None else self.pool.draws(len(self), request.augmentation)
        for number, positions in enumerate(batches, request.start):
            drawn = [None] * len(positions) if draws is None else draws(positions, number)
            yield list(zip(self._rows(positions), drawn, strict=True))[request.of(len(positions))]

    def _load(self, batches: list[Tensor], request: Request) -> Iterator[Batch]:
        device = request.device
        loader = DataLoader(
            _Reader(self.pool),
            batch_sampler=self._requests(batches, request),
            num_workers=min(self.workers, len(batches)),
            collate_fn=_collate,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # else it draws a seed from the global one
        )
        for batch in loader:
            if isinstance(batch, UserError):
                raise batch
            images, labels, replaced = batch
            self.replaced += replaced
            yield (
                self.normalisation(images.to(device, non_blocking=True), request.channels_last),
                labels.to(device, non_blocking=True),
            )
