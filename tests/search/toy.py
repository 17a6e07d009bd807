"""Evaluators of the toy space of `search.testing`, and images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import torch

from search.evaluators.table import TableEvaluator
from search.result import Fidelity, Result
from search.testing.toy import RESOLUTION, toy_accuracy
from supernet import Architecture
from training.data import Data
from training.data.in_memory import ImageStore, InMemorySplit
from training.data.split import Normalisation


class ToyTable(Mapping[Architecture, Mapping[str, float]]):
    """The score of every architecture there could be."""

    def __getitem__(self, architecture: Architecture) -> Mapping[str, float]:
        score = toy_accuracy(architecture)
        return {"accuracy": score, "loss": 1 - score}

    def __iter__(self) -> Iterator[Architecture]:
        raise NotImplementedError

    def __len__(self) -> int:
        return 0


class ToyEvaluator(TableEvaluator):
    """Looks scores up, those of `toy_accuracy` where none are given, and remembers of what."""

    def __init__(self, accuracy: Mapping[Architecture, float] | None = None) -> None:
        rows = (
            None if accuracy is None else {a: {"accuracy": score, "loss": 1 - score} for a, score in accuracy.items()}
        )
        measures = {"accuracy": True, "loss": False}
        super().__init__(rows or ToyTable(), measures=measures, spent={"seconds": 0.25}, fingerprint="toy")
        self.evaluated: list[Architecture] = []

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        for result in super().evaluate(architectures, fidelity):
            self.evaluated.append(result.architecture)
            yield result


class FailingEvaluator(ToyEvaluator):
    """Every third evaluation fails."""

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        for result in super().evaluate(architectures, fidelity):
            failed = sum(result.architecture) % 3 == 0
            yield Result(result.architecture, {"accuracy": math.nan}) if failed else result


def toy_data(train: int = 96, val: int = 50) -> Data:
    """Images of four classes that differ in brightness and in where they are bright."""
    generator = torch.Generator().manual_seed(3)
    count = train + val
    labels = torch.randint(0, 4, (count,), generator=generator)
    noise = torch.randint(0, 80, (count, RESOLUTION, RESOLUTION, 3), generator=generator)
    bright = torch.linspace(0, 120, RESOLUTION).view(1, 1, -1, 1) * (labels % 2).view(-1, 1, 1, 1)
    images = (noise + bright + 40 * (labels // 2).view(-1, 1, 1, 1)).to(torch.uint8)
    store = ImageStore(images, labels, window=RESOLUTION, resolution=RESOLUTION)
    normalisation = Normalisation((0.35,) * 3, (0.25,) * 3)

    def split(rows: range) -> InMemorySplit:
        return InMemorySplit(store, torch.tensor(rows), normalisation)

    return Data(
        name="toy",
        classes=("a", "b", "c", "d"),
        mean=normalisation.mean,
        std=normalisation.std,
        resolution=RESOLUTION,
        train=split(range(train)),
        val=split(range(train, count)),
        test=split(range(train, count)),
        trainval=split(range(count)),
        split_record={"val": {"sha256": "of the toy data"}},
    )
