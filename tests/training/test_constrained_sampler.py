"""Training paths within a cost band: pure in (seed, step), uniform, and refused where there are none."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

from config_file.errors import UserError
from lookup_tables import CostTable, build_table
from lookup_tables.limits import Limit, Limits
from supernet import build_space
from tests.training import toy
from training.data import load
from training.recipe import trajectory
from training.supernet_file import load_supernet
from training.train_supernet import prepare_supernet, train_supernet
from training.trainers.uniform import ConstrainedSampler, Uniform


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
    sampler = ConstrainedSampler(Limits(table.space, [Limit(table, lower, upper)]), 3)
    inside = [a for a in table.space.enumerate() if lower <= table.cost([a])[0] <= upper]
    counts = Counter(sampler.paths(step)[0] for step in range(10 * len(inside)))
    assert set(counts) <= set(inside)
    assert chisquare([counts[a] for a in inside]).pvalue > 1e-3


def test_a_step_is_the_same_whoever_asks_and_whenever(table: CostTable) -> None:
    lower, upper = band(table, 0.0, 0.3)
    sampler, again = (ConstrainedSampler(Limits(table.space, [Limit(table, lower, upper)]), 7) for _ in range(2))
    forwards = [sampler.paths(step) for step in range(20)]
    assert [again.paths(step) for step in reversed(range(20))] == forwards[::-1]
    assert ConstrainedSampler(Limits(table.space, [Limit(table, lower, upper)]), 8).paths(0) != sampler.paths(0)
    assert sampler.paths(-1) != sampler.paths(0)
    assert all(type(option) is int for option in forwards[0][0])


def test_a_band_without_paths_is_refused(table: CostTable) -> None:
    low, high = table.minimum()[0], table.maximum()[0]
    with pytest.raises(UserError, match=rf"--target-hc.*from {low:,.0f} \(.* to {high:,.0f} \("):
        ConstrainedSampler(Limits(table.space, [Limit(table, 0, low / 2)]), 0)
    with pytest.raises(UserError, match="--min-hc"):
        ConstrainedSampler(Limits(table.space, [Limit(table, 2 * high, np.inf)]), 0)
    with pytest.raises(UserError, match=rf"--min-hc, --target-hc: no .* the nearest have {low:,.0f} \(.*\) and "):
        ConstrainedSampler(Limits(table.space, [Limit(table, low + 1, low + 2)]), 0)


def test_a_supernet_is_trained_within_the_limits(tmp_path: Path) -> None:
    """The flags are in millions; every path that is run, validation's too, costs what they allow."""
    space = prepare_supernet(toy.supernet_options(tmp_path)).trainer.context.space
    costs = build_table(space, "params").cost(np.array(list(space.enumerate())))
    low, high = np.quantile(costs, [0.2, 0.6])
    options = toy.supernet_options(tmp_path, info_metric="params", target_hc=high / 1e6, min_hc=low / 1e6)
    trainer = prepare_supernet(options).trainer
    assert isinstance(trainer, Uniform)
    assert isinstance(trainer.sampler, ConstrainedSampler)
    validated = trainer.paths_to_validate(4, 60)
    drawn = build_table(space, "params").cost([*validated, *(trainer.paths(step)[0] for step in range(60))])
    assert drawn.min() >= low
    assert drawn.max() <= high
    assert drawn.max() > drawn.min()
    assert load_supernet(train_supernet(options)).info["train"]["target_hc"] == high / 1e6


def test_limits_belong_to_the_course_of_a_training(tmp_path: Path) -> None:
    assert "--target-hc" not in trajectory(toy.supernet_options(tmp_path))
    assert trajectory(toy.supernet_options(tmp_path, target_hc=3.0))["--target-hc"] == 3.0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target_hc": 1e-9}, "--target-hc: no architecture has flops"),
        ({"sample_strategy": "fair", "target_hc": 1.0}, "--sample-strategy uniform, not of fair"),
        ({"info_metric": "latency", "target_hc": 1.0}, "needs --lookup-table"),
    ],
)
def test_limits_that_cannot_be_held(tmp_path: Path, changes: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        prepare_supernet(toy.supernet_options(tmp_path, **changes))
    assert not any(tmp_path.iterdir())


def test_what_nothing_is_within_is_refused_before_images_are_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = prepare_supernet(toy.supernet_options(tmp_path)).trainer.context.space
    costs = np.unique(build_table(space, "flops").cost(np.array(list(space.enumerate()))))

    def forbidden(*given: object) -> None:
        pytest.fail("images are prepared")

    monkeypatch.setattr(load, "_build", forbidden)
    gap = {"min_hc": (costs[3] + 1) / 1e6, "target_hc": (costs[4] - 1) / 1e6}
    with pytest.raises(UserError, match=rf"--min-hc, --target-hc: .* have {costs[3]:,.0f} .* and {costs[4]:,.0f} "):
        prepare_supernet(toy.supernet_options(tmp_path, **gap))
    with pytest.raises(UserError, match="--target-hc: no architecture has flops"):
        prepare_supernet(toy.supernet_options(tmp_path, target_hc=1e-9))
