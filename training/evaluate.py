"""Scores of networks: of one on a split, or of a few paths of a supernet while it is being trained."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from supernet import Architecture, Supernet, extract
from tasks import CLASSIFICATION, Task
from training.bn_calibration import calibrate_batch_norm
from training.data import Data, Split
from training.device import autocast, place


@dataclass(frozen=True)
class Score:
    """Means over `images`.

    value: the task's metric (top-1 accuracy in 0..1; NME); loss: the task's error (cross-entropy without smoothing;
    squared distance), or what else it was scored by; deviation: standard deviation of the metric over the images.
    """

    value: float
    loss: float
    images: int
    deviation: float = 0.0


@torch.no_grad()
def evaluate(
    network: Callable[[Tensor], Tensor],
    split: Split,
    batch_size: int,
    device: torch.device,
    *,
    amp: torch.dtype | None = None,
    limit: int | None = None,
    seed: int = 0,
    channels_last: bool = True,
) -> Score:
    """Score a network on a split, without augmentation, by the split's task.

    Args:
        network: images (B, C, H, W) -> outputs (B, O), in eval mode.
        split: what to predict.
        batch_size: images per forward pass.
        device: where the network is.
        amp: number format of autocast, None for float32.
        limit: only that many images, drawn with `seed`; None takes all.
        seed: of that draw.
        channels_last: memory format of the images.
    """
    batches = split.batches(
        batch_size, seed=seed, shuffle=limit is not None, limit=limit, device=device, channels_last=channels_last
    )
    return score(network, batches, device, amp, split.task)


@torch.no_grad()
def score(
    network: Callable[[Tensor], Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    device: torch.device,
    amp: torch.dtype | None = None,
    task: Task = CLASSIFICATION,
) -> Score:
    """Score a network on batches (x, y) that are on `device`, as `evaluate` does."""
    total = torch.zeros(3, dtype=torch.float64, device=device)  # metric, its square, error: read once, at the end
    images = 0
    for x, y in batches:
        with autocast(device, amp):
            outputs = network(x).float()  # (B, O)
        measured = task.measure(outputs, y).double()
        total += torch.stack((measured.sum(), measured.square().sum(), task.error(outputs, y).sum()))
        images += len(y)
    value, square, loss = (sum_ / images for sum_ in total.tolist())
    return Score(value, loss, images, math.sqrt(max(0.0, square - value**2)) if math.isfinite(square) else math.nan)


@dataclass(frozen=True)
class PathValidation:
    """The metric of a few fixed paths with inherited weights: a curve that says whether the supernet learns.

    Each path's BN statistics are measured on one batch of training images, as those the supernet keeps are mixed over
    all paths. The supernet itself is left as it is. Not a ranking: that is the search's work, on more images.

    Attributes:
        paths: the same ones at every validation.
        data: calibrates on `train`, validates on `val`.
        batch_size: images per forward pass, and for the calibration.
        limit: validation images per path.
        device: where the supernet is.
        seed: of which images.
        channels_last: memory format.
    """

    paths: Sequence[Architecture]
    data: Data
    batch_size: int
    limit: int
    device: torch.device
    seed: int
    channels_last: bool = True

    def __call__(self, supernet: Supernet) -> dict[str, float]:
        """{"val_accuracy": mean over the paths, "val_accuracy_min", "val_accuracy_max", "val_loss"} (or "val_nme")."""
        size = min(self.batch_size, len(self.data.train))
        batches = self.data.train.batches(
            size, seed=self.seed, shuffle=True, limit=size, device=self.device, channels_last=self.channels_last
        )
        calibration = [x for x, _ in islice(batches, 1)]
        scores = []
        for path in self.paths:
            network = place(extract(supernet, path), self.device, self.channels_last)
            calibrate_batch_norm(network, calibration)
            scores.append(
                evaluate(
                    network,
                    self.data.val,
                    self.batch_size,
                    self.device,
                    limit=min(self.limit, len(self.data.val)),
                    seed=self.seed,
                    channels_last=self.channels_last,
                )
            )
        values = [found.value for found in scores]
        key = f"val_{self.data.task.metric}"
        return {
            key: sum(values) / len(scores),
            f"{key}_min": min(values),
            f"{key}_max": max(values),
            "val_loss": sum(found.loss for found in scores) / len(scores),
        }
