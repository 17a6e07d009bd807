"""Co-kriging: one Gaussian process of a cheap and an expensive measurement (Kennedy and O'Hagan 2000, Forrester 2007).

    high(x) = rho * low(x) + difference(x)

low and difference are independent processes, each with kernel v * exp(-|x - y|^2 / 2l^2), and are seen with noises n:

    cov(low, low') = k_low + n_low,   cov(low, high') = rho * k_low,   cov(high, high') = rho^2 * k_low + k_d + n_high

with noises where both are the same observation. The parameters have the greatest marginal likelihood, found by L-BFGS-B
along its gradient. Values of each fidelity are brought to mean 0 and variance 1 first, so that rho, which lies between
-1 and 1 as in MFASC, is about their correlation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from search.strategies.whole_space import Posterior, Smooth, positive_root

Floats = NDArray[np.float64]

RHO = (-1.0, 1.0)
SCALES = (1e-3, 1e2)
"""Bounds of variances, lengths and noises: those of MFASC."""

START = np.array([0.9, *np.log([1.0, 1.0, 0.1, 0.3, 1.0, 0.1])])
"""rho, and the logarithms of v, l and n of the low fidelity and of the difference."""

UNLIKELY = 1e25


@dataclass(frozen=True)
class CoKriging:
    """The process of what was observed.

    Attributes:
        low, high: the posteriors of either fidelity; `low` without noise of its own.
        rho: about the correlation of the two.
        theta: the parameters, to begin with when there is more data.
    """

    low: Posterior
    high: Posterior
    rho: float
    theta: Floats


def fit_cokriging(
    low: tuple[Floats, Floats],
    high: tuple[Floats, Floats],
    rng: np.random.Generator,
    restarts: int = 1,
    theta: Floats | None = None,
    refit: bool = True,
) -> CoKriging:
    """The process that has observed (x (n, F), values (n,)) at either fidelity; at the high one at least once.

    Args:
        rng: of the starts of the parameters beside `theta`, of which there are so many `restarts`.
        theta: parameters to begin with, or, without `refit`, to take.
    """
    (x_low, y_low), (x_high, y_high) = low, high
    scaled_low, *moments_low = _scaled(y_low)
    scaled_high, *moments_high = _scaled(y_high)
    likelihood = Likelihood(x_low, x_high, np.concatenate([scaled_low, scaled_high]))
    best = START if theta is None else theta
    if refit:
        bounds = [RHO, *([tuple(np.log(SCALES))] * 6)]
        lower, upper = np.array(bounds).T
        starts = [best, *rng.uniform(lower, upper, (restarts, len(START)))]
        found = [minimize(likelihood, start, jac=True, method="L-BFGS-B", bounds=bounds) for start in starts]
        best = min(found, key=lambda result: float(result.fun)).x
    rho, (v_low, l_low, n_low, v_d, l_d, _) = best[0], np.exp(best[1:])
    k_low, k_d, ones = Smooth(v_low, l_low), Smooth(v_d, l_d), np.ones
    of_low = Posterior.of(
        x_low, [(k_low, ones(len(x_low)))], k_low(x_low, x_low) + n_low * np.eye(len(x_low)), scaled_low, v_low
    )
    shares = np.concatenate([np.full(len(x_low), rho), np.full(len(x_high), rho**2)])
    own = np.concatenate([np.zeros(len(x_low)), ones(len(x_high))])
    of_high = Posterior.of(
        np.concatenate([x_low, x_high]), [(k_low, shares), (k_d, own)], likelihood.covariance(best),
        np.concatenate([scaled_low, scaled_high]), rho**2 * v_low + v_d,
    )  # fmt: skip
    return CoKriging(of_low.moved(*moments_low), of_high.moved(*moments_high), float(rho), best)


def _scaled(values: Floats) -> tuple[Floats, float, float]:
    """Values of mean 0 and variance 1, and the mean and deviation that they had."""
    mean, deviation = (float(values.mean()), float(values.std())) if len(values) else (0.0, 1.0)
    return (values - mean) / (deviation or 1.0), mean, deviation or 1.0


class Likelihood:
    """The negative logarithm of the marginal likelihood of values (n,), the low ones first, and its gradient (7,)."""

    def __init__(self, x_low: Floats, x_high: Floats, values: Floats) -> None:
        x = np.concatenate([x_low, x_high])
        self._squared = ((x[:, None] - x[None]) ** 2).sum(2)
        self._is_high = np.arange(len(x)) >= len(x_low)
        self._both = np.outer(self._is_high, self._is_high)
        self._values = values

    def covariance(self, theta: Floats) -> Floats:
        """(n, n) of the observations."""
        low, powers, noise_low, difference, noise_high = self._terms(theta)
        return powers * low + noise_low + difference + noise_high

    def _terms(self, theta: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """k_low, the powers of rho that it stands with, n_low, k_d and n_high, each (n, n)."""
        rho, (v_low, l_low, n_low, v_d, l_d, n_high) = theta[0], np.exp(theta[1:])
        powers = np.where(self._is_high, rho, 1.0)
        low = v_low * np.exp(-self._squared / (2 * l_low**2))
        difference = self._both * v_d * np.exp(-self._squared / (2 * l_d**2))
        return (
            low,
            np.outer(powers, powers),
            np.diag(~self._is_high * n_low),
            difference,
            np.diag(self._is_high * n_high),
        )

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        low, powers, noise_low, difference, noise_high = self._terms(theta)
        try:
            root = positive_root(self.covariance(theta))
        except np.linalg.LinAlgError:
            return UNLIKELY, np.zeros_like(theta)
        half = np.linalg.inv(root)
        inverse = half.T @ half
        weights = inverse @ self._values
        value = 0.5 * self._values @ weights + np.log(np.diag(root)).sum() + 0.5 * len(root) * np.log(2 * np.pi)
        # d/dt = -1/2 tr((w w' - K^-1) dK/dt); d rho^c / d rho = c rho^(c - 1), where c is how many of two are high
        count = self._is_high[:, None].astype(float) + self._is_high
        l_low, l_d = np.exp(theta[[2, 5]])
        slopes = [
            count * np.where(count > 1, theta[0], 1.0) * low, powers * low, powers * low * self._squared / l_low**2,
            noise_low, difference, difference * self._squared / l_d**2, noise_high,
        ]  # fmt: skip
        outer = np.outer(weights, weights) - inverse
        return float(value), np.array([-0.5 * (outer * slope).sum() for slope in slopes])
