"""Landmarks: an image has points, such as those of a face."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from tasks.task import Floats, Targets, Task


@dataclass(frozen=True)
class Landmarks(Task):
    """Outputs and targets are points x0, y0, x1, y1, ... as shares of the image's width and height. In targets more may
    follow, which trainings learn from.

    The metric is the normalised mean error: the mean distance of the points from where they should be over the distance
    between the outer corners of the eyes, as in NNI's PFLD example, both in the normalised coordinates.

    Args:
        eyes: numbers of these two points, from 0; of the 106-point layout 35 and 93.
    """

    eyes: tuple[int, int] = (35, 93)

    name = "landmarks"
    metric = "nme"
    title = "NME"
    maximise = False
    losses = ("wing", "l2")
    outputs = "coordinates"
    meaning = "x0, y0, x1, y1, ...: points as shares of width and height"
    script = "locate.py"
    prints = "x and y of every point in pixels of the image, as JSON"
    answer_lines = ("print(json.dumps((outputs.reshape(-1, 2) * [width, height]).round(2).tolist()))",)
    agreed = "same_points"
    agreement = "no coordinate further off than that"
    mirrors = False

    def measure(self, outputs: Tensor, targets: Tensor) -> Tensor:
        targets = targets[:, : outputs.shape[1]]
        predicted, true = (values.view(len(values), -1, 2) for values in (outputs, targets))  # (B, points, 2)
        scale = (true[:, self.eyes[0]] - true[:, self.eyes[1]]).norm(dim=1)
        return (predicted - true).norm(dim=2).mean(1) / scale

    def error(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets[:, : outputs.shape[1]]).square().sum(1)

    def interval(self, mean: float, deviation: float, images: int) -> tuple[float, float]:
        half = 1.96 * deviation / math.sqrt(images)
        return max(0.0, mean - half), mean + half

    def strata(self, targets: Targets, names: Sequence[str]) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
        return np.zeros(len(targets), dtype=np.int64), ("all images",)

    def misfit(self, targets: Targets, outputs: int) -> str:
        if not np.issubdtype(targets.dtype, np.floating) or targets.shape[1:] != (outputs,):
            return f"labels of {targets.dtype} {targets.shape}; {outputs} coordinates per image are needed"
        return "" if np.isfinite(targets).all() else "labels that are not finite"

    def disagreement(self, outputs: Floats, reference: Floats) -> tuple[int, str] | None:
        return None

    def answer(self, output: Floats, names: Sequence[str]) -> str:
        (x1, y1), (x2, y2) = (output[2 * eye : 2 * eye + 2] for eye in self.eyes)
        return f"eyes at ({x1:.2f}, {y1:.2f}) and ({x2:.2f}, {y2:.2f})"

    def as_outputs(self, targets: Tensor, outputs: int) -> Tensor:
        return targets[:, :outputs].double()

    def describe(self, names: Sequence[str]) -> str:
        return f"{len(names) // 2} points"


LANDMARKS = Landmarks()
