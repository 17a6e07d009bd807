"""python -m lookup_tables: what it prints, what it writes, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from config_file.errors import UserError
from lookup_tables import CostTable
from lookup_tables.cli import main
from supernet import SearchSpace, build_space
from tests.lookup_tables.small_spaces import SQUEEZE_EXCITE

ROOT = Path(__file__).resolve().parents[2]

NARROW = ["--widths", "8,4,8,12,16,24,24,32,64", "--depths", "1,1,1,1,1,1", "--num-classes", "10", "--resolution", "32"]
"""Proxylessnas with 10 layers; 46 is 7 for each of its 6 choices and 4 fixed ones."""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def own_space(resolution: int, num_classes: int, in_channels: int) -> SearchSpace:
    return build_space(SQUEEZE_EXCITE, resolution=resolution, num_classes=num_classes, in_channels=in_channels)


def test_build_and_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["build", "--search_space", "proxylessnas", *NARROW])
    text = capsys.readouterr().out
    path = Path("tables/proxylessnas-flops-32.json")
    space = build_space(**json.loads(path.read_text())["space_options"])
    table = CostTable.load(path, space, 32, "flops")
    assert f"{len(table.entries)} distinct, for 46 options in 10 layers" in text
    (low, _), (high, architecture) = table.minimum(), table.maximum()
    assert f"minimum  {low:,.0f} MACs" in text
    assert f"maximum  {high:,.0f} MACs" in text
    assert " ".join(space.names(architecture)) in text
    assert f"show {path}" in text
    main(["show", str(path)])
    shown = capsys.readouterr().out.splitlines()
    header = next(line for line in shown if line.startswith("layer"))
    assert header.split() == ["layer", "input", "fixed", "k3e3", "k3e6", "k5e3", "k5e6", "k7e3", "k7e6", "skip"]
    (row,) = (line.split() for line in shown if line.startswith("stage2/0"))
    entry = next(e for (b, s), e in table.entries.items() if b.label == "k3e3" and s == (8, 32, 32))
    assert row[:3] == ["stage2/0", "8x32x32", f"{entry.value / 1e6:.3f}"]
    assert len(row) == 9


@pytest.mark.parametrize("counter", ["fvcore", "thop"])
def test_another_counter_is_explained(counter: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["build", "--counter", counter, "--output", "deep/er/t.json", *NARROW])
    text = capsys.readouterr().out
    assert f"{counter} and analytic agree to the unit on convolution and linear layers" in text
    assert f"{2 if counter == 'fvcore' else 4} per element written" in text
    content = json.loads(Path("deep/er/t.json").read_text())
    assert content["counter"] == counter
    assert content["counter_version"]
    assert f"as {counter} counts them" in content["counted"]


def test_parameters_by_another_counter_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    main(["build", "--counter", "thop", "--metric", "params", *NARROW])
    assert "thop and analytic agree on every block" in capsys.readouterr().out
    assert Path("tables/proxylessnas-thop-params-32.json").is_file()


def test_a_layer_that_depends_on_several_decisions_lists_its_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    main(["build", "--search-space", "mobilenetv2", "--resolution", "32", "--metric", "params", "--output", "t.json"])
    main(["show", "t.json"])
    text = capsys.readouterr().out
    assert "in thousands of parameters" in text
    assert "k3e6 to 32x16x16" in text


def test_show_runs_no_code_that_a_file_names(capsys: pytest.CaptureFixture[str]) -> None:
    main(["build", "--search-space", "tests.lookup_tables.test_cli:own_space", "--output", "t.json"])
    capsys.readouterr()
    main(["show", "t.json"])
    text = capsys.readouterr().out
    assert "blocks, in millions of MACs (the search space is not a shipped one)" in text
    assert '"block": "InvertedResidual"' in text


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["bild"], "unknown command 'bild'; did you mean 'build'?"),
        (["build", "--metrc", "flops"], "unknown option --metrc; did you mean '--metric'?"),
        (["build", "--metric", "flop"], "did you mean 'flops'?"),
        (["build", "--counter", "thopp"], "did you mean 'thop'?"),
        (["build", "--search-space", "proxylesnas"], "did you mean 'proxylessnas'?"),
        (["build", "--resolution", "0"], "--resolution must be at least 1"),
        (["build", "--output", "notes.txt", *NARROW], "notes.txt exists and is not a lookup table"),
        (["show"], "FILE"),
        (["show", "none.json"], "none.json: no such file"),
        (["show", "notes.txt"], "notes.txt is not a lookup table of this toolkit"),
    ],
)
def test_errors(argv: list[str], message: str) -> None:
    Path("notes.txt").write_text("mine")
    with pytest.raises(UserError) as error:
        main(argv)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert Path("notes.txt").read_text() == "mine"


def test_an_interruption_says_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **keywords: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lookup_tables.build.build_table", interrupted)
    with pytest.raises(KeyboardInterrupt, match="written whole or not at all"):
        main(["build", *NARROW])
    assert not Path("tables").exists()


@pytest.mark.parametrize("argv", [[], ["--help"], ["build", "--help"], ["show", "--help"]])
def test_help(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) if len(argv) > 1 else nullcontext():
        main(argv)
    text = capsys.readouterr().out
    assert "python -m lookup_tables" in text
    assert "--title" not in text


def test_as_a_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lookup_tables", "show", str(tmp_path / "none.json")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
