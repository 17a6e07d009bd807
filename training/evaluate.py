"""How well networks classify: one network on a split, or a few paths of a supernet while it is being trained."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor
from torch.nn import functional as F

from supernet import Architecture, Supernet, extract
from training.bn_calibration import calibrate_batch_norm
from training.data import Data, Split
from training.device import autocast, place


@dataclass(frozen=True)
class Score:
    """Top-1 accuracy in 0..1 and mean cross-entropy (without smoothing) over `images`."""

    accuracy: float
    loss: float
    images: int


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
    """Classify a split, without augmentation.

    Args:
        network: images (B, C, H, W) -> logits (B, classes), in eval mode.
        split: what to classify.
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
    return classify(network, batches, device, amp)


@torch.no_grad()
def classify(
    network: Callable[[Tensor], Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    device: torch.device,
    amp: torch.dtype | None = None,
) -> Score:
    """Classify batches (x, y) that are on `device`, as `evaluate` does."""
    total = torch.zeros(2, dtype=torch.float64, device=device)  # correct, summed loss: read once, at the end
    images = 0
    for x, y in batches:
        with autocast(device, amp):
            logits = network(x).float()  # (B, classes)
        total += torch.stack(((logits.argmax(1) == y).sum(), F.cross_entropy(logits, y, reduction="sum")))
        images += len(y)
    correct, loss = total.tolist()
    return Score(correct / images, loss / images, images)


@dataclass(frozen=True)
class PathValidation:
    """Accuracy of a few fixed paths with inherited weights: a curve that says whether the supernet learns.

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
        """{"val_accuracy": mean over the paths, "val_accuracy_min", "val_accuracy_max", "val_loss"}."""
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
        accuracies = [score.accuracy for score in scores]
        return {
            "val_accuracy": sum(accuracies) / len(scores),
            "val_accuracy_min": min(accuracies),
            "val_accuracy_max": max(accuracies),
            "val_loss": sum(score.loss for score in scores) / len(scores),
        }
