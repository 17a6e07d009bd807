"""Scores corrected for cost: a supernet's error is first of all one of size.

    corrected(i) = ln(rank of score i / N) + ln(rank of cost i / N)

with ranks from 1, the worst, and their mean where there are ties: the aggregation of AZ-NAS (Lee and Ham 2024) of a
score and live multiply-accumulates. There is no weight to tune. Networks that differ in size are told apart by it far
better; among networks of equal cost it is the order of the score itself.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]


def corrected(scores: Floats, cost: Floats, same: NDArray[np.intp] | None = None) -> Floats:
    """(N,) scores, greater is better, and costs -> (N,) corrected scores, 0 for the greatest of both.

    Args:
        same: (N,) numbers, equal for architectures that are the same network: their scores are averaged first.
    """
    if same is not None:
        scores = (np.bincount(same, scores) / np.bincount(same))[same]
    return log_rank(scores) + log_rank(cost)


def log_rank(values: Floats) -> Floats:
    """(N,) -> (N,) logarithms of ranks over N, from ln(1/N) to 0; ties have the mean of their ranks."""
    return np.log(rankdata(values) / len(values))
