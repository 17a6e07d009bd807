"""Gradient-based search from the command line: directly, after a differentiable training, and on frozen weights."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from config_file.errors import UserError
from search.cli import main
from tests.training import toy
from training.supernet_file import load_supernet
from training.train_supernet import train_supernet

SEARCH = [
    "--a-samples", "3", "--threads", "1", "--no-tensorboard", "--calibration-images", "64", "--eval-images", "64",
]  # fmt: skip


def flags(root: Path, *more: str) -> list[str]:
    return ["--title", "toy", "--root-path", str(root), *SEARCH, *more]


def best(root: Path) -> dict[str, Any]:
    return json.loads((root / "toy" / "search" / "best.json").read_text())


def test_it_ranks_the_derived_architecture_and_samples(tmp_path: Path) -> None:
    options = toy.supernet_options(tmp_path, sample_strategy="differentiable", target_hc=0.03, hc_mode="constrained")
    train_supernet(options)
    assert main(flags(tmp_path, "--search-strategy", "differentiable")) == 0
    rows = [json.loads(line) for line in (tmp_path / "toy" / "search" / "archive.jsonl").read_text().splitlines()][1:]
    assert len(rows) == 4
    learnt = json.loads((tmp_path / "toy" / "supernet" / "architecture.json").read_text())
    assert learnt["derived"] in [row["architecture"] for row in rows]
    assert all(row["cost"]["flops"] <= 0.03e6 for row in rows), "the target is that of the training"
    assert best(tmp_path)["selected_with"]["accuracy"] == max(row["metrics"]["accuracy"] for row in rows)


def test_on_frozen_weights_it_learns_an_architecture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = train_supernet(toy.supernet_options(tmp_path, epochs=1))
    before = load_supernet(folder).info["sha256"]
    more = ["--search-strategy", "differentiable", "--a-epochs", "1", "--target-hc", "0.03", "--hc-mode", "constrained"]
    assert main(flags(tmp_path, *more)) == 0
    assert load_supernet(folder).info["sha256"] == before
    assert best(tmp_path)["cost"]["flops"] <= 0.03e6
    (tmp_path / "toy" / "search" / "best.json").unlink()
    capsys.readouterr()
    assert main(flags(tmp_path, *more, "--a-epochs", "1000", "--plan")) == 0
    out = capsys.readouterr().out  # of these thousands a few are made
    assert re.search(r"learning   \d+,000 architecture steps on frozen weights first, about", out), out
    assert not (tmp_path / "toy" / "search" / "best.json").exists()
    with pytest.raises(UserError, match="frozen"):
        main(flags(tmp_path, *more, "--a-order", "2", "--overwrite"))


def test_directly_search_does_both(tmp_path: Path) -> None:
    small = [
        "--search-space",
        "nasbench_macro",
        "--widths",
        "4,4,6,8,16",
        "--resolution",
        "8",
        "--train-portion",
        "0.2",
    ]
    more = ["--directly-search", "--epochs", "1", "--batch-size", "64", "--constraint", "flops<=0.04"]
    assert main(flags(tmp_path, *small, *more, "--constraint", "params<=0.005")) == 0
    assert best(tmp_path)["cost"]["flops"] <= 0.04e6
    assert best(tmp_path)["cost"]["params"] <= 0.005e6
    assert torch.tensor(best(tmp_path)["architecture"]).shape == (8,)
    assert (tmp_path / "toy" / "supernet" / "probabilities.png").is_file()


def test_a_search_in_the_way_is_found_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "toy" / "search").mkdir(parents=True)
    (tmp_path / "toy" / "search" / "note.txt").write_text("mine")
    with pytest.raises(UserError, match="holds files that are not of a run"):
        main(flags(tmp_path, "--directly-search"))
    assert not (tmp_path / "toy" / "supernet").exists()


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not by --sample-strategy fair"):
        main(flags(tmp_path, "--directly-search", "--sample-strategy", "fair"))
    with pytest.raises(UserError, match="keeps upper limits only"):
        main(flags(tmp_path, "--directly-search", "--constraint", "1<=params<=3"))
