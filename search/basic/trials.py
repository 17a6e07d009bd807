"""Trials: networks that a builder of one's own makes are judged by functions of one's own, as an evaluator.

A trial is a function of (architecture, seed): every generator is seeded by both before the network is built, so that an
interrupted search goes on to the same results. One that raises is a failed trial, with its line.
"""

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from config_file.errors import UserError
from config_file.plugins import guarded
from search.basic.values import config_of, space_of_values
from search.objectives import Objective
from search.result import FULL, Fidelity, Result
from supernet import Architecture
from supernet.decisions import DecisionSpace
from training.data.seeds import seed_of

PARAMS = "params"
"""The number of parameters among the numbers of a trial; it counts where it is named as a metric."""

Judged = Callable[[nn.Module], Any]
"""A network to a number, or to {metric: number}."""


@dataclass
class Metrics:
    """The metrics of a search and which way is better; without names, those of the first evaluation.

    Attributes:
        names: of the metrics that count, the one that results are sorted by first.
        higher_is_better: of each; none: of all.
        taken: objectives of the toolkit instead, some of which may be costs.
    """

    names: tuple[str, ...] | None = None
    higher_is_better: tuple[bool, ...] | None = None
    taken: tuple[Objective, ...] = ()

    def read(self, answer: Any, params: int) -> dict[str, float]:
        """The answer of an evaluation as numbers by name, with the number of parameters.

        Args:
            answer: a number, numbers in the order of the names, or {name: number}.
            params: of the network.

        Raises:
            UserError: it is something else, or lacks a metric.
        """
        found: dict[Any, Any] = {(self.names or ("metric",))[0]: answer}
        if isinstance(answer, Mapping):
            found = dict(answer)
        elif isinstance(answer, (list, tuple)):
            found = dict(zip(self.names or [f"metric{number}" for number in range(len(answer))], answer, strict=False))
        try:
            numbers = {str(name): float(value) for name, value in found.items()}
        except (TypeError, ValueError, RuntimeError):
            numbers = {}
        if not numbers:
            raise UserError(f"an evaluation gives a number or {{metric: number}}, not {answer!r:.60}")
        if self.names is None:
            self.names = tuple(numbers)
        numbers = {PARAMS: float(params), **numbers}
        if absent := [name for name in self.names if name not in numbers]:
            raise UserError(f"the evaluation lacks {', '.join(absent)} (it gave {', '.join(numbers)})")
        if not 0 <= numbers.get("accuracy", 0) <= 1:
            raise UserError(f"an accuracy is a fraction, not {numbers['accuracy']:g}: divide it by 100, or call it acc")
        return numbers

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Each metric with its direction; () before the first evaluation where they have no names yet."""
        if self.taken:
            return self.taken
        names = self.names or ()
        ways = self.higher_is_better or (True,) * len(names)
        return tuple(Objective(name, way, measured=True) for name, way in zip(names, ways, strict=True))


@dataclass(frozen=True, eq=False)
class Total(Objective):
    """The sum of all metrics, those where less is better negated: one number for a strategy that learns from one."""

    metrics: Metrics = field(default_factory=Metrics)

    def value(self, result: Result) -> float:
        if result.failed:
            return math.nan
        return sum(objective.score(result) for objective in self.metrics.objectives)


class TrialEvaluator:
    """Builds, trains and judges one network after another.

    Args:
        space: what an architecture is read by.
        build: a value of each name to a network.
        estimate: a network to what it is worth; it may train it.
        metrics: what the estimate gives.
        seed: of every trial.
    """

    fidelities: tuple[Fidelity, ...] = (FULL,)
    method = "built and trained"

    def __init__(
        self, space: DecisionSpace, build: Callable[[Any], nn.Module], estimate: Judged, metrics: Metrics, seed: int
    ) -> None:
        self.space, self.metrics, self.seed = space, metrics, seed
        self._build, self._estimate = guard(build), guard(estimate)

    @property
    def fingerprints(self) -> Mapping[str, Any]:
        """The values of the space and the seed; code of one's own may change between two sessions."""
        return {"space": self.space.decisions_fingerprint, "seed": self.seed}

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        """One trial of each."""
        for architecture in dict.fromkeys(architectures):
            yield self._trial(architecture)

    def _trial(self, architecture: Architecture) -> Result:
        started = time.perf_counter()
        note, numbers = "", dict.fromkeys(self.metrics.names or (), math.nan)
        try:
            with seeded(seed_of("trial", self.seed, *architecture)):
                network = self._build(config_of(self.space, architecture))
                if not isinstance(network, nn.Module):
                    raise UserError(f"the builder made a {type(network).__name__}, not a torch.nn.Module")
                params = sum(parameter.numel() for parameter in network.parameters())
                numbers = self.metrics.read(self._estimate(network), params)
                if unreal := [name for name, number in numbers.items() if not math.isfinite(number)]:
                    note = f"{', '.join(unreal)} became {numbers[unreal[0]]}"
        except UserError as error:  # whatever the user's code raises, see `guard`
            note = str(error)
        seconds = time.perf_counter() - started
        return Result(architecture, numbers, spent={"seconds": seconds}, state="failed" if note else "ok", note=note)


def judged_by(train_func: Callable[[nn.Module], Any] | None, eval_func: Judged) -> Judged:
    """Train a network in place, then judge it; None: `eval_func` does both."""

    def judge(model: nn.Module) -> Any:
        if train_func is not None:
            guard(train_func)(model)
        return guard(eval_func)(model)

    return judge


class Trials:
    """Functions of one's own as an evaluator of `search.py`: `--evaluator package.module:name`, of a name like

        trials = Trials({"width": [8, 16]}, build, evaluate, train_func=train, metrics={"acc": True})

    in that module. All strategies, limits of a search, its report and resuming are then as for any evaluator.

    Args:
        search_space: {name: [value, ...]}.
        model_builder: a value of each name to a network.
        eval_func: a network to a number, or to {metric: number}.
        train_func: trains a network in place first.
        metrics: {metric: whether more is better}, the one that networks are picked by first.
    """

    def __init__(
        self,
        search_space: Mapping[str, Any],
        model_builder: Callable[[Any], nn.Module],
        eval_func: Judged,
        train_func: Callable[[nn.Module], Any] | None = None,
        metrics: Mapping[str, bool] | None = None,
    ) -> None:
        self.space = space_of_values(search_space)
        self.measures = dict(metrics or {"metric": True})
        self._build, self._judge = model_builder, judged_by(train_func, eval_func)

    def __call__(self, context: Any) -> TrialEvaluator:
        metrics = Metrics(tuple(self.measures), tuple(self.measures.values()))
        return TrialEvaluator(self.space, self._build, self._judge, metrics, context.seed)


def guard(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of one's own whose exceptions are a UserError of one line: its name, the exception, file and line."""
    own = function.func if hasattr(function, "func") else function  # of a partial
    name = getattr(own, "__qualname__", type(own).__qualname__)
    return guarded(f"{getattr(own, '__module__', None) or '__main__'}:{name}", function)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the generators of torch, numpy and random, and leave them as they were."""
    python, arrays = random.getstate(), np.random.get_state()  # noqa: NPY002 - what code of one's own may draw from
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(arrays)  # noqa: NPY002
