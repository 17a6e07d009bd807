"""Training paths within a cost band: pure in (seed, step), uniform, and refused where there are none."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from config_file.errors import UserError
from lookup_tables import CostTable, build_table
from supernet import build_space
from training.constrained_sampler import ConstrainedSampler


@pytest.fixture(scope="module")
def table() -> CostTable:
    space = build_space("nasbench_macro", widths=(4, 8, 12, 16, 32), num_classes=10)
    return build_table(space)


def band(table: CostTable, low: float, high: float) -> tuple[float, float]:
    every = np.array(list(table.space.enumerate()))
    lower, upper = np.quantile(table.cost(every), [low, high])
    return float(lower), float(upper)


def test_every_path_of_the_band_is_as_likely(table: CostTable) -> None:
    lower, upper = band(table, 0.10, 0.12)
    sampler = ConstrainedSampler(table, 3, lower=lower, upper=upper)
    inside = [a for a in table.space.enumerate() if lower <= table.cost([a])[0] <= upper]
    counts = Counter(sampler.paths(step)[0] for step in range(10 * len(inside)))
    assert set(counts) <= set(inside)
    assert chisquare([counts[a] for a in inside]).pvalue > 1e-3


def test_a_step_is_the_same_whoever_asks_and_whenever(table: CostTable) -> None:
    lower, upper = band(table, 0.0, 0.3)
    sampler, again = (ConstrainedSampler(table, 7, lower=lower, upper=upper) for _ in range(2))
    forwards = [sampler.paths(step) for step in range(20)]
    assert [again.paths(step) for step in reversed(range(20))] == forwards[::-1]
    assert ConstrainedSampler(table, 8, lower=lower, upper=upper).paths(0) != sampler.paths(0)
    assert sampler.paths(-1) != sampler.paths(0)
    assert all(type(option) is int for option in forwards[0][0])


def test_a_band_without_paths_is_refused(table: CostTable) -> None:
    low, high = table.minimum()[0], table.maximum()[0]
    with pytest.raises(UserError, match=rf"--target-hc.*{low:,.6g} to {high:,.6g} MACs".replace("+", r"\+")):
        ConstrainedSampler(table, 0, lower=0, upper=low / 2)
    with pytest.raises(UserError, match="--min-hc"):
        ConstrainedSampler(table, 0, lower=2 * high, upper=np.inf)
    with pytest.raises(UserError, match="no architecture with a cost"):
        ConstrainedSampler(table, 0, lower=low + 1, upper=low + 2)
