"""What a network's outputs are for: classes, or landmarks. Everything that depends on it is asked here.

A data set brings its task (`training.data.Split.task`), a trained network records it by name, and training, search and
export ask the task for the metric, its direction, what an output means and what a good answer is. In every task the
metric is a mean over images and shown in percent. A new task is one more class here, and a data set that names it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

Floats = npt.NDArray[np.floating]
Targets = npt.NDArray[np.generic]


class Task(ABC):
    """A kind of prediction. Outputs are (B, O), one row per image; `names` are those of the O outputs.

    Attributes:
        name: in the files of trained networks.
        metric: key of the metric in files; an attribute of `search.result.Result`.
        title: the metric for people.
        maximise: whether more of it is better.
        losses: what trains it, names in `training.losses.LOSSES`; the first is the default.
        outputs: what the outputs are called.
        meaning: of the outputs, for the deployment card.
        script: name of the deployment card's example.
        prints: what the example prints, of the answer for a sample.
        answer_lines: of the example, from `outputs` (O,) and `image` (PIL, before it is resized) on.
        agreed: the key of it in a card.
        agreement: what parity of two engines means beyond close outputs.
        mirrors: whether a mirrored image can have the same target.
    """

    name: ClassVar[str]
    metric: ClassVar[str]
    title: ClassVar[str]
    maximise: ClassVar[bool]
    losses: ClassVar[tuple[str, ...]]
    outputs: ClassVar[str]
    meaning: ClassVar[str]
    script: ClassVar[str]
    prints: ClassVar[str]
    answer_lines: ClassVar[tuple[str, ...]]
    agreed: ClassVar[str]
    agreement: ClassVar[str]
    mirrors: ClassVar[bool]

    @abstractmethod
    def measure(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The metric of every image: (B, O) and its targets -> (B,)."""

    @abstractmethod
    def error(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss that validation reports, of every image, whatever was trained on: (B,)."""

    @abstractmethod
    def interval(self, mean: float, deviation: float, images: int) -> tuple[float, float]:
        """The 95 % interval of a metric from its mean and standard deviation over so many images."""

    @abstractmethod
    def strata(self, targets: Targets, names: Sequence[str]) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
        """What a split must represent evenly: a number per image, and the names of these numbers."""

    @abstractmethod
    def misfit(self, targets: Targets, outputs: int) -> str:
        """What is wrong with targets for a network of so many outputs; "" where nothing is."""

    @abstractmethod
    def disagreement(self, outputs: Floats, reference: Floats) -> tuple[int, str] | None:
        """The first image, (N, O) outputs of two engines that are close, on which they say different things."""

    @abstractmethod
    def answer(self, output: Floats, names: Sequence[str]) -> str:
        """What one row of outputs (O,) says, in a word; also of a row of targets, see `as_output`."""

    @abstractmethod
    def as_outputs(self, targets: Tensor, outputs: int) -> Tensor:
        """The outputs (B, O), float64, that hit their targets exactly: (B,) labels below O, or (B, O) coordinates."""

    def as_output(self, target: Targets, outputs: int) -> Floats:
        """The row of outputs (O,) that hits one target exactly."""
        row: Floats = self.as_outputs(torch.as_tensor(target)[None], outputs)[0].numpy()
        return row

    @abstractmethod
    def describe(self, names: Sequence[str]) -> str:
        """What there is to predict, for people."""

    def is_right(self, measured: float) -> bool:
        """Whether an image with this value of the metric counts as answered rightly."""
        return measured >= 1.0 if self.maximise else measured <= RIGHT

    def better(self, value: float, than: float) -> bool:
        """Whether a value of the metric beats another one."""
        return value > than if self.maximise else value < than

    @property
    def worst(self) -> float:
        """A value that every other one beats."""
        return -math.inf if self.maximise else math.inf

    def show(self, value: float, digits: int = 2) -> str:
        """A value of the metric for people, without its name."""
        return f"{100 * value:.{digits}f} %"


RIGHT = 0.1
"""NME up to which a face counts as located: the threshold of failure rates in the literature (WFLW, 300-W)."""


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


@dataclass(frozen=True)
class Landmarks(Task):
    """Outputs and targets are points x0, y0, x1, y1, ... as shares of the image's width and height.

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
        predicted, true = (values.view(len(values), -1, 2) for values in (outputs, targets))  # (B, points, 2)
        scale = (true[:, self.eyes[0]] - true[:, self.eyes[1]]).norm(dim=1)
        return (predicted - true).norm(dim=2).mean(1) / scale

    def error(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().sum(1)

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
        return targets.double()

    def describe(self, names: Sequence[str]) -> str:
        return f"{len(names) // 2} points"


CLASSIFICATION, LANDMARKS = Classification(), Landmarks()
TASKS: dict[str, Task] = {task.name: task for task in (CLASSIFICATION, LANDMARKS)}
"""Tasks by the name that files hold; a file without one is of a classification."""


def task_of(description: object) -> Task:
    """The task that the description of a trained network or a search names. Raises KeyError for an unknown one."""
    name = description.get("task") if isinstance(description, dict) else None
    return CLASSIFICATION if name is None else TASKS[name]


def wilson_interval(correct: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927); unlike ±z·s it stays inside [0, 1] and is right near its ends."""
    if total <= 0:
        return 0.0, 1.0
    p = correct / total
    scale = 1 + z * z / total
    centre = (p + z * z / (2 * total)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return max(0.0, centre - half), min(1.0, centre + half)


def measured_on(task: Task, outputs: Floats, targets: Targets) -> npt.NDArray[np.float64]:
    """The metric of every image, from numpy: outputs (N, O), targets (N,) or (N, O) -> (N,)."""
    values = task.measure(torch.from_numpy(np.ascontiguousarray(outputs)), torch.from_numpy(targets))
    return values.double().numpy()
