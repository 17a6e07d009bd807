"""Rankings by structured scores: what is printed, what is chosen, and that nothing of the truth enters."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from config_file.errors import UserError
from search.ranking.agreement import compare
from search.ranking.rank import main

OPTIONS = ["--score", "structured", "--resamples", "20", "--no-tensorboard", "--output"]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Truths of 400 chains of 6 layers, additive, and noisy scores of them; the same truths in another order."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    codes = np.array(random.Random(0).sample([tuple(row) for row in np.ndindex(*[3] * 6)], 400))
    truth = 60 + rng.normal(size=(6, 3))[np.arange(6), codes].sum(1)
    scores = truth + 2.0 * rng.normal(size=len(truth))
    tables = {
        "truth": ("accuracy", truth),
        "shuffled": ("accuracy", rng.permutation(truth)),
        "scores": ("score", scores),
    }
    for name, (column, values) in tables.items():
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            rows = [[" ".join(map(str, row)), value] for row, value in zip(codes.tolist(), values, strict=True)]
            csv.writer(file).writerows([["architecture", column], *rows])
    return tmp_path


def columns(path: Path) -> dict[str, np.ndarray]:
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name != "architecture"}


def test_nothing_of_the_truth_enters_a_score(written: Path) -> None:
    for truth in ("truth", "shuffled"):
        assert main(["--scores", "scores.csv", "--truth", f"{truth}.csv", *OPTIONS, truth]) == 0
    ours, other = (columns(written / truth / "scores.csv") for truth in ("truth", "shuffled"))
    assert not np.array_equal(ours["truth"], other["truth"])
    for scores in (ours, other):
        scores.pop("truth")
    assert ours.keys() == other.keys() == {"score", "scores"}
    for name in ours:
        np.testing.assert_array_equal(ours[name], other[name])


def test_an_accepted_structure_comes_first_and_is_compared_in_pairs(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--scores", "scores.csv", "--truth", "truth.csv", *OPTIONS, "out"]) == 0
    found = json.loads((written / "out/rank.json").read_text())
    assert [row["name"] for row in found["rows"]] == ["scores, structured", "scores"]
    table = columns(written / "out/scores.csv")
    structured, raw = (kendalltau(table[name], table["truth"]).statistic for name in ("score", "scores"))
    assert [row["numbers"]["tau"]["value"] for row in found["rows"]] == pytest.approx([structured, raw], abs=1e-3)
    assert structured > raw + 0.2
    less = found["rows"][0]["numbers"]["against"]["scores"]["all"]
    assert less["value"] == pytest.approx(structured - raw, abs=1e-3)
    assert less["low"] > 0
    printed = capsys.readouterr().out
    assert "structure accepted: additive" in printed
    assert f"scores, structured, less scores: τ {less['value']:+.3f} (" in printed


def test_a_rejected_structure_leaves_the_raw_scores_first(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of 30 networks with so much noise nothing can be said, and of ten nothing is tried."""
    few = ["--scores", "scores.csv", "--truth", "truth.csv", *OPTIONS]
    assert main([*few, "out", "--architectures", "30"]) == 0
    assert "structure rejected, raw scores count" in capsys.readouterr().out
    found = json.loads((written / "out/rank.json").read_text())
    assert [row["name"] for row in found["rows"]] == ["scores", "scores, structured"]
    assert main([*few, "ten", "--architectures", "10"]) == 0
    assert "10 networks are too few to choose a structure by" in capsys.readouterr().out
    with pytest.raises(UserError, match="--score-error"):
        main(["--scores", "scores.csv", "--truth", "truth.csv", "--score-error", "0.2", "--output", "x"])


def test_differences_from_raw_scores_are_paired() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=100)
    scores = {"raw": truth + rng.normal(size=100), "better": truth + 0.3 * rng.normal(size=100)}
    raw, better = compare(scores, truth, 50, 0, raw="raw")
    assert raw.against == {}
    assert better.against["raw"]["all"].value == pytest.approx(better.tau.value - raw.tau.value)
    assert better.against["raw"]["all"].low > 0
