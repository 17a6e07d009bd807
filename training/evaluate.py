"""Scores of networks."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from config_file.ranks import gather
from tasks import CLASSIFICATION, Task
from training.device import autocast
from training.distributed import ALONE, Ranks


@dataclass(frozen=True)
class Score:
    """Means over `images`.

    value: the task's metric (top-1 accuracy in 0..1; NME); loss: the task's error (cross-entropy without smoothing;
    squared distance), or what else it was scored by; deviation: standard deviation of the metric over the images; more:
    what else the task measures, as "top5" of ten classes and more.
    """

    value: float
    loss: float
    images: int
    deviation: float = 0.0
    more: Mapping[str, float] = field(default_factory=dict)

    def named(self, split: str, task: Task) -> dict[str, float]:
        """Its numbers by their names in files, such as "val_accuracy", "val_top5" and "val_loss" of split "val"."""
        values = {task.metric: self.value, **self.more, "loss": self.loss}
        return {f"{split}_{name}": value for name, value in values.items()}

    def show(self, task: Task, digits: int = 2) -> str:
        """The metric for people, what else is measured in brackets."""
        more = ", ".join(
            f"{name.replace('top', 'top-')} {task.show(value, digits)}" for name, value in self.more.items()
        )
        return task.show(self.value, digits) + (f" ({more})" if more else "")


@torch.no_grad()
def score(
    network: Callable[[Tensor], Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    device: torch.device,
    amp: torch.dtype | None = None,
    task: Task = CLASSIFICATION,
    ranks: Ranks = ALONE,
) -> Score:
    """Score a network, images (B, C, H, W) -> outputs (B, O), in eval mode, on batches (x, y) that are on `device`.

    By the task; `amp` is the number format of autocast, None for float32. Of several `ranks` each has its part of every
    batch, and all get the score of all.
    """
    total = torch.zeros(3, dtype=torch.float64, device=device)  # metric, its square, error: read once, at the end
    further: dict[str, Tensor] = {}
    images = 0
    for x, y in batches:
        if not len(y):  # a batch smaller than the ranks
            continue
        with autocast(device, amp):
            outputs = network(x).float()  # (B, O)
        measured = task.measure(outputs, y).double()
        total += torch.stack((measured.sum(), measured.square().sum(), task.error(outputs, y).sum()))
        for name, values in task.measure_more(outputs, y).items():
            further[name] = further.get(name, 0) + values.double().sum()
        images += len(y)
    names = ("value", "square", "loss", *further)
    sums = dict(zip(names, torch.cat((total, *(sum_.view(1) for sum_ in further.values()))).tolist(), strict=True))
    if ranks.count > 1:
        parts = gather([sums, images])
        images = sum(count for _, count in parts)
        sums = {
            name: sum(part.get(name, 0.0) for part, _ in parts)
            for name in dict.fromkeys(n for p, _ in parts for n in p)
        }
    means = {name: sum_ / images for name, sum_ in sums.items()}
    value, square, loss = (means.pop(name) for name in names[:3])
    deviation = math.sqrt(max(0.0, square - value**2)) if math.isfinite(square) else math.nan
    return Score(value, loss, images, deviation, means)
