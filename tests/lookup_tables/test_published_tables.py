"""Published latency tables, where the shared data is there, by each format's reader."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from config_file.errors import UserError
from lookup_tables import CostTable
from lookup_tables.cli import main
from lookup_tables.imports import read_foreign
from lookup_tables.latency.plausibility import doubts
from supernet import Decision, SearchSpace, Site, build_space
from supernet.blocks import Conv, Head
from supernet.composites import InvertedResidual
from supernet.metrics import LATENCY
from tests.lookup_tables.test_imports import table_of, write

SHARED = Path(os.environ.get("NAS_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))


def latency_tables() -> dict[str, Any]:
    path = SHARED / "latency_tables.json"
    if not path.exists():
        pytest.skip(f"no {path}: NAS_SHARED_DATA names the folder")
    return json.loads(path.read_text())


def as_yaml(entries: dict[str, list[float]], path: Path) -> Path:
    path.write_text(yaml.safe_dump({key: {"mean": mean, "count": count} for key, (mean, count) in entries.items()}))
    return path


def test_the_pixel_1_of_proxylessnas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = latency_tables()["proxyless_pixel1"]["entries"]
    path = as_yaml(entries, tmp_path / "pixel1.yaml")
    out = tmp_path / "t.json"
    main(["import", "--format", "proxylessnas", "--file", str(path), "--skip", "identity", "--output", str(out)])
    assert "latency of proxylessnas at 224 pixels" in capsys.readouterr().out
    table = CostTable.load(out, build_space("proxylessnas", skip="identity"))
    fixed = [entries[key][0] for key in entries if key.startswith(("Conv", "Logits"))]
    fixed.append(entries["expanded_conv-input:112x112x32-output:112x112x16-expand:1-kernel:3-stride:1-idskip:0"][0])
    by_place: dict[str, list[float]] = {}
    for key, (mean, _) in entries.items():
        if "expand:3" in key or "expand:6" in key:
            by_place.setdefault(key.split("-expand")[0], []).append(mean)
    slowest = sum(max(found) * (1 if "idskip:0" in place else 3) for place, found in by_place.items())
    changes = [
        place for place in by_place if place.split("input:")[1].split("-output:")[0] != place.split("output:")[1]
    ]
    slowest = sum(max(found) * (1 if place in changes else 3) for place, found in by_place.items())
    assert table.maximum()[0] == pytest.approx(sum(fixed) + slowest)
    assert table.minimum()[0] == pytest.approx(sum(fixed) + sum(min(by_place[place]) for place in changes))
    with pytest.raises(UserError, match="--skip identity leaves out"):
        main(["import", "--format", "proxylessnas", "--file", str(path), "--output", str(out)])
    with pytest.raises(UserError, match="at 192 pixels"):
        main(["import", "--format", "ofa", "--file", str(path), "--skip", "identity", "--resolution", "192"])


@pytest.mark.parametrize("resolution", [160, 224])
def test_the_note_10_of_once_for_all(tmp_path: Path, resolution: int) -> None:
    """A stage of once-for-all's MobileNetV3 at width 1.2, with its squeeze-excite and its widths as expansions."""
    entries = latency_tables()[f"ofa_note10_{resolution}"]["entries"]
    options = tuple(InvertedResidual(32, kernel, expand, 2, act="relu") for expand in (3, 4, 6) for kernel in (3, 5, 7))
    gated = tuple(
        InvertedResidual(48, kernel, expand, 2, act="relu", se=True) for expand in (3, 4, 6) for kernel in (3, 5, 7)
    )
    names = tuple(option.label for option in options)
    sites = (
        Site("stem", (Conv(24, 3, 2, act="hswish"),), ("input",)),
        Site("first", (InvertedResidual(24, 3, 1, act="relu"),), ("stem",)),
        Site("a", options, ("first",), given=(0,), table=tuple(range(9))),
        Site("b", gated, ("a",), given=(1,), table=tuple(range(9))),
    )
    space = SearchSpace("ofa", (Decision("a", names), Decision("b", names)), sites, (3, resolution, resolution))
    path = as_yaml(entries, tmp_path / "note10.yaml")
    found, _ = read_foreign(path, "ofa", space, "latency")
    table = CostTable(space, LATENCY, resolution, found)
    half, quarter, eighth = resolution // 2, resolution // 4, resolution // 8
    parts = [
        f"Conv-input:{resolution}x{resolution}x3-output:{half}x{half}x24",
        f"expanded_conv-input:{half}x{half}x24-output:{half}x{half}x24-expand:24-kernel:3-stride:1-idskip:1-se:0-hs:0",
        f"expanded_conv-input:{half}x{half}x24-output:{quarter}x{quarter}x32-expand:96-kernel:5-stride:2-idskip:0-se:0-hs:0",
        (
            f"expanded_conv-input:{quarter}x{quarter}x32-output:{eighth}x{eighth}x48-expand:192-kernel:7-stride:2-idskip:0"
            "-se:1-hs:0"
        ),
    ]
    architecture = names.index("k5e4"), names.index("k7e6")
    assert table.cost([architecture])[0] == pytest.approx(sum(entries[key][0] for key in parts))


def test_the_note_10_and_the_whole_space(tmp_path: Path) -> None:
    """The smallest network of ofa_mbv3 at width 1.2: of each stage both layers of kernel 3 and expansion 3."""
    entries = latency_tables()["ofa_note10_160"]["entries"]
    space = build_space("ofa_mbv3", resolution=160, width_mult=1.2)
    found, base = read_foreign(as_yaml(entries, tmp_path / "note10.yaml"), "ofa", space, "latency")
    table = CostTable(space, LATENCY, 160, found, offset=base)
    expected = 0.0
    for key, (mean, _) in entries.items():
        block = re.fullmatch(r"expanded_conv-input:\d+x\d+x(\d+)-output:.*-expand:(\d+)-kernel:(\d)-.*", key)
        if block is None or (int(block[2]) in (int(block[1]), 3 * int(block[1])) and block[3] == "3"):
            expected += mean
    assert table.cost([tuple(0 for _ in space.sizes)])[0] == pytest.approx(expected)


