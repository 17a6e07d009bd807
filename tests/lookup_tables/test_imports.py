"""Tables of other projects: small samples of each format, and the published ones where the shared data is there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from config_file.errors import UserError
from lookup_tables import CostTable
from lookup_tables.cli import main
from lookup_tables.imports import UNITS, read_foreign
from supernet import SearchSpace, build_space
from supernet.metrics import METRICS

SHARED = Path(os.environ.get("NAS_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))

TINY: dict[str, Any] = {
    "name": "tiny", "stem": 8, "head": 32, "skip": "identity", "candidates": ["k3e3", "k5e6", "skip"],
    "stages": [{"channels": 8, "depth": 1, "stride": 1}, {"channels": 16, "depth": 2, "stride": 2}],
}  # fmt: skip

PROXYLESS = """
Conv-input:16x16x3-output:16x16x8: {mean: 1.0, count: 9}
expanded_conv-input:16x16x8-output:16x16x8-expand:3-kernel:3-stride:1-idskip:1: {mean: 2.0, count: 5, var: 0.04}
expanded_conv-input:16x16x8-output:16x16x8-expand:6-kernel:5-stride:1-idskip:1: {mean: 3.0, count: 5}
expanded_conv-input:16x16x8-output:16x16x16-expand:3-kernel:3-stride:1-idskip:0: {mean: 4.0, count: 5}
expanded_conv-input:16x16x8-output:16x16x16-expand:6-kernel:5-stride:1-idskip:0: {mean: 5.0, count: 5}
expanded_conv-input:16x16x16-output:16x16x16-expand:48-kernel:3-stride:1-idskip:1-se:0-hs:0: 6.0
expanded_conv-input:16x16x16-output:16x16x16-expand:96-kernel:5-stride:1-idskip:1-se:0-hs:0: 7.0
Conv_1-input:16x16x16-output:16x16x32: {mean: 8.0, count: 9}
AvgPool2D-input:16x16x32-output:1x1x32: {mean: 0.25, count: 4}
Logits-input:1x1x32-output:10: {mean: 0.5, count: 2}
"""

LAYERS = [[2, 3, 0], [4, 5], [6, 7, 0.001]]


@pytest.fixture
def space() -> SearchSpace:
    return build_space(TINY, resolution=16, num_classes=10)


PFLD = build_space("pfld", resolution=32, num_classes=8, widths=(8, 8, 16, 16), depths=(1, 2))
"""Layers 8 to 8 at 4 px, 8 to 16 with stride 2, and 16 to 16 at 2 px, with the first and the last two in one stage."""


def nni_lines() -> list[str]:
    """NNI's lut.txt for PFLD: the layer's number and the option's, in microseconds."""
    shapes = [(4, 4, 8, 8, 1), (4, 4, 8, 16, 2), (2, 2, 16, 16, 1)]
    return [
        str({"op_name": name, "op_data_shape": shape, "op_dtype": "float", "op_latency": 1000.0 * layer + option})
        for layer, (shape, decision) in enumerate(zip(shapes, PFLD.decisions, strict=True), 1)
        for option, name in enumerate(decision.options)
    ]


def write(folder: Path, text: str) -> Path:
    path = folder / "table"
    path.write_text(text)
    return path


def table_of(path: Path, form: str, space: SearchSpace, metric: str = "latency") -> CostTable:
    entries, offset = read_foreign(path, form, space, metric)
    return CostTable(space, METRICS[metric], space.input_shape[1], entries, offset=offset)


def test_proxylessnas_and_ofa_keys(space: SearchSpace, tmp_path: Path) -> None:
    table = table_of(write(tmp_path, PROXYLESS), "proxylessnas", space)
    assert table.cost([(0, 0, 0)])[0] == pytest.approx(1 + 2 + 4 + 6 + 8 + 0.75)
    assert table.cost([(2, 1, 2)])[0] == pytest.approx(1 + 5 + 8 + 0.75)
    found = next(e for (block, shape), e in table.entries.items() if block.label == "k3e3" and shape == (8, 16, 16))
    assert (found.value, found.count) == (2, 5)
    assert found.spread == pytest.approx(1.349 * 0.2)


