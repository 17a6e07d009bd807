"""Per-block costs from measurements of whole networks: a Gaussian prior from what blocks are, and non-negative costs.

A network's latency is an offset plus the sum of its blocks' costs plus noise. The costs are a linear function of the
blocks' features (work, traffic, parts), a smooth function of them, and something of each block's own. How much of each
there is, and how much noise, is what makes the measurements most likely (the marginal likelihood, as in Gaussian
process regression; Rasmussen and Williams 2006, chapters 2 and 5). The costs themselves are the most probable ones that
are not negative: one non-negative least-squares problem. Few measurements are read through the prior, many overrule it.

    y = X w + e,   w ~ N(0, K(theta)),   e ~ N(0, sigma^2 I)
    K = linear^2 F F' + (smooth^2 exp(-|f_i - f_j|^2 / (2 length^2)) + own^2 I) * (size size')
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.optimize import minimize, nnls

from config_file.errors import UserError

Vector = NDArray[np.float64]

LEAST = 10  # fewer measurements than this say nothing about their own error

LINEAR, SMOOTH, LENGTH, OWN, NOISE = range(5)
START = np.array([0.0, 0.0, 0.5, -1.0, -1.5])
BOUNDS = ((-8, 5), (-8, 5), (-1.5, 3), (-8, 5), (-8, 3))
"""Logarithms of the prior's scales: of the three terms and the noise in standard deviations of the measurements, and of
the length over which the smooth term changes in standard deviations of the log features."""

WEAK = 0.02  # precision of a Gaussian around START, which settles what few measurements leave open
OFFSET = 10.0  # standard deviation of the offset, in mean measurements: it is not known

JITTER = 1e-9


class _Data(NamedTuple):
    """Measurements in standard deviations, rotated so that there are no more rows than unknowns.

    Args:
        design: (M, P + 1) counts of the blocks, and the offset's column.
        target: (M,).
        spare: number of rows that the rotation emptied of everything but noise.
        spare_squares: sum of the squares of what is left in them.
    """

    design: Vector
    target: Vector
    spare: int
    spare_squares: float


@dataclass(frozen=True)
class Fit:
    """The solution: (P,) costs of blocks, and an offset of every network."""

    values: Vector
    offset: float

    def predict(self, counts: Vector) -> Vector:
        """(N, P) counts of the blocks -> (N,) costs of networks."""
        predicted: Vector = counts @ self.values + self.offset
        return predicted


def fit_blocks(counts: Vector, features: Vector, measured: Vector) -> Fit:
    """Solve for the costs of blocks, all at least 0, from measured networks.

    Args:
        counts: (N, P) how often each block stands in each network.
        features: (P, F) of the blocks, each at least 0.
        measured: (N,) costs of the networks.

    Raises:
        UserError: fewer than LEAST measurements, or all are the same.
    """
    if len(measured) < LEAST:
        raise UserError(f"{len(measured)} measurements are too few to fit block costs to: at least {LEAST}")
    # 1. Everything in standard deviations of the measurements, and in as few rows as there are unknowns.
    scale = float(measured.std())
    if scale == 0:
        raise UserError(f"all {len(measured)} measurements are {measured[0]:g}: nothing can be told from them")
    data = _rotated(np.column_stack([counts, np.ones(len(counts))]), measured / scale)
    prior = _Prior(counts, features, OFFSET * float(measured.mean()) / scale)
    # 2. The prior's scales and the noise that make the measurements most likely.
    logs = minimize(
        lambda logs: _surprise(logs, data, prior), START, method="L-BFGS-B", bounds=BOUNDS, options={"maxiter": 40}
    ).x
    noise = float(np.exp(logs[NOISE]))
    # 3. The most probable costs, min |y - X w|^2 / sigma^2 + w' K^-1 w over w >= 0: with K = L L' least squares on the
    #    measurements and on the whitened costs L^-1 w, which the prior has at 0.
    factor = cholesky(prior.covariance(logs), lower=True)
    whitened = solve_triangular(factor, np.eye(len(factor)), lower=True)
    unknowns, _ = nnls(
        np.vstack([data.design / noise, whitened]),
        np.concatenate([data.target / noise, np.zeros(len(factor))]),
        maxiter=50 * len(factor),
    )
    return Fit(unknowns[:-1] * scale, float(unknowns[-1]) * scale)


class _Prior:
    """The covariance of block costs (and the offset, last), in standard deviations of the measurements."""

    def __init__(self, counts: Vector, features: Vector, offset: float) -> None:
        self._offset = offset
        # A feature's unit is how much it varies from network to network.
        spread = (counts @ features).std(0)
        linear = features / np.where(spread > 0, spread, np.inf)
        self._linear = linear @ linear.T
        # Large blocks deviate by more than small ones, and even the smallest by something.
        mean = features.mean(0)
        size = 0.25 + (features / np.where(mean > 0, mean, np.inf)).mean(1)
        size /= np.sqrt(max(float((counts * size).std(0).sum()), JITTER))
        self._sizes = np.outer(size, size)
        logs = np.log1p(features / np.where(mean > 0, np.median(features, 0) + 0.1 * mean, np.inf))
        variation = logs.std(0)
        logs = (logs - logs.mean(0)) / np.where(variation > 0, variation, np.inf)
        self._distances = ((logs[:, None] - logs[None]) ** 2).sum(-1)

    def covariance(self, logs: Vector) -> Vector:
        """(P + 1, P + 1) of the logarithms of the scales; the offset is independent of the blocks."""
        linear, smooth, length, own = np.exp(2 * logs[:NOISE])
        # The squared exponential (Rasmussen and Williams 2006, equation 4.9) ties blocks with similar features.
        similar = smooth * np.exp(-self._distances / (2 * length)) + own * np.eye(len(self._sizes))
        covariance = np.zeros((len(self._sizes) + 1, len(self._sizes) + 1))
        covariance[:-1, :-1] = linear * self._linear + similar * self._sizes + JITTER * np.eye(len(self._sizes))
        covariance[-1, -1] = self._offset**2
        return covariance


def _surprise(logs: Vector, data: _Data, prior: _Prior) -> float:
    """Negative log marginal likelihood of the measurements, and a weak pull towards the start."""
    # -log p(y | X) = 1/2 y' C^-1 y + 1/2 log |C| + const. with C = X K X' + sigma^2 I (equation 5.8); with C = L L' the
    # first term is |L^-1 y|^2 / 2 and the second the sum of log diag L.
    noise = float(np.exp(2 * logs[NOISE]))
    covariance = data.design @ prior.covariance(logs) @ data.design.T + noise * np.eye(len(data.target))
    try:
        factor = cholesky(covariance, lower=True)
    except LinAlgError:
        return 1e10  # rounded to something that is no covariance: nothing to go by here
    whitened = solve_triangular(factor, data.target, lower=True)
    likelihood = 0.5 * float(whitened @ whitened) + float(np.log(np.diag(factor)).sum())
    # Rows without unknowns are noise alone: C is sigma^2 I there.
    likelihood += 0.5 * (data.spare_squares / noise + data.spare * np.log(noise))
    return likelihood + WEAK * float(((logs - START) ** 2).sum())


def _rotated(design: Vector, target: Vector) -> _Data:
    """An orthogonal rotation of the rows, after which only the first ones depend on the unknowns."""
    # X = Q R: |y - X w|^2 = |Q' y - R w|^2 + |y|^2 - |Q' y|^2, and the likelihood of white noise is that of Q' y.
    if len(design) <= design.shape[1]:
        return _Data(design, target, 0, 0.0)
    rotation, triangle = np.linalg.qr(design)
    rotated = rotation.T @ target
    left = max(float(target @ target - rotated @ rotated), 0.0)
    return _Data(triangle, rotated, len(design) - len(rotated), left)
