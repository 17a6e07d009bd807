"""A task of one's own, with a loss and a data set that belong to it: how bright an image is, one number per image."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks import TASKS, Floats, Targets, Task
from training.data.load import DATASETS
from training.data.source import Source
from training.losses import LOSSES, Loss


class Brightness(Task):
    """Outputs (B, 1), targets (B, 1), as shares of white; the metric is the absolute error."""

    name = "brightness"
    metric = "abs_error"
    title = "error"
    maximise = False
    losses = ("distance",)
    outputs = "numbers"
    meaning = "share of white"
    script = "brightness.py"
    prints = "the brightness"
    answer_lines = ("print(float(outputs[0]))",)
    agreed = "same_number"
    agreement = "no number further off than that"
    mirrors = True

    def measure(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).abs().mean(1)

    def error(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.measure(outputs, targets)

    def interval(self, mean: float, deviation: float, images: int) -> tuple[float, float]:
        half = 1.96 * deviation / math.sqrt(images)
        return mean - half, mean + half

    def strata(self, targets: Targets, names: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
        return np.zeros(len(targets), dtype=np.int64), ("all images",)

    def misfit(self, targets: Targets, outputs: int) -> str:
        return "" if targets.shape[1:] == (outputs,) else f"labels of {targets.shape}; one number per image is needed"

    def disagreement(self, outputs: Floats, reference: Floats) -> tuple[int, str] | None:
        return None

    def answer(self, output: Floats, names: Sequence[str]) -> str:
        return f"{float(output[0]):.2f}"

    def as_outputs(self, targets: Tensor, outputs: int) -> Tensor:
        return targets.double()

    def describe(self, names: Sequence[str]) -> str:
        return "one number"


def distance(label_smoothing: float = 0.0) -> Loss:
    return lambda outputs, targets: (outputs - targets).abs().mean()


def load_grey(settings: Any) -> Source:
    rng = np.random.default_rng(0)
    level = rng.uniform(0, 1, (120, 1)).astype(np.float32)
    images = torch.from_numpy(np.rint(level * 255).astype(np.uint8))[:, :, None, None].expand(-1, 8, 8, 3).contiguous()
    return Source(
        name="grey", classes=("brightness",), images=images, labels=level, train=np.arange(120), test=None,
        resolution=8, task=TASKS["brightness"],
    )  # fmt: skip


TASKS["brightness"] = Brightness()
LOSSES["distance"] = distance
DATASETS["grey"] = load_grey
