"""Draws from a distribution over architectures, given that their costs are within limits, however improbable that is.

Plain rejection sees nothing of a limit that one draw in a million keeps. So decisions are drawn from a tilted
distribution, q(a) ~ p(a) exp(-sum_k t_k cost_k(a)), which favours what is within the limits, and a draw within them is
accepted with the probability exp(sum_k t_k (cost_k(a) - limit_k)) <= 1: what is accepted is distributed exactly as p
given the limits. The tilts t_k >= 0 are those of Chernoff's bound, which makes acceptance most likely:

    P(all cost_k <= limit_k) <= E[exp(t . (limit - cost))] = exp(t . limit) prod_d sum_o p_d(o) exp(-t . cost(d, o))

whose logarithm is convex in t, as a sum of linear terms and of logarithms of sums of exponentials.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from supernet import Architecture
from supernet.elimination import Factor
from supernet.label_setting import Bound

STEEPEST = 1e4
"""Greatest tilt, over the range of a cost: a limit may lie at the very end of it."""

Row = NDArray[np.float64]


class LimitedDraws:
    """Independent decisions, given limits on sums of costs.

    Where a factor of a cost is over several decisions, as where the width of a layer decides what the next one costs,
    a tilted distribution would not be independent: that cost is then not tilted, and only rejected.

    Args:
        log_probabilities: (options,) per decision.
        limits: upper limits of costs.
    """

    def __init__(self, log_probabilities: Sequence[Row], limits: Sequence[Bound]) -> None:
        self._limits = list(limits)
        self._tilts = np.zeros(len(self._limits))
        self._rows = [np.asarray(row, dtype=np.float64) for row in log_probabilities]
        # 1. The costs that can be tilted, in units of their ranges, so that one greatest tilt suits all: the room that
        #    the limit leaves above the fixed part, and (options,) costs per decision.
        tilted, rooms, tables, ranges = [], [], [], []
        for index, limit in enumerate(self._limits):
            base, rows = _by_decision(limit.factors, self._rows)
            span = sum(float(np.ptp(row)) for row in rows)
            if span > 0:
                tilted.append(index)
                ranges.append(span)
                rooms.append((limit.upper - base) / span)
                tables.append([row / span for row in rows])
        if not tilted:
            return
        room = np.array(rooms)
        scaled = [np.array(costs) for costs in zip(*tables, strict=True)]  # (K, options) per decision

        def bound(tilts: Row) -> tuple[float, Row]:
            """The logarithm of Chernoff's bound on the probability of the limits, and its gradient."""
            # t . room + sum_d log sum_o p_d(o) exp(-t . cost(d, o)); its gradient is the room less the expected costs.
            value, slope = float(tilts @ room), room.copy()
            for row, costs in zip(self._rows, scaled, strict=True):
                weighted = row - tilts @ costs
                normaliser = logsumexp(weighted)
                value += float(normaliser)
                slope -= costs @ np.exp(weighted - normaliser)
            return value, slope

        # 2. The tilts that make the bound least: at them the expected costs are at their limits, or a tilt is 0.
        best = minimize(
            bound, np.zeros(len(tilted)), jac=True, method="L-BFGS-B", bounds=[(0.0, STEEPEST)] * len(tilted)
        ).x
        # 3. Decisions are independent under q as well: log q_d(o) = log p_d(o) - t . cost(d, o), up to a constant.
        self._rows = [row - best @ costs for row, costs in zip(self._rows, scaled, strict=True)]
        self._tilts[tilted] = best / ranges

    def __call__(self, rng: np.random.Generator) -> Architecture | None:
        """A draw, or None where it was rejected: draw again."""
        # The largest noisy logit is a draw from their softmax.
        drawn = tuple(int((row + rng.gumbel(size=len(row))).argmax()) for row in self._rows)
        # Beyond a limit: rejected. Within: p / q ~ exp(t . cost) is greatest at the limits, so kept with that over its
        # greatest, exp(t . (cost - limit)).
        exponent = 0.0
        for limit, tilt in zip(self._limits, self._tilts, strict=True):
            excess = _cost(limit.factors, drawn) - limit.upper
            if not excess <= 0:
                return None
            exponent += tilt * excess
        return drawn if rng.random() < np.exp(exponent) else None


def _by_decision(factors: Sequence[Factor], like: Sequence[Row]) -> tuple[float, list[Row]]:
    """A cost as a constant and (options,) per decision; all 0 where a factor is over several decisions."""
    base, rows = 0.0, [np.zeros(len(row)) for row in like]
    for scope, table in factors:
        if len(scope) > 1:
            return 0.0, [np.zeros(len(row)) for row in like]
        if scope:
            rows[scope[0]] = rows[scope[0]] + table
        else:
            base += float(table)
    return base, rows


def _cost(factors: Sequence[Factor], architecture: Architecture) -> float:
    return float(sum(table[tuple(architecture[decision] for decision in scope)] for scope, table in factors))
