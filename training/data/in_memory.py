"""Images decoded once into one uint8 tensor; a batch is cut, mirrored and normalised as a tensor.

An image is stored with a margin around the window that evaluation sees: (S, S) pixels with S = window + 2 * margin.
Training cuts the window at a random place of each image, evaluation in the middle. The margin is black for images no
larger than the input (the usual crop with zero padding), more of the image for larger ones. Images that would be too
large with it lie as they come, and are laid out so batch by batch: the same pixels, later.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from torch import Tensor
from torch.nn import functional as F

from supernet.pinned import to_device
from tasks import CLASSIFICATION, Task
from training.data.augmentation import Frame, draw_shifts
from training.data.seeds import generator_of
from training.data.split import Batch, Normalisation, Request, Split

_CHUNK = 1024


class ImageStore:
    """All images of a data set; its splits are sets of rows of the one store.

    Args:
        images: uint8 (N, S, S, 3), contiguous.
        window: side of the cut window; S - window is even.
        resolution: side of the images handed out; where it is not `window`, `images` are as they come.
        horizontal_flip, shift: training mirrors half of the images, and cuts at random places.
        frame: the layout, of images as they come.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        window: int,
        resolution: int,
        *,
        horizontal_flip: bool = True,
        shift: bool = True,
        frame: Frame | None = None,
        task: Task = CLASSIFICATION,
    ) -> None:
        self.images = images
        self.labels = labels
        self.window = window
        self.margin = (images.shape[1] - window) // 2
        self.resolution = resolution
        self.horizontal_flip = horizontal_flip
        self.shift = shift
        self.frame = frame
        self.task = task
        self._on_device: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_on_device": {}}  # another process has a device of its own

    @property
    def _windows(self) -> np.ndarray:
        """Every window of every image as a view (N, places, places, W, W * 3), a row of pixels as one run of bytes.

        numpy copies such runs several times faster than torch's indexing, which goes element by element. Made anew each
        time, as a tensor's memory moves when it is sent to another process.
        """
        pixels = self.images.numpy()
        image, row, pixel, _ = pixels.strides
        places = pixels.shape[1] - self.window + 1
        return as_strided(
            pixels,
            shape=(len(pixels), places, places, self.window, self.window * 3),
            strides=(image, row, pixel, row, 1),
            writeable=False,
        )

    def cut(
        self, rows: Tensor, draw: torch.Generator | None, device: torch.device, part: slice = slice(None)
    ) -> tuple[Tensor, Tensor]:
        """Windows of these images and their labels, on `device`: uint8 (B, R, R, 3) and the targets.

        `draw` gives places and mirroring; None is the middle window as it is. It is a CPU generator, so that every
        device cuts alike. Of the images drawn for, those of `part` are cut.
        """
        chosen = rows[part]
        if self.frame is None:
            top, left, mirror = (drawn[part] for drawn in self._places(len(rows), draw))
            return self._cut(chosen, top, left, mirror, device)
        # Resized here and then sent: on a GPU bilinear sums come out differently in the last bit.
        store, chosen = self._laid_out(chosen, self.frame), torch.arange(len(chosen))
        top, left, mirror = (drawn[part] for drawn in store._places(len(rows), draw))
        images, labels = store._cut(chosen, top, left, mirror, torch.device("cpu"))
        return to_device(images, device), to_device(labels, device)

    def _places(self, B: int, draw: torch.Generator | None) -> tuple[Tensor, Tensor, Tensor]:
        """(top, left) of the windows of B images, and which are mirrored: (B,) each."""
        top = left = torch.full((B,), self.margin)
        mirror = torch.zeros(B, dtype=torch.bool)
        if draw is not None:
            places = draw_shifts(draw, B, self.margin)
            if self.shift:
                top, left = places[:2]
            mirror = places[2] & self.horizontal_flip
        return top, left, mirror

    def _cut(
        self, rows: Tensor, top: Tensor, left: Tensor, mirror: Tensor, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        if device.type == "cpu":
            return self._cut_with_numpy(rows, top, left, mirror), self.labels[rows]
        # One small copy to the device per batch instead of four.
        rows, top, left, mirror = to_device(torch.stack((rows, top, left, mirror.long())), device).unbind()
        images, labels = self._copy_on(device)
        return cut_windows(images[rows], self.window, top, left, mirror.bool()), labels[rows]

    def _laid_out(self, rows: Tensor, frame: Frame) -> "ImageStore":
        """A store of these images only."""
        return ImageStore(
            lay_out(self.images[rows], frame),
            self.labels[rows],
            frame.resolution,
            frame.resolution,
            horizontal_flip=self.horizontal_flip,
            shift=self.shift,
            task=self.task,
        )

    def _cut_with_numpy(self, rows: Tensor, top: Tensor, left: Tensor, mirror: Tensor) -> Tensor:
        windows = self._windows[rows.numpy(), top.numpy(), left.numpy()]  # (B, W, W * 3)
        mirrored = np.flatnonzero(mirror.numpy())
        if len(mirrored):
            taken = torch.from_numpy(windows[mirrored]).view(-1, self.window, self.window, 3)
            # In (B, 3, W, W) channels_last, torch has a fast path for mirroring.
            taken = taken.permute(0, 3, 1, 2).flip(3).permute(0, 2, 3, 1)
            windows[mirrored] = taken.reshape(len(mirrored), self.window, -1).numpy()
        return torch.from_numpy(windows).view(-1, self.window, self.window, 3)

    def _copy_on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if device not in self._on_device:
            self._on_device[device] = (self.images.to(device), self.labels.to(device))
        return self._on_device[device]


def cut_windows(images: Tensor, window: int, top: Tensor, left: Tensor, mirror: Tensor) -> Tensor:
    """One window of each image, mirrored where told: (B, S, S, 3) -> (B, window, window, 3), on any device."""
    images = images.contiguous()
    B, S, _, C = images.shape
    places = S - window + 1
    windows = images.as_strided((B, places, places, window, window, C), (S * S * C, S * C, C, S * C, C, 1))
    cut = windows[torch.arange(B, device=images.device), top, left]
    return torch.where(mirror.view(-1, 1, 1, 1), cut.flip(2), cut)


def resize(images: Tensor, resolution: int) -> Tensor:
    """Bilinear, antialiased: uint8 (B, H, W, 3) -> uint8 (B, resolution, resolution, 3), on the same device."""
    x = images.permute(0, 3, 1, 2).float()
    x = F.interpolate(x, size=(resolution, resolution), mode="bilinear", antialias=True)
    return x.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def lay_out(images: Tensor, frame: Frame) -> Tensor:
    """Centred squares of uint8 (N, H, W, 3), resized, in their frame: (N, side, side, 3)."""
    H, W = images.shape[1:3]
    short = min(H, W)
    top, left = (H - short) // 2, (W - short) // 2
    squares = images[:, top : top + short, left : left + short]
    laid_out, filled = empty_frames(len(images), frame)
    for rows in np.array_split(np.arange(len(images)), -(-len(images) // _CHUNK)):
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        filled[part] = squares[part] if short == filled.shape[1] else resize(squares[part], filled.shape[1])
    return laid_out


def empty_frames(count: int, frame: Frame) -> tuple[Tensor, Tensor]:
    """Black squares (N, side, side, 3), and the view of them that images go into."""
    frames = torch.zeros(count, frame.side, frame.side, 3, dtype=torch.uint8)
    inner = slice(frame.margin, frame.margin + frame.resolution)
    return frames, frames[:, inner, inner] if frame.padded else frames


class InMemorySplit(Split):
    """The rows `indices` (int64, (n,)) of an `ImageStore`; `augmented` gives batches that no store can cut."""

    loads_parts = True

    def __init__(
        self, store: ImageStore, indices: Tensor, normalisation: Normalisation, augmented: Split | None = None
    ) -> None:
        super().__init__(store.labels[indices], normalisation, store.task)
        self.store = store
        self.indices = indices
        self.augmented = augmented

    def raw(self, indices: Sequence[int] | Tensor) -> Tensor:
        rows = self.indices[torch.as_tensor(indices, dtype=torch.int64)]
        return self.store.cut(rows, None, torch.device("cpu"))[0]

    def _load(self, batches: list[Tensor], request: Request) -> Iterator[Batch]:
        if request.augmentation is not None and self.augmented is not None:
            yield from self.augmented._load(batches, request)
            return
        for number, positions in enumerate(batches, request.start):
            generator = None if request.augmentation is None else generator_of("augment", *request.augmentation, number)
            rows, part = self.indices[positions], request.of(len(positions))
            images, labels = self.store.cut(rows, generator, request.device, part)
            yield self.normalisation(images, request.channels_last), labels
