"""Images too large for memory: read, cropped and augmented by worker processes, batch after batch."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from config_file.errors import UserError
from tasks import CLASSIFICATION, Task
from training.data.image_files import read_image, square, whole
from training.data.seeds import generator_of
from training.data.source import ImageFiles
from training.data.split import Batch, Normalisation, Request, Split


class FilePool:
    """All files of a data set and how one of them becomes R x R pixels.

    Evaluation: shorter side to R + 2 * margin, centre crop of R. Training: a random resized crop of 20 to 100 % of the
    area at aspect ratios 3/4 to 4/3 (Szegedy et al. 2015), and a mirror image in half of the cases. With `stretch` both
    see the whole image as it is, brought to R x R. `augmentation` and `crop_pct` are those of an `ImageStore`.
    """

    def __init__(
        self,
        files: ImageFiles,
        labels: Tensor,
        resolution: int,
        *,
        margin: int,
        horizontal_flip: bool = True,
        stretch: bool = False,
        task: Task = CLASSIFICATION,
    ) -> None:
        # Bytes in one array: a list of a million strings would be copied into every worker, as reading moves its
        # reference counts.
        self._names = np.array([os.fsencode(name) for name in files.names])
        self._root = files.root
        self.labels = labels
        self.resolution = resolution
        self.margin = 0 if stretch else margin
        self.stretch = stretch
        self.task = task
        self.crop_pct = resolution / (resolution + 2 * self.margin)
        self.augmentation = (
            f"random resized crop of 20 to 100 % of the area{', horizontal flip' if horizontal_flip else ''}"
        )
        if stretch:
            self.augmentation = "none"
        # Made here, so that torchvision is imported once and not by every worker.
        self._transform = _training_transform(resolution, horizontal_flip)

    def __len__(self) -> int:
        return len(self._names)

    def read(self, row: int, seed: int | None) -> Tensor:
        """uint8 (R, R, 3); `seed` draws the augmentation, None is what evaluation sees.

        Raises:
            UserError: the file cannot be read.
        """
        path = self._root / os.fsdecode(self._names[row])
        if self.stretch:
            image = whole(read_image(path, self.resolution), self.resolution)
        elif seed is None:
            side = self.resolution + 2 * self.margin
            image = square(read_image(path, side), side)
            inner = self.margin + self.resolution
            image = image.crop((self.margin, self.margin, inner, inner))
        else:
            # A crop of a fifth of the area has less than half the side.
            image = self._augmented(read_image(path, 2 * self.resolution), seed)
        return torch.from_numpy(np.array(image))

    def _augmented(self, image: Image.Image, seed: int) -> Image.Image:
        # torchvision draws from the global generator: lend it a seeded state and put the old one back. The seed goes to
        # the CPU generator alone, as torch.manual_seed would also reseed a GPU's.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            augmented: Image.Image = self._transform(image)
        return augmented


def _training_transform(resolution: int, horizontal_flip: bool) -> Any:
    from supernet.torchvision_compat import torchvision  # noqa: PLC0415 - takes a second, and only files need it

    v2 = torchvision.transforms.v2
    steps = [v2.RandomResizedCrop(resolution, scale=(0.2, 1.0), antialias=True)]
    if horizontal_flip:
        steps.append(v2.RandomHorizontalFlip())
    return v2.Compose(steps)


class _Reader(Dataset[tuple[Tensor, Tensor] | UserError]):
    """Reads an image for a worker: (row, seed of its augmentation or None)."""

    def __init__(self, pool: FilePool) -> None:
        self.pool = pool

    def __getitem__(self, request: tuple[int, int | None]) -> tuple[Tensor, Tensor] | UserError:
        row, seed = request
        try:
            return self.pool.read(row, seed), self.pool.labels[row]
        except UserError as error:
            # Raised in a worker, it would arrive wrapped in the worker's traceback.
            return error


def _requests(batches: list[Tensor], rows: Tensor, seeds: Tensor | None) -> Iterator[list[tuple[int, int | None]]]:
    """One list per batch of positions; made as they are asked for, as an epoch may have a million."""
    for positions in batches:
        drawn = [None] * len(positions) if seeds is None else seeds[positions].tolist()
        yield list(zip(rows[positions].tolist(), drawn, strict=True))


def _collate(items: list[tuple[Tensor, Tensor] | UserError]) -> Batch | UserError:
    images, labels = [], []
    for item in items:
        if isinstance(item, UserError):
            return item
        images.append(item[0])
        labels.append(item[1])
    return torch.stack(images), torch.stack(labels)


class StreamedSplit(Split):
    """The rows `indices` (int64, (n,)) of a `FilePool`, read by `workers` processes (0: in this one)."""

    def __init__(self, pool: FilePool, indices: Tensor, normalisation: Normalisation, workers: int = 0) -> None:
        super().__init__(pool.labels[indices], normalisation, pool.task)
        self.pool = pool
        self.indices = indices
        self.workers = workers

    def raw(self, indices: Sequence[int] | Tensor) -> Tensor:
        rows = self.indices[torch.as_tensor(indices, dtype=torch.int64)]
        return torch.stack([self.pool.read(row, None) for row in rows.tolist()])

    def _load(self, batches: list[Tensor], request: Request) -> Iterator[Batch]:
        device, seeds = request.device, None
        if request.augmentation is not None:
            seeds = torch.randint(2**62, (len(self),), generator=generator_of("augment", *request.augmentation))
        loader = DataLoader(
            _Reader(self.pool),
            batch_sampler=_requests(batches, self.indices, seeds),
            num_workers=min(self.workers, len(batches)),
            collate_fn=_collate,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # else it draws a seed from the global one
        )
        for batch in loader:
            if isinstance(batch, UserError):
                raise batch
            images, labels = batch
            yield (
                self.normalisation(images.to(device, non_blocking=True), request.channels_last),
                labels.to(device, non_blocking=True),
            )
