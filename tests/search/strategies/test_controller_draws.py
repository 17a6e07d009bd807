"""The strategy that ranks samples of a controller trained with the supernet."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lookup_tables.limits import Limits
from search.problem import Problem
from search.strategies.controller_draws import ControllerOptions, TrainedController
from search.testing.strategies import StrategySuite
from search.testing.toy import results_of, toy_space
from supernet.controllers import FactorisedController


def controller_of(problem: Problem, hits: float = 2.0) -> FactorisedController:
    """One that prefers what is good in the toy problem."""
    made = FactorisedController(problem.space.sizes)
    with torch.no_grad():
        made.logits[0, problem.space.sizes[0] - 1] = hits
        for layer in range(1, len(problem.space.sizes)):
            made.logits[layer, 1 + (layer - 1) % 2] = hits
    return made


class TestTrainedController(StrategySuite):
    searches = 3

    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> TrainedController:
        problem = replace(problem, controller=controller_of(problem))
        samples = min(evaluations, problem.space.num_canonical)
        return TrainedController(problem, ControllerOptions(controller_samples=samples), seed)


def test_proposals_are_draws_of_the_controller_most_probable_first_in_the_long_run() -> None:
    problem = Problem(Limits(toy_space(layers=8)))
    problem = replace(problem, controller=controller_of(problem, hits=6.0))
    strategy = TrainedController(problem, ControllerOptions(controller_samples=5), 0)
    best = (7, 1, 2, 1, 2, 1, 2, 1, 2)
    drawn = strategy.ask(10)
    strategy.tell(results_of(drawn))
    assert best in drawn
    assert strategy.ask(1) == [] or len(drawn) < 5


@pytest.mark.parametrize("samples", [1, 7])
def test_it_proposes_as_many_as_it_was_asked_for(samples: int) -> None:
    problem = Problem(Limits(toy_space()))
    problem = replace(problem, controller=controller_of(problem, hits=20.0))  # collapsed: always the same
    strategy = TrainedController(problem, ControllerOptions(controller_samples=samples), 0)
    proposals = []
    while batch := strategy.ask(100):
        strategy.tell(results_of(batch))
        proposals += batch
    assert len(set(proposals)) == len(proposals) == samples
