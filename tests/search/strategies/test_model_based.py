"""TPE, Bayesian optimisation and the policy gradient."""

from __future__ import annotations

import importlib
from math import log

import numpy as np
import pytest
import torch

from config_file.errors import UserError
from lookup_tables.limits import Limits
from search.problem import Problem
from search.strategies.bayesian import (
    BayesianOptimization,
    BayesianOptions,
    expected_improvement,
    upper_confidence_bound,
)
from search.strategies.policy_gradient import PolicyGradient, PolicyOptions
from search.strategies.shared_options import StartupOptions
from search.strategies.tpe import Tpe
from search.testing.strategies import StrategySuite
from search.testing.toy import results_of, toy_space
from supernet.controllers import CONTROLLERS, FactorisedController


class TestTpe(StrategySuite):
    searches = 3

    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> Tpe:
        pytest.importorskip("optuna", reason="needs the extra tpe")
        return Tpe(problem, StartupOptions(), seed)


class TestBayesian(StrategySuite):
    searches = 3

    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> BayesianOptimization:
        return BayesianOptimization(problem, BayesianOptions(bo_pool=30, proposals=8), seed)


class TestFactorisedReinforce(StrategySuite):
    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> PolicyGradient:
        return PolicyGradient(problem, PolicyOptions(), seed)


class TestFactorisedPPO(StrategySuite):
    searches = 3

    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> PolicyGradient:
        return PolicyGradient(problem, PolicyOptions(rl_update="ppo", rl_lr=0.05), seed)


class TestLSTM(StrategySuite):
    searches = 3

    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> PolicyGradient:
        return PolicyGradient(problem, PolicyOptions(rl_controller="lstm"), seed)


def test_without_optuna_tpe_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UserError, match="pip install"):
        Tpe(Problem(Limits(toy_space())), StartupOptions(), 0)


def test_acquisition_functions() -> None:
    mean, deviation = np.array([0.0, 1.0, 0.0]), np.array([1.0, 1e-9, 2.0])
    assert upper_confidence_bound(mean, deviation, 0.5, 2.0).tolist() == pytest.approx([2.0, 1.0, 4.0])
    drawn = np.random.default_rng(0).normal(0, 1, 200_000)
    improvement = np.maximum(mean[:, None] + deviation[:, None] * drawn - 0.5, 0).mean(1)
    assert expected_improvement(mean, deviation, 0.5, 0.0) == pytest.approx(improvement, rel=0.02)


def test_a_gaussian_process_asks_near_what_is_good() -> None:
    space = toy_space(layers=6)
    strategy = BayesianOptimization(Problem(Limits(space)), BayesianOptions(), 0)
    first = results_of([a for _ in range(20) for a in _told(strategy)])
    last = results_of([a for _ in range(20) for a in _told(strategy)])
    assert np.mean([r.value("accuracy") for r in last]) > np.mean([r.value("accuracy") for r in first]) + 0.15


def _told(strategy: BayesianOptimization) -> list[tuple[int, ...]]:
    batch = strategy.ask(1)
    strategy.tell(results_of(batch))
    return batch


@pytest.mark.parametrize("name", CONTROLLERS)
def test_controllers_give_the_probability_of_what_they_draw(name: str) -> None:
    torch.manual_seed(3)
    controller = CONTROLLERS[name]((2, 3))
    every = torch.tensor([[i, j] for i in range(2) for j in range(3)])
    probability = controller(every)[0].exp()
    assert probability.sum().item() == pytest.approx(1, abs=1e-5)
    drawn = controller.sample(20_000, torch.Generator().manual_seed(0))
    share = torch.stack([(drawn == row).all(1).float().mean() for row in every])
    assert share.tolist() == pytest.approx(probability.tolist(), abs=0.02)


def test_the_entropy_of_an_open_controller_is_that_of_the_space() -> None:
    controller = FactorisedController((2, 3, 4))
    entropy = controller(torch.zeros(1, 3, dtype=torch.long)).entropy
    assert entropy.item() == pytest.approx(log(2 * 3 * 4))


@pytest.mark.parametrize("update", ["reinforce", "ppo"])
def test_the_controller_moves_towards_the_better_samples(update: str) -> None:
    space = toy_space(layers=6)
    strategy = PolicyGradient(Problem(Limits(space)), PolicyOptions(rl_update=update), 1)
    best = torch.tensor([[5, 1, 2, 1, 2, 1, 2]])
    before = strategy.controller(best)[0].item()
    left = 200
    while left and (batch := strategy.ask(left)):
        strategy.tell(results_of(batch))
        left -= len(batch)
    assert strategy.controller(best)[0].item() > before + 1
