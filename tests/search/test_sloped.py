"""Scores drawn towards their line over cost: scipy's regression, the known posterior mean, and what is chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from scipy import stats

from config_file.errors import UserError
from config_file.loader import parse
from lookup_tables.limits import Limit, Limits
from search.objectives import ACCURACY
from search.options import SearchOptions
from search.problem import Problem
from search.ranking.options import RankOptions
from search.result import Result
from search.sloped import LEAST, SLOPED, Sloped, sloped
from search.testing.toy import toy_space, toy_tables


def test_exact_scores_stay_as_they_are_and_so_do_few_and_scores_at_equal_cost() -> None:
    rng = np.random.default_rng(0)
    scores, cost = rng.random(30), rng.random(30)
    assert (sloped(scores, cost, 0.0) == scores).all()
    assert (sloped(scores[:7], cost[:7], 0.1) == scores[:7]).all()
    assert (sloped(scores, np.ones(30), 0.1) == scores).all()


def test_the_line_is_theil_and_sens_and_the_weight_what_noise_leaves_of_the_residuals() -> None:
    rng = np.random.default_rng(1)
    cost = rng.random(200)
    scores = 0.5 + 0.1 * cost + rng.normal(0, 0.03, 200)
    scores[np.argsort(cost)[-8:]] = 0.1  # dear networks that failed to learn
    found = sloped(scores, cost, 0.02**2)
    slope, *_ = stats.theilslopes(scores, cost)
    assert abs(slope - 0.1) < 0.02 < abs(stats.linregress(cost, scores).slope - slope)
    rest = scores - slope * cost
    weight = 1 - 0.02**2 / (1.482602 * np.median(abs(rest - np.median(rest)))) ** 2
    assert 0.4 < weight < 0.7  # 1 - 4/9 without them
    expected = slope * cost + np.median(rest) + weight * (rest - np.median(rest))
    assert found == pytest.approx(expected, rel=1e-4)
    falling = sloped(1 - scores, cost, 1.0)  # nobody gains by a network that costs less: no slope, and least weight
    assert falling == pytest.approx(np.median(1 - scores) + LEAST * (1 - scores - np.median(1 - scores)))


def test_it_estimates_truth_better_than_the_scores_do_and_as_the_posterior_mean_does() -> None:
    rng = np.random.default_rng(2)
    cost = rng.random(500)
    truth = 0.6 + 0.1 * cost + rng.normal(0, 0.02, 500)
    scores = truth + rng.normal(0, 0.03, 500)
    posterior = 0.6 + 0.1 * cost + (scores - 0.6 - 0.1 * cost) * 0.02**2 / (0.02**2 + 0.03**2)
    found = sloped(scores, cost, 0.03**2)
    errors = [float(((estimate - truth) ** 2).mean()) for estimate in (found, posterior, scores)]
    assert errors[0] < 1.1 * errors[1] < 0.5 * errors[2]


def test_a_search_is_told_them_by_the_intervals_of_its_results() -> None:
    space = toy_space()
    table = toy_tables(space)["flops"]
    limits = Limits(space, [Limit(table, upper=table.maximum()[0] / 2)])
    networks = limits.sample_distinct(Random(0), 12)
    rng = np.random.default_rng(3)
    values = (0.5 + 0.2 * limits.cost(networks) / table.maximum()[0] + rng.normal(0, 0.02, 12)).tolist()
    results = [
        Result(network, {"accuracy": value, "loss": 0.0}, interval=(value - 0.03, value + 0.03))
        for network, value in zip(networks, values, strict=True)
    ]
    rescored = Sloped(limits, ACCURACY)
    noise = (0.06 / (2 * stats.norm.ppf(0.975))) ** 2
    expected = sloped(np.array(values), limits.cost(networks), noise)
    assert [result.metrics[SLOPED.name] for result in rescored(results)] == pytest.approx(expected.tolist())
    exact = rescored([replace(result, interval=None) for result in results])
    assert [result.metrics[SLOPED.name] for result in exact] == values
    assert rescored.objectives(Problem(limits)) == (SLOPED,)


def test_a_ranking_has_no_limited_cost_and_so_no_such_score() -> None:
    assert parse(SearchOptions, ("--title", "x", "--score", "sloped", "--target-hc", "5"), "", "").score == "sloped"
    with pytest.raises(UserError, match="sloped"):
        parse(RankOptions, ("--title", "x", "--score", "sloped"), "", "")


def test_noisy_scores_of_nasbench_macro_choose_networks_that_use_more_and_are_no_worse(shared_data: Path) -> None:
    """Paired over 60 draws of 140 networks within 100 M multiply-accumulates, scores with noise of two points."""
    published = np.load(shared_data / "nasbench_macro_cifar10.npz", allow_pickle=False)
    within = np.flatnonzero(published["macs"] <= 100e6)
    truth, cost, rng = published["mean_acc"] / 100, published["macs"].astype(float), np.random.default_rng(4)
    used, gained = [], []
    for _ in range(60):
        drawn = rng.choice(within, 140, replace=False)
        scores = truth[drawn] + rng.normal(0, 0.02, 140)
        plain, leaning = drawn[scores.argmax()], drawn[sloped(scores, cost[drawn], 0.02**2).argmax()]
        used.append((cost[leaning] - cost[plain]) / 100e6)
        gained.append(truth[leaning] - truth[plain])
    assert np.mean(used) > 2 * np.std(used) / 60**0.5
    assert np.mean(gained) > 0
