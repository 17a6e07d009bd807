"""MFASC: co-kriging against joint Gaussians written out, and the turns of its fidelities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal, pearsonr

from lookup_tables.limits import Limits
from search.archive import Archive
from search.engine import run
from search.ledger import Ledger, Stop
from search.problem import Problem
from search.schedules import Halving
from search.strategies.cokriging import Likelihood, fit_cokriging
from search.strategies.mfasc import Mfasc, MfascOptions
from search.testing.strategies import StrategySuite
from search.testing.toy import toy_space
from tests.search.strategies.test_mfkd import TwoFidelities

RNG = np.random.default_rng(0)
X_LOW, X_HIGH, X_NEW = RNG.normal(size=(9, 3)), RNG.normal(size=(4, 3)), RNG.normal(size=(5, 3))
Y_LOW, Y_HIGH = RNG.normal(size=9), RNG.normal(size=4)
THETA = np.array([0.7, *np.log([1.5, 0.8, 0.2, 0.6, 1.2, 0.1])])


class TestMfasc(StrategySuite):
    searches = 3

    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> Mfasc:
        return Mfasc(problem, MfascOptions(mfasc_pool=60, mfasc_high=10), seed)


def covariance(theta: np.ndarray, places: list[tuple[str, np.ndarray]]) -> np.ndarray:
    """Of values at ("low" or "high", x), without noise, pair by pair from high = rho * low + difference."""
    rho, (v, length, _, v_d, length_d, _) = theta[0], np.exp(theta[1:])

    def one(first: tuple[str, np.ndarray], second: tuple[str, np.ndarray]) -> float:
        squared = float(((first[1] - second[1]) ** 2).sum())
        power = [first[0], second[0]].count("high")
        found = rho**power * v * np.exp(-squared / (2 * length**2))
        return found + (v_d * np.exp(-squared / (2 * length_d**2)) if power == 2 else 0.0)

    return np.array([[one(a, b) for b in places] for a in places])


PLACES = [*(("low", x) for x in X_LOW), *(("high", x) for x in X_HIGH)]
NOISE = np.diag(np.exp([THETA[3]] * 9 + [THETA[6]] * 4))


def test_the_likelihood_is_scipy_s_and_its_gradient_that_of_differences() -> None:
    values = np.concatenate([Y_LOW, Y_HIGH])
    likelihood = Likelihood(X_LOW, X_HIGH, values)
    expected = -multivariate_normal(cov=covariance(THETA, PLACES) + NOISE).logpdf(values)
    value, gradient = likelihood(THETA)
    assert value == pytest.approx(expected)
    assert gradient == pytest.approx(approx_fprime(THETA, lambda theta: likelihood(theta)[0], 1e-7), abs=1e-4)


@pytest.mark.parametrize("fidelity", ["low", "high"])
def test_the_posterior_is_the_conditional_of_the_joint_gaussian(fidelity: str) -> None:
    model = fit_cokriging((X_LOW, Y_LOW), (X_HIGH, Y_HIGH), RNG, theta=THETA, refit=False)
    mean, deviation = (model.high if fidelity == "high" else model.low).at(X_NEW)
    new = [(fidelity, x) for x in X_NEW]
    # The posterior of the low fidelity knows the low observations only, as in Vega.
    known = slice(None) if fidelity == "high" else slice(9)
    scaled = np.concatenate([(y - y.mean()) / y.std() for y in (Y_LOW, Y_HIGH)])[known]
    joint = covariance(THETA, PLACES[known] + new)
    n = len(scaled)
    observed, between = joint[:n, :n] + NOISE[known, known], joint[n:, :n]
    unit = (Y_HIGH if fidelity == "high" else Y_LOW).std()
    offset = (Y_HIGH if fidelity == "high" else Y_LOW).mean()
    assert mean == pytest.approx(offset + unit * between @ np.linalg.solve(observed, scaled))
    spread = joint[n:, n:] - between @ np.linalg.solve(observed, between.T)
    assert deviation == pytest.approx(unit * np.sqrt(np.diag(spread)))


@pytest.mark.parametrize("sign", [1, -1])
def test_many_cheap_values_predict_a_few_dear_ones(sign: int) -> None:
    """High = ± 2 low + a slope: 6 values and 40 cheap ones predict better than the 6 alone."""
    rng = np.random.default_rng(3)
    x, new = rng.uniform(-2, 2, (46, 2)), rng.uniform(-2, 2, (200, 2))

    def low(at: np.ndarray) -> np.ndarray:
        return np.sin(2 * at[:, 0]) + np.cos(2 * at[:, 1])

    def high(at: np.ndarray) -> np.ndarray:
        return sign * 2 * low(at) + 0.3 * at[:, 0]

    few, many = x[:6], x[6:]
    both = fit_cokriging((many, low(many)), (few, high(few)), rng, restarts=3)
    alone = fit_cokriging((few[:0], low(few[:0])), (few, high(few)), rng, restarts=3)
    error, plain = (np.abs(model.high.at(new)[0] - high(new)).mean() for model in (both, alone))
    assert error < plain / 2
    assert np.sign(both.rho) == sign
    assert pearsonr(both.high.at(new)[0], high(new)).statistic > 0.9


def test_fidelities_take_turns_until_the_epochs_are_spent(tmp_path: Path) -> None:
    options = MfascOptions(mfasc_high=2, mfasc_low=4, mfasc_ratio=3, mfasc_pool=30)
    strategy = Mfasc(Problem(Limits(toy_space()), rungs=2), options, seed=1)
    archive = Archive(tmp_path / "archive.jsonl", {})
    ledger = Ledger(Stop(epochs=60))
    schedule = Halving((TwoFidelities.LOW, TwoFidelities.HIGH))
    run(strategy, TwoFidelities(), archive, {}, ledger=ledger, schedule=schedule)
    sides = "".join("h" if row.fidelity == TwoFidelities.HIGH else "l" for row in archive)
    # The n-th training is one at the high fidelity where 3 divides n.
    assert sides == "hhllll" + "".join("h" if n % 3 == 0 else "l" for n in range(7, len(sides) + 1))
    assert ledger.spent["epochs"] >= 60 > ledger.spent["epochs"] - 10
    for fidelity in (TwoFidelities.LOW, TwoFidelities.HIGH):
        there = [row.architecture for row in archive if row.fidelity == fidelity]
        assert len(set(there)) == len(there)
