"""search.py within milliseconds: a table given by --lookup-table, and tables that do not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from config_file.errors import UserError
from config_file.loader import save
from config_file.options import TrainSupernetOptions
from lookup_tables import CostTable, Entry, build_table
from search.cli import main
from supernet import SearchSpace, Supernet
from training.data import load_data
from training.supernet_file import save_supernet
from training.train_supernet import space_of

TINY = {
    "name": "tiny", "stem": 8, "head": 16, "candidates": ["k3e3", "k5e3", "skip"],
    "stages": [{"channels": 8, "depth": 2, "stride": 2}],
}  # fmt: skip
QUICK = [
    "--title",
    "toy",
    "--info-metric",
    "latency",
    "--threads",
    "1",
    "--no-tensorboard",
    "--calibration-images",
    "32",
]
QUICK += ["--eval-images", "32", "--search-strategy", "random", "--random-iteration", "4"]


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SearchSpace:
    """The current folder has an (untrained) supernet stage of this space."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.yml").write_text(json.dumps(TINY))
    options = TrainSupernetOptions(title="toy", search_space="tiny.yml", resolution=16)
    data = load_data(options, options.resolution)
    space = space_of(options, data)
    torch.manual_seed(0)
    stage = tmp_path / "runs" / "toy" / "supernet"
    stage.mkdir(parents=True)
    about = {"classes": list(data.classes), "resolution": data.resolution, "split": data.split_record}
    save_supernet(stage, Supernet(space), about)
    save(options, stage / "config.yaml")
    return space


def milliseconds(space: SearchSpace, resolution: int = 16) -> CostTable:
    flops = build_table(space, "flops", resolution)
    entries = {key: Entry(e.value / 1e5, e.value / 1e5) for key, e in flops.entries.items()}
    return CostTable(space, "latency", resolution, entries, scale=0.5, offset=2.0, engine="an engine", threads=1)


def test_a_search_within_milliseconds(space: SearchSpace, capsys: pytest.CaptureFixture[str]) -> None:
    table = milliseconds(space)
    table.save("t.json")
    target = (table.minimum()[0] + table.maximum()[0]) / 2
    assert main([*QUICK, "--lookup-table", "t.json", "--target-hc", f"{target:.6f}"]) == 0
    best = json.loads(Path("runs/toy/search/best.json").read_text())
    architecture = space.parse(best["names"])
    assert best["cost"]["latency"] == pytest.approx(table.cost([architecture])[0])
    assert best["cost"]["latency"] <= target
    assert set(best["cost"]) == {"flops", "params", "latency"}
    assert "latency of at most" in capsys.readouterr().out


def test_tables_that_do_not_fit(space: SearchSpace) -> None:
    milliseconds(space).save("t.json")
    with pytest.raises(UserError, match=r"--target-hc: no architecture has latency of 0\.0100 or less"):
        main([*QUICK, "--lookup-table", "t.json", "--target-hc", "0.01"])
    with pytest.raises(UserError, match="latency has to be measured"):
        main([*QUICK, "--target-hc", "20"])
    milliseconds(space, 24).save("r.json")
    with pytest.raises(UserError, match="is for 24 pixels, not for 16"):
        main([*QUICK, "--lookup-table", "r.json"])
    build_table(space, "flops").save("f.json")
    with pytest.raises(UserError, match="holds flops, not latency"):
        main([*QUICK, "--lookup-table", "f.json"])
    content = json.loads(Path("t.json").read_text())
    Path("u.json").write_text(json.dumps(content | {"unit": "s"}))
    with pytest.raises(UserError, match="latency must be in ms, not in s"):
        main([*QUICK, "--lookup-table", "u.json"])
    Path("n.json").write_text(json.dumps(content | {"scale": -1}))
    with pytest.raises(UserError, match="scale must be above 0"):
        main([*QUICK, "--lookup-table", "n.json"])
    replace(milliseconds(space), offset=float("nan")).save("x.json")
    with pytest.raises(UserError, match="offset must be a number"):
        main([*QUICK, "--lookup-table", "x.json"])
