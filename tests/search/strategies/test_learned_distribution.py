"""The strategy of a differentiable search: the derived architecture first, then samples, all within the limits."""

from __future__ import annotations

import numpy as np
import pytest

from config_file.errors import UserError
from lookup_tables.limits import Limit, Limits
from search.problem import Problem
from search.strategies.learned_distribution import LearnedDistribution
from search.testing.strategies import StrategySuite
from search.testing.toy import toy_space, toy_tables
from supernet import SearchSpace
from training.differentiable_search.distribution_file import Distribution
from training.differentiable_search.options import GradientOptions


def distribution(space: SearchSpace, spread: float = 1.0) -> Distribution:
    rng = np.random.default_rng(5)
    logits = [rng.normal(size=size) * spread for size in space.sizes]
    rows = [row - np.log(np.exp(row).sum()) for row in logits]
    return Distribution(rows, tuple(int(row.argmax()) for row in rows), {})


def strategy_of(
    constraint: Limits, learned: Distribution | None = None, samples: int = 3, seed: int = 0
) -> LearnedDistribution:
    problem = Problem(constraint, distribution=learned or distribution(constraint.space))
    return LearnedDistribution(problem, GradientOptions(a_samples=samples), seed)


class TestLearnedDistribution(StrategySuite):
    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> LearnedDistribution:
        return strategy_of(problem.limits, distribution(problem.space), evaluations - 1, seed)

    # Draws of a distribution, not a search of the space: improbable architectures are not met.
    test_a_small_space_is_exhausted_exactly = None


def test_the_first_proposal_is_the_most_probable_within_the_limits() -> None:
    space = toy_space()
    table = toy_tables(space)["flops"]
    learned = distribution(space)
    low, high = table.minimum()[0], table.maximum()[0]
    constraint = Limits(space, [Limit(table, upper=low + 0.4 * (high - low), lower=low + 0.3 * (high - low))])
    first = strategy_of(constraint, learned).ask(1)[0]

    def score(a: tuple[int, ...]) -> float:
        return sum(float(row[o]) for row, o in zip(learned.log_probabilities, a, strict=True))

    best = max((a for a in space.enumerate() if constraint.allows(a)), key=score)
    assert score(first) == pytest.approx(score(best))


def test_samples_keep_further_limits() -> None:
    space = toy_space()
    tables = toy_tables(space)
    params = tables["params"]
    upper = 0.5 * (params.minimum()[0] + params.maximum()[0])
    limit = Limit(params, upper=upper)
    proposals = strategy_of(Limits(space, [limit]), samples=30).ask(31)
    assert len(proposals) > 5
    assert (params.cost(np.array(proposals)) <= upper).all()
    with pytest.raises(UserError, match="smallest of the space"):
        strategy_of(Limits(space, [Limit(params, upper=params.minimum()[0] - 1)]))


def test_a_sharp_distribution_ends_early() -> None:
    space = toy_space()
    strategy = strategy_of(Limits(space), distribution(space, spread=60.0), samples=50)
    assert 1 <= len(strategy.ask(100)) < 51
    assert strategy.ask(10) == []