def test_osnaslib(space: SearchSpace, tmp_path: Path) -> None:
    content = {
        "flops": LAYERS, "base_flops": 1.5, "param": LAYERS, "base_param": 7,
        "latency": [[value / 1e3 for value in row] for row in LAYERS], "base_latency": 0.01,
    }  # fmt: skip
    path = write(tmp_path, json.dumps(content))
    assert table_of(path, "osnaslib", space, "flops").cost([(0, 1, 0)])[0] == pytest.approx((1.5 + 2 + 5 + 6) * 1e6)
    assert table_of(path, "osnaslib", space, "params").cost([(1, 0, 0)])[0] == pytest.approx(7 + 3 + 4 + 6)
    assert table_of(path, "osnaslib", space).cost([(0, 0, 2)])[0] == pytest.approx(10 + 2 + 4 + 0.001)


def test_nni_s_table_of_pfld(tmp_path: Path) -> None:
    table = table_of(write(tmp_path, "\n".join(nni_lines())), "nni", PFLD)
    architectures = [(0, 0, 0), (3, 5, 7)]
    assert table.cost(architectures).tolist() == pytest.approx([6.0, 6.015])
    with pytest.raises(UserError, match=r"no line for gh_k5 at \(2, 2, 16, 16, 1\)"):
        table_of(write(tmp_path, "\n".join(nni_lines()[:-1])), "nni", PFLD)
    for line in (
        "__import__('os')",
        "{'op_name': 'gh_k3'}",
        "1e",
        "{'op_name': 'a', 'op_data_shape': 3, 'op_latency': 1}",
    ):
        with pytest.raises(UserError, match="line 1 is not"):
            table_of(write(tmp_path, line), "nni", PFLD)


def test_of_several_types_of_numbers_nni_s_float_is_taken(tmp_path: Path) -> None:
    lines = nni_lines()
    typed = [line.replace("'float'", f"'{kind}'") for kind in ("int8", "float") for line in lines]
    slow = [line.replace("'op_latency': ", "'op_latency': 1") if "'float'" in line else line for line in typed]
    architecture = [(0, 0, 0)]
    expected = table_of(write(tmp_path, "\n".join(slow[len(lines) :])), "nni", PFLD).cost(architecture)[0]
    assert table_of(write(tmp_path, "\n".join(slow)), "nni", PFLD).cost(architecture)[0] == expected
    assert table_of(write(tmp_path, "\n".join(reversed(slow))), "nni", PFLD).cost(architecture)[0] == expected
    for text, said in (
        ("\n".join(slow).replace("float", "int16"), "int16, int8, and none of float"),
        ("\n".join([*lines, lines[0]]), "is there twice"),
    ):
        with pytest.raises(UserError, match=said):
            table_of(write(tmp_path, text), "nni", PFLD)


def test_json_may_be_indented_by_tabs(space: SearchSpace, tmp_path: Path) -> None:
    text = json.dumps(yaml.safe_load(PROXYLESS), indent="\t")
    assert (
        table_of(write(tmp_path, text), "ofa", space).entries
        == table_of(write(tmp_path, PROXYLESS), "ofa", space).entries
    )


def test_fbnet_s_text_carries_pfld(tmp_path: Path) -> None:
    """Layers have different options: the header is all of them, and a layer reads its own."""
    names = list(dict.fromkeys(name for decision in PFLD.decisions for name in decision.options))
    rows = [
        " ".join(str(1000 * layer + decision.options.index(n)) if n in decision.options else "0" for n in names)
        for layer, decision in enumerate(PFLD.decisions, 1)
    ]
    table = table_of(write(tmp_path, "\n".join([" ".join(names), *rows])), "fbnet", PFLD)
    assert table.cost([(0, 0, 0), (3, 5, 7)]).tolist() == pytest.approx([6.0, 6.015])


def test_fbnet_text(tmp_path: Path) -> None:
    space = build_space(TINY | {"candidates": ["k3e1", "k3e1g2", "skip"]}, resolution=16, num_classes=10)
    path = write(tmp_path, "ir_k3_s2 ir_k3_e1 skip\n1000 2000 0\n3000 4000 9\n5000 6000 1\n")
    table = table_of(path, "fbnet", space)
    assert table.cost([(0, 0, 0)])[0] == pytest.approx(2 + 4 + 6)
    assert table.cost([(1, 1, 2)])[0] == pytest.approx(1 + 3 + 0.001)


