"""Structures against plain least squares, and what cross-validation says of them where the answer is known."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau, rankdata
from sklearn.linear_model import Ridge as PlainRidge

from search.ranking.baselines import equal_networks
from search.structure.model import Fit, Ridge, features, ranks, terms
from search.structure.selection import deviation_of, noise_share, select
from search.testing.toy import toy_space
from supernet import Architecture, build_space
from supernet.decisions import Decision, DecisionSpace
from supernet.spaces.nasbench201 import nasbench201

CHAIN = DecisionSpace("chain", tuple(Decision(f"d{d}", ("a", "b", "c")) for d in range(6)))
EVERY = list(CHAIN.enumerate())
CODES = np.array(EVERY)


def additive(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(6, 3))[np.arange(6), CODES].sum(1)


def pairs(rng: np.random.Generator) -> np.ndarray:
    return additive(rng) + sum(rng.normal(size=(3, 3))[CODES[:, d], CODES[:, d + 1]] for d in range(5))


def cells(rng: np.random.Generator) -> np.ndarray:
    """Scores of paths, as in a cell: products over decisions that lie apart."""
    values = rng.normal(size=(6, 3))[np.arange(6), CODES]
    return 3 * values[:, 0] * values[:, 3] * values[:, 5] + 3 * values[:, 1] * values[:, 4] + values.sum(1)


@pytest.mark.parametrize("rows", [300, 40])
def test_ridge_is_that_of_scikit_learn(rows: int) -> None:
    """With more rows than columns, and with fewer; with weights of rows, too."""
    rng = np.random.default_rng(1)
    chosen = rng.choice(len(EVERY), rows, replace=False)
    columns = features(CODES[chosen].astype(float), CHAIN.sizes, terms(6, "adjacent pairs"))
    assert columns.shape == (rows, 6 * 3 + 5 * 9)
    targets, weights = rng.normal(size=rows), rng.uniform(0.5, 4, size=rows)
    ridge = Ridge(columns, weights)
    found = ridge.solve(ridge.fitted(targets), np.array([0.3, 5.0]))
    for penalty, ours in zip((0.3, 5.0), found, strict=True):
        plain = PlainRidge(penalty).fit(columns, targets, sample_weight=weights)
        np.testing.assert_allclose(ours, plain.coef_, atol=1e-8)


def test_draws_have_the_posterior_of_bayesian_regression() -> None:
    rng = np.random.default_rng(2)
    chosen = [EVERY[i] for i in rng.choice(len(EVERY), 60, replace=False)]
    fit = Fit.of(CHAIN, CHAIN.encode(chosen), rng.uniform(size=60), "additive", 2.0, 0.3)
    drawn = np.array([fit.draw(rng).weights for _ in range(4000)])
    columns = features(CHAIN.encode(chosen), CHAIN.sizes, fit.structure.scopes)
    columns = columns - columns.mean(0)
    covariance = 0.3**2 * np.linalg.inv(columns.T @ columns + 2.0 * np.eye(columns.shape[1]))
    np.testing.assert_allclose(drawn.mean(0), fit.structure.weights, atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.1 * covariance.max())


@pytest.mark.parametrize("form", ["additive", "adjacent pairs"])
def test_factors_are_the_structure(form: str) -> None:
    """Also where decisions matter only in some architectures."""
    space = toy_space(layers=4)
    every = sorted({space.canonical(a) for a in space.enumerate()})
    targets = np.random.default_rng(0).uniform(size=len(every))
    structure = Fit.of(space, space.encode(every), targets, form, 0.1, 0.1).structure
    sums = [sum(float(t[tuple(a[d] for d in scope)]) for scope, t in structure.factors()) for a in every]
    np.testing.assert_allclose(sums, structure(every), atol=1e-10)


def test_the_form_is_that_of_the_scores_and_cells_have_none() -> None:
    rng = np.random.default_rng(0)
    for scores, form in ((additive(rng), "additive"), (pairs(rng), "adjacent pairs")):
        selection = select(CHAIN, EVERY, scores, error=0.1)
        assert selection is not None
        assert selection.accepted
        assert kendalltau(selection.held_out, scores).statistic > 0.9
        some = rng.choice(len(EVERY), 60, replace=False)
        noisy = scores + scores.std() * rng.normal(size=len(scores))
        selection = select(CHAIN, [EVERY[i] for i in some], noisy[some], error=0.1)
        assert selection is not None
        assert not selection.accepted  # too few for so much noise, of which nothing is known
        selection = select(CHAIN, EVERY, noisy, error=0.0)  # enough to see that nothing predicts what is left
        assert selection is not None
        assert selection.accepted
        assert selection.unpredictable
        assert selection.form == form
        better, raw = (kendalltau(of, scores).statistic for of in (selection.fit.structure(EVERY), noisy))
        assert better > raw + 0.2
    for seed in range(5):
        selection = select(CHAIN, EVERY, cells(np.random.default_rng(seed)), error=0.1)
        assert selection is not None
        assert not selection.accepted, seed
    assert select(CHAIN, EVERY[:19], np.arange(19.0), 0.1) is None
    assert select(CHAIN, EVERY, np.ones(len(EVERY)), 0.1) is None


def test_equal_networks_are_held_out_together() -> None:
    """A network that stands twice tells nothing of itself: of noise, that it has an explanation."""
    rng = np.random.default_rng(0)
    twice = [*EVERY[:100], *((*a[:5], (a[5] + 1) % 3) for a in EVERY[:100])]
    scores = np.tile(rng.normal(size=100), 2)
    selection = select(CHAIN, twice, scores, 0.0, same=[*range(100), *range(100)])
    assert selection is not None
    assert selection.networks == 100
    assert selection.unexplained > 0.9


def test_the_noise_is_that_which_was_added() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=4000)
    for deviation in (0.1, 0.3, 0.6):
        noisy = truth + deviation * rng.normal(size=len(truth))
        expected = deviation**2 / (1 + deviation**2)  # of the variance of scores; of that of ranks it is a little less
        assert noise_share(noisy, np.full(len(truth), deviation)) == pytest.approx(expected, abs=0.035)
    assert noise_share(truth, np.full(len(truth), np.nan)) == 0
    assert deviation_of((0.80, 0.84)) == pytest.approx(0.04 / 3.92, rel=1e-3)
    assert np.isnan(deviation_of(None))


def test_ranks_are_shares() -> None:
    scores = np.array([5.0, 1, 1, 9])
    assert ranks(scores).tolist() == ((rankdata(scores) - 0.5) / 4).tolist() == [0.625, 0.25, 0.25, 0.875]


def some_of(table: Path, column: str, count: int, seed: int = 0) -> tuple[list[Architecture], np.ndarray, np.ndarray]:
    """(architectures, truths, positions) drawn from a published table."""
    with np.load(table, allow_pickle=False) as file:
        codes, truth = file["arch"], file[column].astype(float)
    chosen = np.random.default_rng(seed).choice(len(codes), count, replace=False)
    return [tuple(map(int, row)) for row in codes[chosen]], truth[chosen], chosen


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0, 2.0])
def test_it_is_accepted_on_nasbench_macro(shared_data: Path, noise: float) -> None:
    """Chains of layers: the structure of noisy scores ranks far better than they do, of exact ones nearly as well."""
    space = build_space("nasbench_macro", resolution=32, num_classes=10)
    networks, truth, _ = some_of(shared_data / "nasbench_macro_cifar10.npz", "mean_acc", 1000)
    scores = truth + noise * np.random.default_rng(1).normal(size=len(truth))
    selection = select(space, networks, scores, error=0.1)
    assert selection is not None
    assert selection.accepted
    ours, raw = (kendalltau(of, truth).statistic for of in (selection.fit.structure(networks), scores))
    assert ours > (0.89 if noise < 1 else 0.81)
    assert noise == 0 or ours > raw + 0.05
    known = select(space, networks, scores, error=0.0)  # networks trained alone: exact scores are the better ones
    assert known is not None
    assert known.accepted == (noise > 0)


def test_its_oracles_on_nasbench_macro(shared_data: Path) -> None:
    """Of the truth itself, all 6,561 networks, sums fitted to its ranks keep a tau of 0.887, adjacent pairs 0.898."""
    space = build_space("nasbench_macro", resolution=32, num_classes=10)
    networks, truth, _ = some_of(shared_data / "nasbench_macro_cifar10.npz", "mean_acc", 6561)
    for form, expected in (("additive", 0.887), ("adjacent pairs", 0.898)):
        fit = Fit.of(space, space.encode(networks), ranks(truth), form, 0.1, 0.1)
        assert kendalltau(fit.structure(networks), truth).statistic == pytest.approx(expected, abs=6e-4)


def test_it_is_rejected_on_nasbench_201(shared_data: Path) -> None:
    """Cells: five published supernets and the truth itself, of which 100, 600 and 2,000 networks are known."""
    space = nasbench201(widths=(1,), depths=(1,))
    with np.load(shared_data / "nb201_supernet_scores.npz", allow_pickle=False) as file:
        tables = {name: file[name].astype(float) for name in file.files if file[name].shape == (15625,)}
    with np.load(shared_data / "nb201.npz", allow_pickle=False) as file:
        codes, tables["truth"] = file["arch"], file["test_acc_200"][:, 0].astype(float)
    assert len(tables) == 6
    for count in (100, 600, 2000):
        chosen = np.random.default_rng(count).choice(len(codes), count, replace=False)
        networks = [tuple(map(int, row)) for row in codes[chosen]]
        same = equal_networks(space, networks).tolist()
        for name, scores in tables.items():
            selection = select(space, networks, scores[chosen], error=0.1, same=same)
            assert selection is not None
            assert not selection.accepted, (name, count)


def test_every_pair_of_options_has_a_column() -> None:
    """Columns of a term are those of its options, in the order of a table, less the means."""
    sizes = (2, 3)
    every = list(product(range(2), range(3)))
    columns = features(np.array(every, dtype=float), sizes, [(0, 1)])
    single = [np.eye(size) - 1 / size for size in sizes]
    for row, (a, b) in zip(columns, every, strict=True):
        np.testing.assert_allclose(row.reshape(2, 3), np.outer(single[0][a], single[1][b]))
