"""MFKD: a Gaussian process over a whole space against scikit-learn's, and both forms of the search."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.preprocessing import scale

from lookup_tables.limits import Limits
from search.archive import Archive
from search.engine import run
from search.problem import Problem
from search.result import Fidelity, Result
from search.schedules import Halving
from search.strategies import whole_space
from search.strategies.mfkd import CURIOSITY, Mfkd1, Mfkd1Options, Mfkd2, Mfkd2Options, fit
from search.strategies.whole_space import Features, most_promising
from search.testing.strategies import StrategySuite
from search.testing.toy import toy_accuracy, toy_space
from supernet import Architecture, Decision, DecisionSpace, build_space

SPACE = DecisionSpace(
    "widths",
    (
        Decision("depth", ("1", "2", "3", "4")),
        Decision("width", ("16", "24")),
        Decision("bn", ("no", "yes")),
        Decision("op", ("a", "b", "c")),
        Decision("fixed", ("x",)),
    ),
)
EVERY = list(SPACE.enumerate())


class TestMfkd1(StrategySuite):
    beats_random = False  # all but one are random

    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> Mfkd1:
        return Mfkd1(problem, Mfkd1Options(mfkd1_samples=evaluations - 1), seed)


class TestMfkd2(StrategySuite):
    searches = 3

    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> Mfkd2:
        return Mfkd2(problem, Mfkd2Options(mfkd2_samples=(min(evaluations, 50),), mfkd2_start=10), seed)


def observed(count: int, seed: int = 0) -> tuple[list[Architecture], np.ndarray]:
    drawn = random.Random(seed).sample(EVERY, count)
    return drawn, np.random.default_rng(seed).normal(0.6, 0.1, count)


# ---- the process


def test_features_are_those_of_the_fork() -> None:
    """Every list of numbers is a column, all encodings are brought to mean 0 and variance 1 by scikit-learn's scale."""
    space = build_space("simple_cnn", num_classes=10)
    chosen = random.Random(0).sample(range(space.size), 200)
    values = [[float(o) if o.isdigit() else float(o == "yes") for o in d.options] for d in space.decisions]
    every = np.stack([m.ravel() for m in np.meshgrid(*values, indexing="ij")], axis=1)
    expected = scale(every)[chosen]
    rows = np.stack(np.unravel_index(chosen, space.sizes), axis=1)
    assert expected.shape == (200, 13)
    assert np.allclose(Features(space)(rows), expected)


@pytest.mark.parametrize("normalised", [True, False])
def test_the_posterior_everywhere_is_scikit_learn_s(normalised: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_space, "CHUNK", 12)
    seen, scores = observed(9)
    features = Features(SPACE)
    posterior = fit(features(seen), scores, 5, normalised)
    process = GaussianProcessRegressor(RBF(1.0), n_restarts_optimizer=3, normalize_y=normalised, random_state=5)
    expected_mean, expected_deviation = process.fit(features(seen), scores).predict(features(EVERY), return_std=True)
    for mean, deviation in (posterior.everywhere(features), posterior.at(features(EVERY))):
        assert np.allclose(mean, expected_mean, atol=1e-6)
        assert np.allclose(deviation, expected_deviation, atol=1e-5)