def test_csv(space: SearchSpace, tmp_path: Path) -> None:
    lines = ["layer,option,ms", "stem,,1", "base,,0.5"]
    for decision, row in zip(space.decisions, LAYERS, strict=True):
        lines += [f"{decision.name},{option},{ms}" for option, ms in zip(decision.options, row, strict=True)]
    table = table_of(write(tmp_path, "\n".join(lines)), "csv", space)
    assert table.cost([(0, 1, 2)])[0] == pytest.approx(1.5 + 2 + 5 + 0.001)


def test_layers_with_the_same_block_get_its_mean(tmp_path: Path) -> None:
    deeper = TINY | {"stages": [{"channels": 8, "depth": 3, "stride": 1}]}
    space = build_space(deeper, resolution=16, num_classes=10)
    content = {"latency": [[0.001, 0.002, 0], [0.002, 0.002, 0], [0.003, 0.002, 0]]}
    table = table_of(write(tmp_path, json.dumps(content)), "osnaslib", space)
    found = next(e for (block, _), e in table.entries.items() if block.label == "k3e3")
    assert (found.value, found.median, found.count) == pytest.approx((2, 2, 3))
    assert table.cost([(0, 0, 0)])[0] == pytest.approx(6)


BAD = [
    ("proxylessnas", PROXYLESS.replace("16x16", "20x20"), r"no entry for \d+ of \d+ blocks of tiny at 16 pixels"),
    ("proxylessnas", PROXYLESS.replace("mean: 2.0", "mean: -2.0"), "must be a number of at least 0, not -2"),
    ("proxylessnas", PROXYLESS.replace("mean: 2.0", "mean: .nan"), "nan is not a finite number"),
    ("ofa", "- 1\n- 2\n", "expected keys such as expanded_conv-input"),
    ("ofa", "{a: [", "not valid YAML"),
    ("osnaslib", "{", "truncated or damaged, not JSON"),
    ("osnaslib", '{"flops": []}', "expected the key 'latency'"),
    ("osnaslib", '{"latency": [[1, 2], [1, 2]]}', "has 2 layers of 2 options, tiny 3 of 2 to 3"),
    (
        "osnaslib",
        '{"latency": [[1, 2, "x"], [1, 2], [1, 2, 3]]}',
        "layer 1: what it costs must be a number",
    ),
    ("osnaslib", '{"latency": 3}', "must be a list of layers"),
    ("fbnet", "k3e3 k5e6 skip\n1 2 3\n", "has 1 layers, tiny 3"),
    ("fbnet", "k3e3 k5e5 skip\n1 2 3\n1 2 3\n1 2 3\n", "no option k5e6; did you mean 'k5e5'"),
    ("fbnet", "k3e3 k5e6 skip\n1 2 3\n1 2\n1 2 3\n", "layer 2: 2 numbers for 3 options"),
    ("fbnet", "", "expected a line of option names"),
    ("fbnet", "k3e3,k5e6,skip\n" + "1,2,3\n" * 3, "separated by ','; this format has blanks"),
    ("fbnet", "k3e3 k5e6 skip\n" + "1;2;3\n" * 3, "separated by ';'"),
    ("fbnet", "1 2 3\n" * 3, "the first line, which names the options, is missing: k3e3 k5e6"),
    ("fbnet", "k3e3 k5e6 skip ir_k3_e3\n" + "1 2 3 4\n" * 3, "the column k3e3 is there twice"),
    ("proxylessnas", PROXYLESS + PROXYLESS.splitlines()[-1], "is set twice"),
    ("osnaslib", '{"latency": [[1, 2]], "latency": [[1, 3]]}', "'latency' is there twice"),
    ("csv", "layer,ms\n", "expected the columns layer, option, ms"),
    ("csv", "layer,option,ms\nstage1/0,k3e3,1\n", "no line for layer stage1/0, option k5e6"),
    ("csv", "layer,option,ms\nstage1/0,k3e3,1\nstage1/0,k3e3,1\n", "stage1/0 k3e3 is there twice"),
    ("csv", "layer,option,ms\nstage1/0,k3e3,-1\n", "line 2: what it costs must be a number of at least 0, not -1"),
]


