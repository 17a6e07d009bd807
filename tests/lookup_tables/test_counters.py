"""Four counters that know nothing of each other: our arithmetic, fvcore, thop and PyTorch's own."""

from __future__ import annotations

import random
from functools import cache

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from config_file.errors import UserError
from lookup_tables import COUNTERS, build_table, differences, explain_difference
from lookup_tables import counters as module
from lookup_tables.cost_table import distinct_blocks
from lookup_tables.counters import BATCH_NORM, CONVOLUTION, LINEAR, POOLING, built, count
from lookup_tables.differences import explanation, params_difference
from supernet import Block, Network, Shape
from supernet.blocks import BatchNormAct, Conv, Head, Identity, Pool
from tests.lookup_tables.small_spaces import SMALL, small_space

once = cache(count)
"""Every block is counted once for all tests of this file."""


def by_pytorch(layer: torch.nn.Module, image: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer(image)
    return counter.get_total_flops() // 2  # it counts a multiplication and an addition as two


@pytest.mark.parametrize("name", SMALL)
def test_all_counters_agree_on_every_block(name: str) -> None:
    for block, shape in distinct_blocks(small_space(name), 32):
        ours, *others = (once(counter, block, shape) for counter in COUNTERS)
        layer, image = built(block, shape)
        assert ours.macs == sum(ours.by_operator.values()) == by_pytorch(layer, image), block
        assert ours.params == sum(parameter.numel() for parameter in layer.parameters())
        for other in others:
            assert other.params == ours.params, block
            for operator in (CONVOLUTION, LINEAR):
                assert other.by_operator.get(operator, 0) == ours.by_operator.get(operator, 0), block
            assert set(other.by_operator) <= {CONVOLUTION, LINEAR, BATCH_NORM, POOLING}


@pytest.mark.parametrize("name", SMALL)
def test_what_the_tools_add_is_explained(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differences, "count", once)
    totals = {total.operator: total for total in explain_difference(small_space(name))}
    for operator in (CONVOLUTION, LINEAR):
        assert len(set(totals[operator].macs.values())) == 1
    norm, pool = totals[BATCH_NORM], totals[POOLING]
    assert norm.macs == {"analytic": 0, "fvcore": 2 * norm.written, "thop": 4 * norm.written}
    assert pool.macs == {"analytic": 0, "fvcore": pool.read, "thop": pool.read + pool.written}
    for operator in set(totals) - {CONVOLUTION, LINEAR, BATCH_NORM, POOLING}:
        assert not any(totals[operator].macs.values()), "counted by nobody"


@pytest.mark.parametrize("counter", ["fvcore", "thop"])
def test_the_explanation_adds_up_to_the_table(counter: str) -> None:
    space = small_space("squeezed")
    entries = build_table(space, counter=counter).entries.values()
    totals = explain_difference(space, counters=[counter])
    assert sum(entry.value for entry in entries) == sum(total.macs[counter] for total in totals)


def test_squeeze_excite_and_residual_additions_are_listed_as_uncounted() -> None:
    lines = explanation(explain_difference(small_space("squeezed"), counters=["thop"]), "thop")
    text = "\n".join(lines)
    for operator in ("squeeze-excite scaling", "residual addition", "activation"):
        (line,) = (line for line in lines if operator in line)
        assert line.endswith("not counted")
    assert "4 per element written" in text
    assert "agree to the unit" in text


def test_parameters_are_the_same_for_all() -> None:
    assert params_difference(small_space("squeezed")) == [
        "  fvcore and analytic agree on every block",
        "  thop and analytic agree on every block",
    ]


@pytest.mark.parametrize("name", SMALL)
def test_whole_networks_count_like_their_blocks(name: str) -> None:
    space = small_space(name)
    table = build_table(space)
    for seed in range(2):
        architecture = space.sample(random.Random(seed))
        network = Network(space.decode(architecture)).eval()
        assert table.cost([architecture])[0] == by_pytorch(network, torch.zeros(1, *space.input_shape))


@pytest.mark.parametrize(
    ("block", "shape", "fvcore", "thop"),
    [
        (Conv(8, affine=False), (8, 9, 9), {CONVOLUTION: 5184, BATCH_NORM: 648}, {CONVOLUTION: 5184, BATCH_NORM: 1296}),
        (BatchNormAct(), (8, 9, 9), {BATCH_NORM: 1296}, {BATCH_NORM: 2592}),
        (Pool("avg"), (8, 9, 9), {}, {POOLING: 648}),
        (Pool("max"), (8, 9, 9), {}, {}),
        (Head(10, dropout=0.2), (64, 7, 7), {LINEAR: 640, POOLING: 3136}, {LINEAR: 640, POOLING: 3200}),
    ],
)
def test_what_the_documentation_says_of_primitives(
    block: Block, shape: Shape, fvcore: dict[str, int], thop: dict[str, int]
) -> None:
    assert {name: value for name, value in count("fvcore", block, shape).by_operator.items() if value} == fvcore
    assert dict(count("thop", block, shape).by_operator) == thop


def test_an_identity_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "built", None)
    assert count("fvcore", Identity(), (8, 4, 4)) == count("thop", Identity(), (8, 4, 4)) == (0, 0, {})


def test_counting_is_quiet(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    for counter in ("fvcore", "thop"):
        build_table(small_space("squeezed"), counter=counter)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_a_missing_tool_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "thop", None)
    with pytest.raises(UserError, match="--counter thop needs the package thop"):
        count("thop", Conv(8), (8, 4, 4))


def test_unknown_names() -> None:
    with pytest.raises(UserError, match="unknown counter 'fvcor'; did you mean 'fvcore'"):
        build_table(small_space("spos"), counter="fvcor")
    with pytest.raises(UserError, match="unknown metric 'flop'; did you mean 'flops'"):
        build_table(small_space("spos"), "flop")
    with pytest.raises(UserError, match="resolution must be at least 1"):
        build_table(small_space("spos"), resolution=0)
