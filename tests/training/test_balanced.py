"""Balanced sampling: every size equally often, uniform within each, exactly, against lists of all encodings."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import comb
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

from config_file.errors import UserError
from lookup_tables import build_table
from supernet import Architecture, SearchSpace, build_space
from supernet.liveness import layers, longest_path
from tests.training.test_trainers import TOY
from training import Context, Trainer
from training.cli import main_train_supernet
from training.testing import TrainerSuite
from training.trainers import TRAINERS
from training.trainers.balanced import BANDS, MEASURES, BalancedSampler, usual_measure


class TestBalanced(TrainerSuite):
    def make(self, context: Context) -> Trainer:
        return TRAINERS["balanced"](context)


MACRO = build_space("nasbench_macro", widths=(4, 8, 12, 16, 32), depths=(1, 2, 2), num_classes=10)
CELL = build_space("nasbench201", widths=(4,), depths=(2,))
ELASTIC = build_space("simple_cnn", num_classes=10)


def longest_by_walking(names: list[str]) -> int:
    """The convolutions on the longest live path of a cell of NAS-Bench-201, path by path."""
    edges = dict(zip([(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)], names, strict=True))
    lengths = [0]
    for path in ((0, 3), (0, 1, 3), (0, 2, 3), (0, 1, 2, 3)):
        ops = [edges[edge] for edge in pairwise(path)]
        if "none" not in ops:
            lengths.append(sum(op.startswith("nor_conv") for op in ops))
    return max(lengths)


def groups_of(space: SearchSpace, measure: str) -> dict[float, list[Architecture]]:
    """All encodings by size, as an independent count says."""
    every = list(space.enumerate())
    if measure == "layers":
        numbers = [sum(name != "identity" for name in space.names(a)) for a in every]
    elif measure == "path":
        numbers = [longest_by_walking(space.names(a)) for a in every]
    else:
        cost = build_table(space).cost(every)
        edges = np.linspace(cost.min(), cost.max(), BANDS + 1)[1:-1]
        numbers = np.searchsorted(edges, cost, "right").tolist()
    groups: dict[float, list[Architecture]] = {}
    for number, architecture in zip(numbers, every, strict=True):
        groups.setdefault(number, []).append(architecture)
    return groups


@pytest.mark.parametrize(("space", "measure"), [(MACRO, "layers"), (CELL, "path"), (MACRO, "macs")])
def test_every_size_is_drawn_equally_often_and_uniformly_within(space: SearchSpace, measure: str) -> None:
    groups = groups_of(space, measure)
    where = {architecture: size for size, members in groups.items() for architecture in members}
    sizes = MEASURES[measure](space)
    assert len(sizes.draws) == len(groups)
    rng = np.random.default_rng(1)
    for draw, size in zip(sizes.draws, sorted(groups), strict=True):
        members = groups[size][:200]  # of a long list the frequency of some
        drawn = Counter(draw(rng) for _ in range(min(8 * len(groups[size]), 3000)))
        assert {where[architecture] for architecture in drawn} == {size}
        rest = sum(drawn.values()) - sum(drawn[a] for a in members)
        if len(groups[size]) > 1:
            seen = [drawn[a] for a in members] + ([rest] if len(groups[size]) > len(members) else [])
            expected = [1.0] * len(members) + ([len(groups[size]) - len(members)] if len(seen) > len(members) else [])
            scale = sum(seen) / sum(expected)
            assert chisquare(seen, [scale * e for e in expected]).pvalue > 1e-4
    sampler = BalancedSampler(sizes, 3)
    counts = Counter(where[sampler.paths(step)[0]] for step in range(150 * len(groups)))
    assert chisquare([counts[size] for size in groups]).pvalue > 1e-3


def test_a_size_of_a_large_chain_is_counted_exactly() -> None:
    sizes = MEASURES["layers"](build_space("proxylessnas"))
    space = build_space("proxylessnas")
    skippable = sum("skip" in decision.options for decision in space.decisions)
    assert len(sizes.draws) == skippable + 1  # none of them to all
    rng = np.random.default_rng(0)
    least = space.names(sizes.draws[0](rng))
    assert least.count("skip") == skippable
    assert space.names(sizes.draws[-1](rng)).count("skip") == 0


def test_layers_of_a_chain_are_the_binomial_ones() -> None:
    space = build_space("nasbench_macro")
    every = np.array(list(space.enumerate()))
    counted = Counter(layers(space, every).tolist())
    assert counted == {float(k): comb(8, k) * 2**k for k in range(9)}


def test_the_longest_path_is_that_of_walking_all_paths() -> None:
    every = np.array(list(CELL.enumerate()))[::7]
    expected = [2 * longest_by_walking(CELL.names(tuple(row))) for row in every]  # two cells, one after another
    assert longest_path(CELL, every).tolist() == expected


def test_a_step_is_the_same_whoever_asks_and_whenever() -> None:
    sizes = MEASURES["layers"](MACRO)
    first, again = BalancedSampler(sizes, 7), BalancedSampler(sizes, 7)
    forwards = [first.paths(step) for step in range(20)]
    assert [again.paths(step) for step in reversed(range(20))] == forwards[::-1]
    assert [BalancedSampler(sizes, 8).paths(step) for step in range(20)] != forwards


def test_spaces_say_what_they_are_balanced_by() -> None:
    named = {
        name: usual_measure(build_space(name)) for name in ("nasbench_macro", "nasbench201", "mobilenetv2", "fbnet")
    }
    assert named == {"nasbench_macro": "layers", "nasbench201": "path", "mobilenetv2": "macs", "fbnet": "layers"}


def test_what_cannot_be_balanced_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match="lists all encodings, at most 65,536: simple_cnn has 233,280"):
        MEASURES["path"](ELASTIC)
    with pytest.raises(UserError, match="balance them by macs"):
        MEASURES["layers"](build_space("spos"))
    flat = build_space("nasbench201", widths=(4,), depths=(1,))
    alike = SearchSpace("alike", flat.decisions, (flat.sites[0],), (3, 8, 8))
    with pytest.raises(UserError, match="cost the same"):
        MEASURES["macs"](alike)


def test_it_trains_from_the_command_line_and_says_what_it_balances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main_train_supernet([*TOY, "--sample-strategy", "balanced", "--epochs", "1"])
    assert "balanced by number of layers, 9 of them, each equally often" in capsys.readouterr().out


def test_the_size_is_an_option_of_balanced_sampling_only() -> None:
    with pytest.raises(UserError, match=r"--balance-by is for --sample-strategy balanced"):
        main_train_supernet([*TOY, "--sample-strategy", "uniform", "--balance-by", "macs"])
    with pytest.raises(UserError, match="layers"):
        main_train_supernet([*TOY, "--sample-strategy", "balanced", "--balance-by", "layer"])
