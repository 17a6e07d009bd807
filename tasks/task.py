"""Task: the interface of a kind of prediction. Everything that depends on it is asked here."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.floating]
Targets = npt.NDArray[np.generic]


class Task(ABC):
    """A kind of prediction. Outputs are (B, O), one row per image; `names` are those of the O outputs.

    Attributes:
        name: in the files of trained networks.
        metric: key of the metric in files and in the metrics of results.
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

    def measure_more(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Further measures of every image, to be reported only: (B, O) and targets -> {name: (B,)}."""
        del outputs, targets
        return {}

    @abstractmethod
    def error(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss that validation reports, of every image, whatever was trained on: (B,)."""

    @abstractmethod
    def interval(self, mean: float, deviation: float, images: int) -> tuple[float, float]:
        """The 95 % interval of a metric from its mean and standard deviation over so many images."""

    @abstractmethod
    def strata(self, targets: Targets, names: Sequence[str]) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
        """The groups that a split must represent evenly: a number per image, and the names of these numbers."""

    @abstractmethod
    def misfit(self, targets: Targets, outputs: int) -> str:
        """The fault of targets for a network of so many outputs; "" where nothing is."""

    @abstractmethod
    def disagreement(self, outputs: Floats, reference: Floats) -> tuple[int, str] | None:
        """The first image, (N, O) outputs of two engines that are close, on which they say different things."""

    @abstractmethod
    def answer(self, output: Floats, names: Sequence[str]) -> str:
        """One row of outputs (O,) in a word; also of a row of targets, see `as_output`."""

    @abstractmethod
    def as_outputs(self, targets: Tensor, outputs: int) -> Tensor:
        """The outputs (B, O), float64, that hit their targets exactly: (B,) labels below O, or (B, O) coordinates."""

    def as_output(self, target: Targets, outputs: int) -> Floats:
        """The row of outputs (O,) that hits one target exactly."""
        row: Floats = self.as_outputs(torch.as_tensor(target)[None], outputs)[0].numpy()
        return row

    @abstractmethod
    def describe(self, names: Sequence[str]) -> str:
        """The outputs in words, for printing."""

    def is_right(self, measured: float) -> bool:
        """True if an image with this value of the metric counts as answered rightly."""
        return measured >= 1.0 if self.maximise else measured <= RIGHT

    def better(self, value: float, than: float) -> bool:
        """True if a value of the metric beats another one."""
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


def measured_on(task: Task, outputs: Floats, targets: Targets) -> npt.NDArray[np.float64]:
    """The metric of every image, from numpy: outputs (N, O), targets (N,) or (N, O) -> (N,)."""
    values = task.measure(torch.from_numpy(np.ascontiguousarray(outputs)), torch.from_numpy(targets))
    return values.double().numpy()
