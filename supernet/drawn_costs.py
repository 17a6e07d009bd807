"""Costs of networks drawn from a space: medians, and how many of them keep a limit."""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from supernet.metrics import METRICS, Metric
from supernet.space import SearchSpace

DRAWN = 4000
"""Architectures that are drawn: a share of them is then known to about a percent."""


def drawn_costs(space: SearchSpace, metrics: Sequence[Metric], seed: int = 0) -> dict[str, NDArray[np.float64]]:
    """Per counted metric (its key) the costs of `DRAWN` encodings, drawn uniformly."""
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(size, size=DRAWN) for size in space.sizes] or [np.zeros(DRAWN, dtype=int)], 1)
    costs = {metric.key: np.zeros(DRAWN) for metric in metrics}
    for metric in metrics:
        for scope, table in space.priced(metric.of):
            costs[metric.key] += table[tuple(codes[:, decision] for decision in scope)]
    return costs


def limits_met(
    limits: Mapping[str, tuple[float | None, float]],
    ends: Mapping[str, Sequence[float]],
    costs: Mapping[str, NDArray[np.float64]],
) -> list[dict[str, Any]]:
    """Per limit that `supernet.limit_text` read one row: limit, met, share.

    Args:
        limits: per metric (lower or None, upper), in the unit of the flags.
        ends: per key of a metric the least and the greatest cost of the space.
        costs: of `drawn_costs`.

    A limit is met where a network of the space keeps it: certain of an upper limit; of a band, where one that was drawn
    does. The share is that of those drawn.

    Raises:
        UserError: a metric that is not counted.
    """
    rows = []
    for name, (lower, upper) in limits.items():
        metric = METRICS.get(name)
        if metric is None or metric.key not in costs:
            counted = ", ".join(other.name for other in METRICS.values() if other.key in costs)
            raise UserError(f"--constraint {name}: nothing is counted of that name here (choices: {counted})")
        low = -inf if lower is None else lower * metric.per_flag
        high, (least, _), drawn = upper * metric.per_flag, ends[metric.key], costs[metric.key]
        share = float(((drawn >= low) & (drawn <= high)).mean())
        words = f"{'' if lower is None else f'{lower:g}<='}{name}<={upper:g}"
        rows.append({"limit": words, "met": share > 0 or (lower is None and least <= high), "share": share})
    return rows
