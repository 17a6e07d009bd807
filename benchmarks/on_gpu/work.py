"""The setting of all parts: trainings whose steps are asked for, and times of what takes turns.

Ratios are of pairs of equal work in one process, the median over pairs with its 95 % bootstrap interval. Every time
ends when the device has nothing left to do.
"""

import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from supernet import Architecture, SearchSpace, build_space
from training.data import Data, load_data
from training.device import choose_device
from training.loop import train_step
from training.options import RetrainOptions, TrainSupernetOptions
from training.recipe import Recipe
from training.state import make_context, make_state
from training.trainers import NETWORK_TRAINERS
from training.trainers.paths import PathTrainer

Row = dict[str, Any]

SPACES: dict[str, dict[str, Any]] = {
    "chain": {"name": "proxylessnas"},
    "elastic": {"name": "ofa_mbv3"},
    "cells": {"name": "nasbench201"},
}
TINY: dict[str, dict[str, Any]] = {
    "chain": {"name": "nasbench_macro", "widths": (4, 4, 6, 8, 16)},
    "elastic": {"name": "single_path", "widths": (4, 4, 4, 8, 8, 8, 8, 8, 16), "depths": (1,) * 6},
    "cells": {"name": "nasbench201", "widths": (4, 6, 8), "depths": (1, 1, 1)},
}


@dataclass(frozen=True)
class Work:
    """The setting of all parts.

    Attributes:
        seconds: of this part, after which it begins nothing new.
        small: sizes at which every part takes seconds on a CPU.
        dataset, data_path: as of the scripts.
        folder: for files.
    """

    device: str
    small: bool
    seconds: float
    dataset: str
    data_path: str
    folder: Path
    batch_size: int

    def options(self, **changes: Any) -> TrainSupernetOptions:
        """Options of a training, of so many epochs that it does not end."""
        given: dict[str, Any] = {
            "title": "gpu",
            "dataset": self.dataset,
            "data_path": self.data_path,
            "tensorboard": False,
        }
        given |= {"batch_size": self.batch_size, "epochs": 10**4, "lr": 0.01, "device": self.device}
        return TrainSupernetOptions(**(given | changes))

    @property
    def spaces(self) -> dict[str, dict[str, Any]]:
        """The settings of the space of each kind."""
        return TINY if self.small else SPACES

    def data(self) -> Data:
        """The images."""
        return load_data(self.options(), 8 if self.small else 32)


def space_of(settings: dict[str, Any], data: Data) -> SearchSpace:
    """The space for these images."""
    others = {key: value for key, value in settings.items() if key != "name"}
    space = build_space(settings["name"], resolution=data.resolution, num_classes=len(data.classes), **others)
    assert isinstance(space, SearchSpace)
    return space


class Along:
    """A sampler that goes round some paths."""

    paths_per_step = 1

    def __init__(self, given: Sequence[Architecture]) -> None:
        self.given = given

    def paths(self, step: int) -> list[Architecture]:
        return [self.given[step % len(self.given)]]


class Trained:
    """A training whose steps are asked for: a supernet along some paths, or one network."""

    def __init__(
        self,
        work: Work,
        data: Data,
        model: nn.Module,
        paths: Sequence[Architecture] = (),
        amp: torch.dtype | str | None = "auto",
        **changes: Any,
    ) -> None:
        options: Any = work.options(**changes)
        if not paths:
            options = RetrainOptions(**{name: getattr(options, name) for name in _ALIKE})
        context = make_context(options, data, data.train, model, choose_device(work.device))
        context = context if isinstance(amp, str) else replace(context, amp=amp)
        trainer = PathTrainer(context, Along(paths)) if paths else NETWORK_TRAINERS["plain"](context)
        self.recipe, self.state = Recipe(trainer), make_state(trainer)
        self.batches = _endless(self.recipe)

    def steps(self, count: int) -> None:
        """Make so many steps, with their batches."""
        for _ in range(count):
            train_step(self.recipe, self.state, *next(self.batches))


_ALIKE = ("title", "dataset", "data_path", "tensorboard", "batch_size", "epochs", "lr", "device")


def _endless(recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
    for epoch in itertools.count():
        yield from recipe.batches(epoch)


def finished(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(run: Callable[[], object], device: torch.device) -> float:
    """Seconds of what runs, until the device has done it."""
    finished(device)
    start = time.perf_counter()
    run()
    finished(device)
    return time.perf_counter() - start


def in_turns(
    runs: Mapping[str, Callable[[], object]],
    device: torch.device,
    seconds: float,
    before: Mapping[str, Callable[[], object]] | None = None,
    most: int = 30,
) -> dict[str, list[float]]:
    """The seconds of runs that take turns, in an order that changes, for so many seconds: at least 3 turns each.

    `before`: what comes before a turn of some of them, and does not count.
    """
    before = before or {}
    times: dict[str, list[float]] = {name: [] for name in runs}
    rng, ends = random.Random(0), time.perf_counter() + seconds
    for name, run in runs.items():
        before.get(name, run)()
        run()  # kernels are chosen
    for turn in range(most):
        if turn >= 3 and time.perf_counter() > ends:
            break
        for name in rng.sample(list(runs), len(runs)):
            if name in before:
                before[name]()
            times[name].append(seconds_of(runs[name], device))
    return times


def ratio(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """The median of the ratios of pairs and its interval."""
    ratios = np.divide(above, below)
    medians = np.median(np.random.default_rng(0).choice(ratios, (4000, len(ratios))), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return {"value": round(float(np.median(ratios)), 3), "low": round(float(low), 3), "high": round(float(high), 3)}


def row(what: str, value: float, unit: str = "", **more: Any) -> Row:
    return {"what": what, "value": value, "unit": unit} | more


def per_second(work: Work, steps: int, times: Sequence[float]) -> float:
    return round(steps * work.batch_size / float(np.median(times)), 1)
