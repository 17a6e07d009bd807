"""Landmarks from start to end, small: drawn faces, a differentiable supernet, search, inherited weights, ONNX."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from config_file.errors import UserError
from config_file.readers.json_text import read_jsonl
from deployment.cli import main as export
from deployment.weights import load_network
from search.cli import main as search
from search.comparison import verdict
from search.ranking import rank
from search.reporting.report import main as report
from tasks import LANDMARKS, measured_on
from training.cli import main_retrain, main_train_supernet
from training.data.synthetic_landmarks import write_faces
from training.supernet_file import read_description

RUN = ["--title", "faces", "--threads", "1", "--no-tensorboard"]
SPACE = ["--search-space", "pfld", "--resolution", "32", "--widths", "4,8,8,16"]
TRAIN = ["--dataset", "landmarks", "--data-path", "faces", "--batch-size", "8", "--lr", "0.02", "--optimizer", "adam"]
GUMBEL = ["--sample-strategy", "differentiable_gumbel", "--target-hc", "1", "--hc-loss", "squared"]
QUICK = ["--calibration-images", "20", "--overwrite"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything up to the search, in a folder that tests work in."""
    folder = tmp_path_factory.mktemp("landmarks")
    write_faces(folder / "faces", 100, seed=1, side=40)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        main_train_supernet([*RUN, *SPACE, *TRAIN, *GUMBEL, "--epochs", "8"])
        search([*RUN, "--search-strategy", "differentiable", "--a-samples", "5", *QUICK])
    return folder


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder / "runs" / "faces"


def test_the_supernet_learns_and_says_so_in_nme(here):
    info = read_description(here / "supernet")
    assert info["task"] == "landmarks"
    rows = [row for row in read_jsonl(here / "supernet" / "metrics.jsonl") if "nme" in row]
    assert rows[-1]["nme"] < 0.7 * rows[0]["nme"]
    assert info["best_validation"]["val_nme"] >= info["validation"]["val_nme_min"]
    assert "validation NME" in (here / "supernet" / "log.txt").read_text()


def test_the_search_picks_the_least_nme(here):
    rows = read_jsonl(here / "search" / "archive.jsonl")[1:]
    best = json.loads((here / "search" / "best.json").read_text())
    assert best["selected_with"]["nme"] == min(row["metrics"]["nme"] for row in rows)
    assert best["interval"][0] < best["nme"] < best["interval"][1]
    assert "accuracy" not in best
    table = list(csv.DictReader((here / "search" / "results.csv").open()))
    assert float(table[-1]["best_so_far"]) == pytest.approx(best["selected_with"]["nme"], abs=1e-6)
    page = (here / "search" / "report.html").read_text()
    assert "NME against cost" in page
    assert "ccuracy" not in page


@pytest.mark.parametrize(
    "strategy",
    [
        ["evolution", "--population", "4", "--parent-num", "2", "--generation-num", "1"],
        ["regularized_evolution", "--evaluations", "5", "--refit-head"],
        ["nsga2", "--population", "4", "--evaluations", "8"],
        ["random", "--random-iteration", "6", "--eval-images", "8,0", "--workers", "2"],
    ],
)
@pytest.mark.usefixtures("served_workers")
def test_other_strategies_minimise_it_too(here, strategy):
    search([*RUN, "--output", "other", "--search-strategy", *strategy, *QUICK])
    every = read_jsonl(Path("other/archive.jsonl"))[1:]
    rows = [
        row for row in every if row["fidelity"] == max((row["fidelity"] for row in every), key=lambda f: f["images"])
    ]
    best = json.loads(Path("other/best.json").read_text())
    assert best["selected_with"]["nme"] == min(row["metrics"]["nme"] for row in rows)
    if "--eval-images" in strategy:  # the lesser NME goes on
        first = sorted((row for row in every if row["fidelity"]["images"] == 8), key=lambda row: row["metrics"]["nme"])
        assert {tuple(row["architecture"]) for row in first[:3]} <= {tuple(row["architecture"]) for row in rows}
        assert len(rows) < len(first)
    if strategy[0] == "nsga2":
        with Path("other/front.csv").open() as file:
            header, *front = csv.reader(file)
        assert header[:2] == ["nme", "flops"]
        assert float(front[0][0]) == pytest.approx(min(row["metrics"]["nme"] for row in rows))
    report([str(here), "other", "--output", "both.html"])
    assert "NME (%)" in Path("both.html").read_text()


def test_accuracy_is_no_objective_of_landmarks(here):
    with pytest.raises(UserError, match="--objective accuracy: nothing gives it"):
        search([*RUN, "--output", "refused", "--search-strategy", "random", "--objective", "accuracy"])
    with pytest.raises(UserError, match=r"search\.verdict compares test accuracies"):
        verdict.main([*RUN])
    with pytest.raises(UserError, match="ranks by accuracy"):
        rank.main([*RUN, "--truth", "none.csv"])


def test_inherited_weights_retrain_and_export(here):
    main_retrain([*RUN, "--init", "supernet", "--epochs", "2", "--batch-size", "20", "--lr", "0.003", "--overwrite",
                  "--optimizer", "adam", "--train-on", "train"])  # fmt: skip
    result = json.loads((here / "retrain" / "result.json").read_text())
    assert result["task"] == "landmarks"
    first = read_jsonl(here / "retrain" / "metrics.jsonl")[0]["nme"]
    cold = read_jsonl(here / "supernet" / "metrics.jsonl")[0]["nme"]
    assert first < 0.8 * cold  # it begins where the supernet ended
    _, metadata = load_network(here / "retrain" / "model.safetensors")
    assert metadata["test_nme"] == result["test_nme"]
    samples = np.load(here / "retrain" / "samples.npz")
    assert samples["labels"].shape == samples["logits"].shape == (20, 212)
    nme = measured_on(LANDMARKS, samples["logits"], samples["labels"]).mean()
    assert nme == pytest.approx(result["test_nme"], rel=1e-4)  # all 20 test images are samples

    export([*RUN, "--exporter", "legacy", "--opset", "17", "--parity-images", "6", "--overwrite"])
    card = json.loads((here / "export" / "card.json").read_text())
    assert card["nme"]["test"] == result["test_nme"]
    assert card["parity"]["max_relative"] <= 1e-4
    assert card["parity"]["same_points"]
    assert card["input"]["resize"]["stretch"]
    page = (here / "export" / "card.md").read_text()
    assert f"{100 * result['test_nme']:.2f} % on test" in page
    done = subprocess.run(
        [sys.executable, here / "export" / "locate.py", here / "export" / "sample.png"],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    printed = np.array(json.loads(done.stdout))
    shown = np.flatnonzero([card["sample"]["label"] == LANDMARKS.answer(row, ()) for row in samples["labels"][:6]])
    assert printed.shape == (106, 2)
    expected = 32 * samples["logits"][int(shown[0])].reshape(106, 2)
    assert np.abs(printed - expected).max() < 0.02  # two decimals are printed