@pytest.mark.parametrize("enumerable", [True, False])
def test_the_most_promising_one_is_found(enumerable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a look at every architecture with scikit-learn's process."""
    if not enumerable:
        monkeypatch.setattr(whole_space, "ENUMERABLE", 1)  # 16,384 draws of 48 encodings see all of them, too
    monkeypatch.setattr(whole_space, "FIRST", 2)
    seen, scores = observed(9)
    features = Features(SPACE)
    excluded = {*seen, *random.Random(1).sample(EVERY, 20)}
    found = most_promising(
        fit(features(seen), scores, 0, True), features, Limits(SPACE), 0.5, excluded, seen, random.Random(0)
    )
    process = GaussianProcessRegressor(RBF(1.0), n_restarts_optimizer=3, normalize_y=True, random_state=0)
    mean, deviation = process.fit(features(seen), scores).predict(features(EVERY), return_std=True)
    values = {a: m + 0.5 * d for a, m, d in zip(EVERY, mean, deviation, strict=True) if a not in excluded}
    assert found is not None
    assert values[found] == pytest.approx(max(values.values()), abs=1e-6)


def test_equals_are_drawn_and_nothing_is_left_in_the_end() -> None:
    features = Features(SPACE)
    posterior = fit(features(EVERY[:2]), np.array([0.5, 0.5]), 0, True)
    flat = whole_space.Posterior.of(
        posterior.seen, [(whole_space.Smooth(0.0, 1.0), np.ones(2))], np.eye(2), np.zeros(2), 1.0
    )
    limits = Limits(SPACE)
    found = {most_promising(flat, features, limits, 1.0, (), (), random.Random(seed)) for seed in range(60)}
    assert len(found) > 25  # of 48
    assert most_promising(flat, features, limits, 1.0, EVERY, (), random.Random(0)) is None


# ---- the searches


class TwoFidelities:
    """Toy accuracies; those at the low fidelity lie by another network for each."""

    LOW, HIGH = Fidelity(epochs=1), Fidelity(epochs=10)

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity) -> list[Result]:
        noise = 0.05 if fidelity == self.LOW else 0.0
        return [
            Result(
                a,
                {"accuracy": toy_accuracy(a) + noise * random.Random(str(a)).random()},
                fidelity=fidelity,
                spent={"epochs": fidelity["epochs"]},
            )
            for a in architectures
        ]


def searched(strategy: Mfkd1 | Mfkd2, folder: Path) -> list[Result]:
    archive = Archive(folder / "archive.jsonl", {})
    run(strategy, TwoFidelities(), archive, {}, schedule=Halving((TwoFidelities.LOW, TwoFidelities.HIGH)))
    return list(archive)


def test_mfkd1_takes_one_of_the_sample_s_model_to_the_highest_fidelity(tmp_path: Path) -> None:
    strategy = Mfkd1(Problem(Limits(toy_space()), rungs=2), Mfkd1Options(mfkd1_samples=12), seed=3)
    rows = searched(strategy, tmp_path)
    assert [row.fidelity for row in rows] == [TwoFidelities.LOW] * 12 + [TwoFidelities.HIGH]
    # scikit-learn's process on the sample, over every architecture that stands for itself
    space = toy_space()
    every = sorted({space.canonical(a) for a in space.enumerate()})
    features = Features(space)
    process = GaussianProcessRegressor(RBF(1.0), n_restarts_optimizer=3)
    process.fit(features([row.architecture for row in rows[:12]]), [row.metrics["accuracy"] for row in rows[:12]])
    mean, deviation = process.predict(features(every), return_std=True)
    values = dict(zip(every, mean - 0.5 * deviation, strict=True))
    assert values[rows[-1].architecture] == pytest.approx(max(values.values()), abs=1e-4)


def test_mfkd2_hands_the_best_over_and_looks_where_it_is_promising(tmp_path: Path) -> None:
    options = Mfkd2Options(mfkd2_samples=(8,), mfkd2_start=4)
    rows = searched(Mfkd2(Problem(Limits(toy_space()), rungs=2), options, seed=1), tmp_path)
    low, high = rows[:8], rows[8:]
    assert {row.fidelity for row in low} == {TwoFidelities.LOW}
    assert [row.fidelity for row in high] == [TwoFidelities.HIGH] * 8
    assert high[0].architecture == max(low, key=lambda row: row.metrics["accuracy"]).architecture
    assert len({row.architecture for row in low}) == len({row.architecture for row in high}) == 8
    space = toy_space()
    every = sorted({space.canonical(a) for a in space.enumerate()})
    features = Features(space)
    known = high[:7]
    process = GaussianProcessRegressor(RBF(1.0), n_restarts_optimizer=3, normalize_y=True)
    process.fit(features([row.architecture for row in known]), [row.metrics["accuracy"] for row in known])
    mean, deviation = process.predict(features(every), return_std=True)
    seen = {row.architecture for row in known}
    values = {a: m + CURIOSITY * d for a, m, d in zip(every, mean, deviation, strict=True) if a not in seen}
    assert values[high[7].architecture] == pytest.approx(max(values.values()), abs=1e-4)


def test_the_first_stage_comes_first() -> None:
    space = toy_space()
    candidates = [space.canonical(a) for a in ((3, 1, 2, 1, 2), (3, 0, 0, 0, 0))]
    strategy = Mfkd2(Problem(Limits(space), candidates=candidates), Mfkd2Options(), seed=0)
    assert strategy.ask(5)[:2] == candidates
