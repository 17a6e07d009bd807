"""Cells from start to end, small: scored untrained, searched, trained, exported; NAS-Bench-201 as a supernet too."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from config_file.errors import UserError
from deployment.cli import main as export
from search.cli import main as search
from search.ranking import untrained
from supernet import build_network_space
from training.cli import main_retrain, main_train_supernet

DATA = ["--title", "cells", "--dataset", "digits", "--resolution", "16", "--threads", "1"]
QUIET = ["--no-tensorboard"]
NB101 = ["--search-space", "nasbench101", "--widths", "8,16", "--depths", "1,1"]
NB201 = ["--search-space", "nasbench201", "--widths", "4,8", "--depths", "1,1"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs" / "cells"


def test_a_space_without_sites(here: Path) -> None:
    """Costs, limits and an export are those of the decoded network, which another count confirms."""
    scoring = ["--evaluator", "zero_cost", "--zero-cost", "synflow", "--search-strategy", "regularized_evolution"]
    limit = ["--budget-evaluations", "20", "--target-hc", "0.004", "--info-metric", "params"]
    search([*DATA, *NB101, *scoring, *limit])
    rows = list(csv.DictReader((here / "search/results.csv").open(encoding="utf-8")))
    space = build_network_space(
        "nasbench101", resolution=16, widths=(8, 16), depths=(1, 1), num_classes=10, in_channels=1
    )
    for row in rows:
        spec = space.decode(space.parse(row["architecture"].split()))
        assert float(row["params"]) == spec.params((3, 16, 16)) <= 4000
        assert float(row["flops"]) == spec.macs((3, 16, 16))
    assert len({space.network_key(space.parse(row["architecture"].split())) for row in rows}) > 5
    main_retrain([*DATA, *QUIET, "--epochs", "1"])
    export(["--title", "cells", "--threads", "1"])
    card = json.loads((here / "export/card.json").read_text(encoding="utf-8"))
    best = json.loads((here / "search/best.json").read_text(encoding="utf-8"))
    assert card["cost"]["params"] == best["cost"]["params"]
    assert card["parity"]["max_relative"] <= 1e-4
    assert "0to" in (here / "search/report.html").read_text(encoding="utf-8")  # its layers
    with pytest.raises(UserError, match="nasbench101 has no supernet"):
        main_train_supernet([*DATA, *NB101, *QUIET, "--epochs", "1", "--overwrite"])


def test_its_networks_are_scored_and_ranked(here: Path) -> None:
    scores = ["--zero-cost", "synflow,nwot,az_trainability", "--architectures", "6"]
    assert untrained.main([*DATA, *NB101, *scores]) == 0
    rows = list(csv.DictReader((here / "zero_cost/scores.csv").open(encoding="utf-8")))
    assert [row["place"] for row in rows] == [str(place) for place in range(1, 7)]
    assert all(float(row["seconds"]) > 0 and float(row["params"]) > 400 for row in rows)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ["--evaluator", "training", "--objective", "synflow"],
            "synflow is a score of untrained networks, and here they",
        ),
        (["--evaluator", "zero_cost", "--objective", "accuracy"], "accuracy: nothing gives it .there are: synflow"),
        (["--evaluator", "zero_cost", "--zero-cost", "accuracy"], "unknown zero-cost score 'accuracy'"),
    ],
)
def test_scores_are_no_accuracies(here: Path, flags: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        search([*DATA, *NB101, *flags, "--search-strategy", "random"])


def test_nasbench201_as_a_supernet(here: Path) -> None:
    main_train_supernet([*DATA, *NB201, *QUIET, "--epochs", "1"])
    search([*DATA, "--search-strategy", "random", "--random-iteration", "5", "--calibration-images", "20"])
    best = json.loads((here / "search/best.json").read_text(encoding="utf-8"))
    assert best["space_options"]["widths"] == [4, 8]
    main_retrain([*DATA, *QUIET, "--epochs", "1", "--init", "supernet"])
    export(["--title", "cells", "--threads", "1"])
    card = json.loads((here / "export/card.json").read_text(encoding="utf-8"))
    assert card["parity"]["max_relative"] <= 1e-4
