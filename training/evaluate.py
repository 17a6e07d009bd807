"""Scores of networks."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks import CLASSIFICATION, Task
from training.device import autocast


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
def score(
    network: Callable[[Tensor], Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    device: torch.device,
    amp: torch.dtype | None = None,
    task: Task = CLASSIFICATION,
) -> Score:
    """Score a network, images (B, C, H, W) -> outputs (B, O), in eval mode, on batches (x, y) that are on `device`.

    By the task; `amp` is the number format of autocast, None for float32.
    """
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
