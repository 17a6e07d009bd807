"""A search space small enough to enumerate, its costs, and a score that has an optimum to find."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from lookup_tables import CostTable, build_table
from search.evaluators.table import TableEvaluator
from search.result import Fidelity, Result
from supernet import Architecture, Decision, SearchSpace, Site
from supernet.blocks import Conv, Head, Identity
from training.data import Data
from training.data.in_memory import ImageStore, InMemorySplit
from training.data.split import Normalisation

RESOLUTION = 8


def toy_space(layers: int = 4, classes: int = 4) -> SearchSpace:
    """Up to `layers` convolutions, one of three each; the choice of a layer beyond the depth does not matter."""
    kernels = (1, 3, 5)
    depths = range(1, layers + 1)
    decisions = [Decision("depth", tuple(f"d{depth}" for depth in depths))]
    sites = [Site("stem", (Conv(4, 3, stride=2),), ("input",))]
    for layer in range(layers):
        decisions.append(Decision(f"layer{layer}", tuple(f"k{kernel}" for kernel in kernels)))
        beyond = len(kernels)
        table = tuple(choice if layer < depth else beyond for depth in depths for choice in range(len(kernels)))
        options = (*(Conv(4, kernel) for kernel in kernels), Identity())
        sites.append(Site(f"layer{layer}", options, (sites[-1].name,), given=(0, layer + 1), table=table))
    sites.append(Site("head", (Head(classes),), (sites[-1].name,)))
    return SearchSpace("toy", tuple(decisions), tuple(sites), (3, RESOLUTION, RESOLUTION))


def toy_tables(space: SearchSpace) -> dict[str, CostTable]:
    return {metric: build_table(space, metric, RESOLUTION) for metric in ("flops", "params")}


def toy_accuracy(architecture: Architecture) -> float:
    """Greatest (0.9) at the deepest network of kernels 3, 5, 3, 5, ..., and smooth towards it."""
    depth, *layers = architecture
    hits = sum(layer == 1 + position % 2 for position, layer in enumerate(layers[: depth + 1]))
    return 0.9 * (hits + 0.3 * depth) / (len(layers) + 0.3 * (len(layers) - 1))


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


def results_of(proposals: Sequence[Architecture]) -> list[Result]:
    return list(ToyEvaluator().evaluate(proposals))


def best_accuracy(results: Sequence[Result]) -> float:
    return float(np.nanmax([result.value("accuracy") for result in results]))


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