@pytest.mark.parametrize(("form", "text", "said"), BAD)
def test_a_bad_file_is_one_line(space: SearchSpace, tmp_path: Path, form: str, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        read_foreign(write(tmp_path, text), form, space, "latency")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("form", "own"), [("fbnet", 1e-3), ("nni", 1e-3), ("osnaslib", 1e3), ("csv", 1.0), ("ofa", 1.0)]
)
def test_times_are_read_in_the_unit_of_the_format_or_of_the_user(tmp_path: Path, form: str, own: float) -> None:
    space = build_space(TINY, resolution=16, num_classes=10)
    rows = "".join(f"{d.name},{o},{5 + i}\n" for d in space.decisions for i, o in enumerate(d.options))
    texts = {
        "fbnet": "k3e3 k5e6 skip\n" + "5 6 7\n" * 3,
        "nni": "\n".join(nni_lines()),
        "osnaslib": '{"latency": [[5, 6, 7], [5, 6], [5, 6, 7]]}',
        "csv": "layer,option,ms\n" + rows,
        "ofa": PROXYLESS,
    }
    if form == "nni":
        space = PFLD
    path = write(tmp_path, texts[form])
    every = {unit: read_foreign(path, form, space, "latency", unit) for unit in (None, *UNITS)}
    milliseconds = {"s": 1e3, "ms": 1.0, "us": 1e-3, None: own}
    for unit, (entries, base) in every.items():
        scale = milliseconds[unit] / own
        assert base == pytest.approx(scale * every[None][1])
        for key, entry in entries.items():
            reference = every[None][0][key]
            assert (entry.value, entry.median, entry.spread) == pytest.approx(
                (scale * reference.value, scale * reference.median, scale * reference.spread)
            )


def test_the_unit_is_said_and_doubted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A FBNet table in seconds, as in a report: times of 0.0002 are no microseconds."""
    space = build_space("fbnet_l")
    names = space.decisions[0].options
    path = write(tmp_path, "\n".join([" ".join(names), *[" ".join(["0.0002"] * len(names))] * 22]))
    command = ["import", "--format", "fbnet", "--file", str(path), "--search-space", "fbnet_l"]
    command += ["--output", str(tmp_path / "t.json")]
    main(command)
    said = capsys.readouterr().out
    assert "read as microseconds; --unit says another" in said
    assert "implausibly fast" in said
    main([*command, "--unit", "s"])
    said = capsys.readouterr().out
    assert "read as seconds\n" in said
    assert "warning" not in said
    assert CostTable.load(tmp_path / "t.json", space).maximum()[0] == pytest.approx(22 * 0.2)
    main([*command[:-2], "--output", str(tmp_path / "t.json"), "--unit", "s", "--resolution", "32"])
    assert "implausibly" not in capsys.readouterr().out
    with pytest.raises(UserError, match="--unit us is a unit of time"):
        read_foreign(path, "osnaslib", space, "flops", "us")
    with pytest.raises(UserError, match="--unit"):
        main([*command, "--unit", "minutes"])


def test_files_and_metrics_that_are_not_there(space: SearchSpace, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_foreign(tmp_path / "none", "fbnet", space, "latency")
    with pytest.raises(UserError, match="holds latencies, not flops"):
        read_foreign(write(tmp_path, PROXYLESS), "ofa", space, "flops")
    with pytest.raises(UserError, match="unknown format 'fbnett'; did you mean 'fbnet'"):
        read_foreign(tmp_path / "none", "fbnett", space, "latency")


def test_a_table_by_layer_does_not_fit_a_choice_of_widths(tmp_path: Path) -> None:
    space = build_space("mobilenetv2", resolution=32, num_classes=10)
    content = {"latency": [[1] * size for size in space.sizes]}
    with pytest.raises(UserError, match="depends on several choices"):
        read_foreign(write(tmp_path, json.dumps(content)), "osnaslib", space, "latency")
