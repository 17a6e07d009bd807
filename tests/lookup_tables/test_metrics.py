"""A metric of one's own is one entry; a table keeps its metric under any title."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

import pytest

from lookup_tables import CostTable, build_table
from lookup_tables.cli import main as tables
from supernet import Block, SearchSpace, Shape, build_space
from supernet.cli import main as describe
from supernet.metrics import FLOPS, LATENCY, METRICS, PARAMS, Metric, metric_called
from tests.supernet.own_spaces import YAML_SPACE


def elements(block: Block, shape: Shape) -> int:
    return prod(block.output_shape(shape))


@pytest.fixture
def activations(monkeypatch: pytest.MonkeyPatch) -> Metric:
    """Elements that leave the blocks, in thousands."""
    metric = Metric("activations", "elements", per_flag=1e3, aliases=("acts",), count=elements, counted="outputs")
    monkeypatch.setitem(METRICS, metric.name, metric)
    return metric


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SearchSpace:
    monkeypatch.chdir(tmp_path)
    Path("pocket.yml").write_text(YAML_SPACE)
    return build_space("pocket.yml", resolution=16, num_classes=10)


def counted(space: SearchSpace) -> dict[tuple[int, ...], int]:
    """By summing over every network of the space, layer by layer."""
    image = space.input_shape
    return {a: sum(prod(out) for _, out in space.decode(a).shapes(image).values()) for a in space.enumerate()}


def test_what_is_shown_of_each_metric() -> None:
    assert FLOPS.in_words(60e6) == "60,000,000 (60 M)"
    assert FLOPS.in_full(60e6) == "60,000,000 MACs (60.00 M)"
    assert FLOPS.in_short(61.26e6, "flops") == "61.26 M MACs"
    assert (FLOPS.axis("flops"), FLOPS.cells) == ("million multiply-accumulates", "millions of MACs")
    assert FLOPS.axis("mine") == "mine (million multiply-accumulates)"
    assert (PARAMS.in_short(2e6, "params"), PARAMS.cells) == ("2 M params", "thousands of parameters")
    assert (PARAMS.in_cell(1500), FLOPS.in_cell(1500), FLOPS.in_cell(0)) == ("1.500", "0.002", "0")
    assert (LATENCY.in_words(12.34), LATENCY.in_full(12.34)) == ("12.3400 ms", "12.34 ms")
    assert (LATENCY.in_short(12.34, "phone"), LATENCY.axis("latency")) == ("12.34 ms (phone)", "ms")
    plain = Metric("layers", count=lambda block, shape: 1)
    assert (plain.in_full(1500), plain.in_short(2, "layers"), plain.label) == ("1,500", "2 layers", "layers")
    assert (plain.axis("layers"), plain.cells) == ("layers", "layers")
    unknown = metric_called("energy")
    assert (unknown.in_words(2), unknown.in_short(2, "energy"), unknown.axis("energy")) == (
        "2.0000",
        "2 energy",
        "energy",
    )


def test_an_entry_is_counted_and_described(
    activations: Metric, space: SearchSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = counted(space)
    table = build_table(space, "activations")
    assert table.cost(list(costs)).tolist() == list(costs.values())
    assert (table.minimum()[0], table.maximum()[0]) == (min(costs.values()), max(costs.values()))
    flags = ["--search-space", "pocket.yml", "--resolution", "16", "--num-classes", "10"]
    tables(["build", "--metric", "activations", *flags, "--output", "acts.json"])
    assert CostTable.load("acts.json", space).entries == table.entries
    tables(["show", "acts.json"])
    assert f"minimum  {min(costs.values()):,} elements ({min(costs.values()) / 1e3:.2f} k)" in capsys.readouterr().out
    architecture = next(iter(costs))
    describe([*flags, "--architecture", json.dumps(list(architecture)), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["activations"] == sum(row["activations"] for row in found["layers"]) == costs[architecture]
    assert found["range"]["activations"] == [min(costs.values()), max(costs.values())]
    describe([*flags, "--architecture", "random"])
    assert "params  activations" in capsys.readouterr().out
