"""Classification: an image is of one class."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional as F

from tasks.task import Floats, Targets, Task

FEWEST_FOR_TOP5 = 10
"""Classes from which on it is reported how often the right one is among the five likeliest."""


@dataclass(frozen=True)
class Classification(Task):
    """Outputs are logits of classes, a target is the number of one."""

    name = "classification"
    metric = "accuracy"
    title = "accuracy"
    maximise = True
    losses = ("cross_entropy",)
    outputs = "classes"
    meaning = "logits, before softmax"
    script = "classify.py"
    prints = "`{}`"
    answer_lines = (
        'classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])',
        "print(classes[int(outputs.argmax())])",
    )
    agreed = "same_top1"
    agreement = "same top-1"
    mirrors = True

    def measure(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.argmax(1) == targets

    def measure_more(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        if outputs.shape[1] < FEWEST_FOR_TOP5:
            return {}
        return {"top5": (outputs.topk(5, dim=1).indices == targets[:, None]).any(1)}

    def error(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets, reduction="none")

    def interval(self, mean: float, deviation: float, images: int) -> tuple[float, float]:
        return wilson_interval(round(mean * images), images)

    def strata(self, targets: Targets, names: Sequence[str]) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
        return targets.astype(np.int64, copy=False), tuple(names)

    def misfit(self, targets: Targets, outputs: int) -> str:
        if not np.issubdtype(targets.dtype, np.integer) or targets.ndim != 1:
            return f"labels of {targets.dtype} {targets.shape}; integers are needed, one per image"
        if targets.min() < 0 or targets.max() >= outputs:
            return f"labels from {targets.min()} to {targets.max()}, the network has {outputs} classes"
        return ""

    def disagreement(self, outputs: Floats, reference: Floats) -> tuple[int, str] | None:
        other = np.flatnonzero(outputs.argmax(1) != reference.argmax(1))
        if not other.size:
            return None
        first = int(other[0])
        return first, f"becomes class {outputs[first].argmax()}, PyTorch says {reference[first].argmax()}"

    def answer(self, output: Floats, names: Sequence[str]) -> str:
        return names[int(output.argmax())]

    def as_outputs(self, targets: Tensor, outputs: int) -> Tensor:
        return F.one_hot(targets.long(), outputs).double()

    def describe(self, names: Sequence[str]) -> str:
        return f"{len(names)} classes"


def wilson_interval(correct: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927); unlike ±z·s it stays inside [0, 1] and is right near its ends."""
    if total <= 0:
        return 0.0, 1.0
    p = correct / total
    scale = 1 + z * z / total
    centre = (p + z * z / (2 * total)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return max(0.0, centre - half), min(1.0, centre + half)


CLASSIFICATION = Classification()
