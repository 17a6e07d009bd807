"""Agreement of predicted costs with measured ones, and the line that corrects predictions."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Vector = NDArray[np.float64]

# Standard deviations up to which an error counts squared, and linearly beyond: 95 % efficient on normal errors.
HUBER = 1.345
MEDIAN_OF_NORMAL = 0.6745  # median of the absolute error over its standard deviation, where errors are normal
REWEIGHTED = 30  # weighted fits, each with the weights of the one before
EXACT = 1e-12  # relative error below which a fit is exact


class Accuracy(NamedTuple):
    """Agreement of predictions with measurements.

    Args:
        spearman: rank correlation; NaN where all predictions or all measurements are equal.
        mape: mean absolute error in percent of the measurement.
        networks: how many were compared.
    """

    spearman: float
    mape: float
    networks: int

    def self_check(self, how: str) -> dict[str, Any]:
        """As a table's file holds it, with how the networks were held out."""
        check = {"spearman": round(self.spearman, 4), "mape_percent": round(self.mape, 3)}
        return check | {"networks": self.networks, "how": how}


def judge(predicted: Vector, measured: Vector) -> Accuracy:
    """Compare (N,) predictions with (N,) measurements above 0."""
    mape = 100 * float(np.mean(np.abs(predicted - measured) / measured))
    return Accuracy(spearman(predicted, measured), mape, len(measured))


def spearman(first: Vector, second: Vector) -> float:
    """Spearman's rank correlation; ties share their mean rank."""
    ranks = rankdata(first), rankdata(second)
    if len(first) < 2 or min(rank.std() for rank in ranks) == 0:
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def affine(predicted: Vector, measured: Vector, least: float = 0.0) -> tuple[float, float]:
    """(scale, offset) of the line through (N,) predictions that has the least relative error, by Huber's loss.

    Squares would let one network that never ran undisturbed, and so was measured half as slow again, tilt the line for
    all others.

    A line that falls says nothing, and one below zero cannot be: at the prediction `least`, the smallest that will be
    asked for, it keeps at least half of the height of a scale alone. The best line under that condition is returned.
    """
    # Iteratively reweighted least squares (Huber 1981): an error beyond k times the typical one weighs k times it over
    # the error, which makes its square grow linearly.
    weights = np.ones_like(measured)
    for _ in range(REWEIGHTED):
        scale, offset = _line(predicted, measured, least, weights)
        error = np.abs(scale * predicted + offset - measured) / measured
        typical = float(np.median(error)) / MEDIAN_OF_NORMAL
        if typical < EXACT:
            break
        weights = np.minimum(1, HUBER * typical / np.maximum(error, EXACT))
    return scale, offset


def _line(predicted: Vector, measured: Vector, least: float, weights: Vector) -> tuple[float, float]:
    # Least squares of the relative error: sum_i w_i ((scale x_i + offset) / y_i - 1)^2.
    relative = np.sqrt(weights) / measured
    design = np.column_stack([predicted, np.ones_like(predicted)]) * relative[:, None]
    if len(measured) > 1 and np.ptp(predicted) > 0:
        (scale, offset), *_ = np.linalg.lstsq(design, np.sqrt(weights), rcond=None)
        if scale > 0 and offset >= -scale * least / 2:
            return float(scale), float(offset)
        if scale > 0:  # the best line lies beyond the condition, so the best that holds it is on its edge
            scale = _best_scale(predicted - least / 2, measured, weights)
            return scale, -scale * least / 2
    return _best_scale(predicted, measured, weights), 0.0


def _best_scale(predicted: Vector, measured: Vector, weights: Vector) -> float:
    ratio = predicted / measured
    return float((weights * ratio).sum() / (weights * ratio**2).sum())
