"""Trials as an evaluator: it behaves as every other one, and what goes wrong in somebody's functions is one line."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from config_file.errors import UserError
from search.basic.trials import Metrics, TrialEvaluator
from search.basic.values import space_of_values
from search.testing.evaluators import EvaluatorSuite
from supernet import Architecture
from tests.search.basic import networks


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def trained(model: nn.Module) -> dict[str, float]:
    networks.train(model)
    return networks.evaluate(model)


def of(build: Callable[[Any], Any], estimate: Callable[[nn.Module], Any], metrics: Metrics) -> TrialEvaluator:
    return TrialEvaluator(space_of_values(networks.SPACE), build, estimate, metrics, seed=3)


class TestTrials(EvaluatorSuite):
    measures = {"mse": False, "params": False}  # noqa: RUF012 - as the suite has it

    def make(self) -> TrialEvaluator:
        return of(networks.build, trained, Metrics(("mse",), (False,)))

    def architectures(self) -> Sequence[Architecture]:
        return [(0, 0), (0, 1), (1, 2), (1, 0)]

    def failing(self) -> tuple[TrialEvaluator, Architecture]:
        def fails(model: nn.Module) -> float:
            raise ValueError("it does")

        return of(networks.build, fails, Metrics(("mse",))), (0, 0)


@pytest.mark.parametrize(
    ("build", "answer", "note"),
    [
        (lambda config: 1 / 0, 1.0, "raised ZeroDivisionError: division by zero"),
        (lambda config: "network", 1.0, "the builder made a str, not a torch.nn.Module"),
        (networks.build, "good", "an evaluation gives a number or {metric: number}, not 'good'"),
        (networks.build, {"loss": 1.0}, "the evaluation lacks mse (it gave params, loss)"),
        (networks.build, {"mse": float("nan")}, "mse became nan"),
        (networks.build, torch.tensor([1.0, 2.0]), "an evaluation gives a number"),
        (networks.build, {"mse": 1, "accuracy": 93.2}, "an accuracy is a fraction, not 93.2: divide it by 100"),
    ],
)
def test_what_goes_wrong_is_a_failed_trial(build: Callable[[Any], Any], answer: Any, note: str) -> None:
    (result,) = of(build, lambda model: answer, Metrics(("mse",))).evaluate([(0, 0)])
    assert result.failed
    assert note in result.note
    assert "\n" not in result.note


def test_a_failure_names_the_line() -> None:
    def raises(config: Any) -> nn.Module:
        raise RuntimeError("no such\nwidth")

    line = raises.__code__.co_firstlineno + 1
    (result,) = of(raises, lambda model: 1.0, Metrics()).evaluate([(0, 0)])
    assert result.note.endswith(f"raises' raised RuntimeError: no such width ({__file__}, line {line})")


def test_numbers_of_all_kinds_are_read() -> None:
    for answer in (0.25, np.float32(0.25), torch.tensor(0.25), {"x": 0.25}):
        metrics = Metrics()
        (result,) = of(networks.build, lambda model, answer=answer: answer, metrics).evaluate([(0, 0)])  # type: ignore[misc]
        name = "x" if isinstance(answer, dict) else "metric"
        # 2 x (1 weight + 1 bias) and 2 weights + 1 bias
        assert result.metrics == {name: 0.25, "params": 7.0}
        assert metrics.names == (name,)


def test_numbers_in_the_order_of_their_names() -> None:
    assert Metrics(("a", "b")).read([1, 2.5], 7) == {"params": 7.0, "a": 1.0, "b": 2.5}
    assert Metrics().read((1, 2), 7) == {"params": 7.0, "metric0": 1.0, "metric1": 2.0}
    with pytest.raises(UserError, match="lacks b"):
        Metrics(("a", "b")).read([1], 7)


def test_generators_are_left_as_they_were() -> None:
    def states() -> list[str]:
        return [str(random.getstate()), str(np.random.get_state()), str(torch.get_rng_state().tolist())]  # noqa: NPY002

    before = states()
    list(TestTrials().make().evaluate([(0, 0)]))
    assert states() == before


def test_ctrl_c_is_no_failed_trial() -> None:
    def interrupted(model: nn.Module) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(of(networks.build, interrupted, Metrics()).evaluate([(0, 0)]))


def test_directions() -> None:
    assert [str(objective) for objective in Metrics(("a", "b"), (True, False)).objectives] == ["a:max", "b:min"]
    assert [str(objective) for objective in Metrics(("a",)).objectives] == ["a:max"]
    with pytest.raises(UserError, match="lacks b"):
        Metrics(("a", "b")).read({"a": 1}, 0)