def test_published_tables_raise_no_doubts(tmp_path: Path) -> None:
    tables = latency_tables()
    space = build_space("proxylessnas", skip="identity")
    table = table_of(as_yaml(tables["proxyless_pixel1"]["entries"], tmp_path / "p.yaml"), "proxylessnas", space)
    assert doubts(table) == []
    for factor, word in ((1e-3, "fast"), (1e3, "slow")):
        (line,) = doubts(replace(table, scale=factor))
        assert f"implausibly {word}" in line


@pytest.mark.parametrize("resolution", [160, 176, 192, 208, 224])
def test_all_of_once_for_all_s_space_in_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resolution: int, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = latency_tables()[f"ofa_note10_{resolution}"]["entries"]
    path = as_yaml(entries, tmp_path / "note10.yaml")
    described = str(Path(__file__).parents[2] / "config_file" / "spaces" / "ofa_mobilenetv3.yml")
    monkeypatch.chdir(tmp_path)
    command = ["import", "--format", "ofa", "--file", str(path), "--resolution", str(resolution)]
    main([*command, "--search-space", described, "--output", "t.json"])
    assert "warning" not in capsys.readouterr().out
    table = CostTable.load("t.json", build_space(described, resolution=resolution))
    changes, same = [], []
    fixed = sum(mean for key, (mean, _) in entries.items() if "kernel" not in key or "expand:24-" in key)
    for stem in {key.split("-expand")[0] for key in entries if "kernel" in key and "expand:24-" not in key}:
        found = [mean for key, (mean, _) in entries.items() if key.startswith(f"{stem}-")]
        if "idskip:1" in next(key for key in entries if key.startswith(f"{stem}-")):
            same.append(found)
        else:
            changes.append(found)
    assert (len(changes), len(same)) == (5, 5)
    slowest = fixed + sum(map(max, changes)) + 3 * sum(map(max, same))
    assert table.maximum()[0] == pytest.approx(slowest)
    assert table.minimum()[0] == pytest.approx(fixed + sum(map(min, changes)))


def test_a_cpu_of_fbnet(tmp_path: Path) -> None:
    content = latency_tables()["fbnet_cpu_araslanova"]
    lines = [" ".join(content["ops"]), *(" ".join(map(str, row)) for row in content["layers"])]
    space = build_space("fbnet_l")
    table = table_of(write(tmp_path, "\n".join(lines)), "fbnet", space)
    everywhere = [row[content["ops"].index("ir_k3_s2")] for row in content["layers"]]
    architecture = (space.decisions[0].options.index("k3e1g2"),) * 22
    assert table.cost([architecture])[0] == pytest.approx(sum(everywhere) / 1e3)
    assert Head in {type(block) for block, _ in table.entries}
    assert doubts(table) == []


def test_hardware_by_name_loads_a_table_in_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = latency_tables()
    monkeypatch.chdir(tmp_path)
    as_yaml(tables["proxyless_pixel1"]["entries"], tmp_path / "mobile_trim.yaml")
    main(["import", "--hardware", "mobile", "--file", "mobile_trim.yaml"])
    space = build_space("proxylessnas", skip="identity")
    table = CostTable.load("tables/proxylessnas-latency-224.json", space)
    assert (table.device, table.engine) == ("Google Pixel 1", "TensorFlow Lite")
    content = tables["fbnet_cpu_araslanova"]
    lines = [" ".join(content["ops"]), *(" ".join(map(str, row)) for row in content["layers"])]
    (tmp_path / "lookup_table.txt").write_text("\n".join(lines))
    main(["import", "--hardware", "cpu", "--file", "lookup_table.txt", "--device", "mine"])
    assert CostTable.load("tables/fbnet_l-latency-224.json", build_space("fbnet_l")).device == "mine"
    assert "read as microseconds" in capsys.readouterr().out


TOY = ["--search-space", "nasbench_macro", "--widths", "4,8,12,16,32", "--num-classes", "10", "--resolution", "32"]


def test_hardware_by_name_is_measured_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    space = build_space("nasbench_macro", widths=(4, 8, 12, 16, 32), num_classes=10, resolution=32)
    main(["build", "--hardware", "flops", *TOY, "--output", "f.json"])
    assert CostTable.load("f.json", space).metric.name == "flops"
    quick = [*TOY, "--rounds", "1", "--networks", "4"]
    for batch, counted in (("1", "of one image"), ("8", "of 8 images at once")):
        main(["build", "--hardware", "cpu", *quick, "--batch", batch, "--output", f"c{batch}.json"])
        table = CostTable.load(f"c{batch}.json", space)
        assert counted in table.counted
        assert "PyTorch" in str(table.engine)
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="pytorch_cuda needs a CUDA GPU"):
            main(["build", "--hardware", "gpu8", *quick])
    with pytest.raises(UserError, match=r"--batch 8: onnxruntime runs one image at a time; several are .* pytorch, "):
        main(["build", "--hardware", "cpu", "--engine", "onnxruntime", "--batch", "8", *quick])
    with pytest.raises(UserError, match="lookup_tables import --hardware mobile"):
        main(["build", "--hardware", "mobile"])
    with pytest.raises(UserError, match="lookup_tables build --hardware gpu8"):
        main(["import", "--hardware", "gpu8", "--file", "t"])
    with pytest.raises(UserError, match="hardware"):
        main(["build", "--hardware", "toaster"])
