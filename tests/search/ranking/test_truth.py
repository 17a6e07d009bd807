"""Truths and scores in files of users: units, repetitions, forms of architectures, costs, and what cannot be ranked."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from config_file.errors import UserError
from lookup_tables.limits import Limits
from search.corrected import corrected
from search.engine import with_costs
from search.ranking.rank import main
from search.ranking.truth import load_truth, read_scores
from search.reporting.results_file import write_results
from search.result import Fidelity, Result
from search.testing.toy import toy_space, toy_tables
from search.warm_start import read_results
from supernet import build_space
from tests.search.ranking.test_rank import noisy, write

NAMES = [f"{i // 9} {i // 3 % 3} {i % 3} {i % 2}" for i in range(30)]


def ranked(folder: Path, *arguments: str) -> dict:
    assert main(["--output", str(folder), "--resamples", "20", "--no-tensorboard", *arguments]) == 0
    found: dict = json.loads((folder / "rank.json").read_text())
    return found


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, np.ndarray]:
    """(scores, truth in percent, accuracies)."""
    scores, truth = noisy(30)
    truth = 60 + 5 * truth
    return (
        write(tmp_path / "scores.csv", ["architecture", "score"], list(map(list, zip(NAMES, scores, strict=True)))),
        write(tmp_path / "percent.csv", ["architecture", "accuracy"], list(map(list, zip(NAMES, truth, strict=True)))),
        truth,
    )


def test_fractions_and_percent_give_the_same(files: tuple[Path, Path, np.ndarray], tmp_path: Path) -> None:
    scores, percent, truth = files
    fractions = write(
        tmp_path / "fractions.csv",
        ["accuracy", "architecture"],
        [[t / 100, n] for t, n in zip(truth, NAMES, strict=True)],
    )
    one = ranked(tmp_path / "one", "--scores", str(scores), "--truth", str(percent))
    other = ranked(tmp_path / "other", "--scores", str(scores), "--truth", str(fractions))
    assert other["rows"][0]["numbers"]["regret"][0] == pytest.approx(one["rows"][0]["numbers"]["regret"][0])
    best = truth.max() - truth[np.argmax([float(row["score"]) for row in csv.DictReader(scores.open())])]
    assert one["rows"][0]["numbers"]["regret"][0]["value"] == pytest.approx(best, abs=1e-9)
    assert "read as fractions" in (tmp_path / "other/log.txt").read_text()
    assert "read as fractions" not in (tmp_path / "one/log.txt").read_text()


def test_rows_of_a_network_are_averaged_and_are_its_noise(files: tuple[Path, Path, np.ndarray], tmp_path: Path) -> None:
    scores, _, truth = files
    rng = np.random.default_rng(3)
    seeds = truth[:, None] + rng.normal(size=(30, 3))
    rows = [[f"[{name.replace(' ', ', ')}]", seeds[i, seed]] for seed in range(3) for i, name in enumerate(NAMES)]
    repeated = write(tmp_path / "seeds.csv", ["architecture", "accuracy"], [list(row) for row in rows])
    found = ranked(tmp_path / "out", "--scores", str(scores), "--truth", str(repeated))
    given = [float(row["score"]) for row in csv.DictReader(scores.open())]
    expected = stats.kendalltau(given, seeds.mean(1)).statistic
    assert found["networks"] == 30
    assert found["rows"][0]["numbers"]["tau"]["value"] == pytest.approx(expected)
    references = [row["name"] for row in found["rows"] if row["kind"] == "trainings"]
    assert references[:2] == ["one training against another", "the mean of 2 against another one"]
    assert references[2].startswith("ceiling")
    assert any("one training of every network" in line or "noise" in line for line in found["words"])


def test_one_file_serves_truth_and_warm_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Our own results.csv, of several fidelities, and a table in percent, with names and JSON lists."""
    space = toy_space(layers=3)
    rng = np.random.default_rng(0)
    tables = toy_tables(space)
    architectures = [space.canonical(tuple(rng.integers(0, size) for size in space.sizes)) for _ in range(12)]
    architectures = [tuple(map(int, a)) for a in dict.fromkeys(architectures)]
    accuracy = dict(zip(architectures, rng.uniform(0.2, 0.9, len(architectures)).round(4).tolist(), strict=True))
    results = [Result(a, {"accuracy": 0.1}, Fidelity(images=50)) for a in architectures]
    results += [Result(a, {"accuracy": accuracy[a]}, Fidelity(images=100)) for a in architectures]
    write_results(tmp_path / "results.csv", [with_costs(result, tables) for result in results], Limits(space))
    names = [json.dumps(space.names(a)) if i % 2 else " ".join(space.names(a)) for i, a in enumerate(architectures)]
    write(
        tmp_path / "own.csv",
        ["architecture", "accuracy"],
        [[n, 100 * accuracy[a]] for n, a in zip(names, architectures, strict=True)],
    )
    for name in ("results.csv", "own.csv"):
        truth = load_truth(str(tmp_path / name), space)
        assert truth.accuracy == pytest.approx({a: 100 * value for a, value in accuracy.items()})
        assert truth.seeds is None
        warm = {result.architecture: result.value("accuracy") for result in read_results(tmp_path / name, space)}
        assert warm == pytest.approx(accuracy)
    assert capsys.readouterr().out.count("read as percent") == 1
    truth = load_truth(str(tmp_path / "results.csv"), space)
    assert truth.costs["flops"].tolist() == tables["flops"].cost(architectures).tolist()


def test_costs_in_columns_are_baselines_and_correct_scores(
    files: tuple[Path, Path, np.ndarray], tmp_path: Path
) -> None:
    scores, _, truth = files
    flops = np.random.default_rng(5).permutation(30) + 100
    rows = [[name, t, int(f)] for name, t, f in zip(NAMES, truth, flops, strict=True)]
    table = write(tmp_path / "costs.csv", ["architecture", "accuracy", "flops"], rows)
    found = ranked(tmp_path / "out", "--scores", str(scores), "--truth", str(table), "--score", "corrected")
    assert [row["name"] for row in found["rows"]] == ["scores, corrected for cost", "scores", "flops"]
    given = np.array([float(row["score"]) for row in csv.DictReader(scores.open())])
    taus = [
        stats.kendalltau(values, truth).statistic for values in (corrected(given, flops.astype(float)), given, flops)
    ]
    assert [row["numbers"]["tau"]["value"] for row in found["rows"]] == pytest.approx(taus)
    less = found["rows"][0]["numbers"]["against"]["flops"]["all"]
    assert less["value"] == pytest.approx(taus[0] - taus[2])
    assert less["low"] < less["value"] < less["high"]
    assert "equal cost" in found["rows"][0]["within"]
    numbers = list(csv.DictReader((tmp_path / "out/rank.csv").open()))
    assert any(row["number"] == "tau less flops, all" for row in numbers)
    written = read_scores(tmp_path / "out/scores.csv", ("score",))
    assert list(written.values()) == pytest.approx(corrected(given, flops.astype(float)).tolist(), abs=1e-6)


def test_fractions_among_percent_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = toy_space(layers=3)
    rows = [["0 0 0 0", 0.9], ["1 0 0 0", 91.0], ["0 1 0 0", 92.0], ["1 1 0 0", 0]]
    path = write(tmp_path / "mixed.csv", ["architecture", "accuracy"], rows)
    words = "1 of 4 accuracies are not above 1 and read as percent, as the others: no fractions"
    assert load_truth(str(path), space).notes == [f"mixed.csv: {words}"]
    read_results(path, space)
    assert words in capsys.readouterr().out


def test_a_negative_cost_is_one_line(tmp_path: Path) -> None:
    rows = [["0 0 0 0", 90.0, 5], ["1 0 0 0", 91.0, -5]]
    path = write(tmp_path / "costs.csv", ["architecture", "accuracy", "flops"], rows)
    with pytest.raises(UserError, match=r"costs.csv: flops of -5 are less than nothing"):
        load_truth(str(path), toy_space(layers=3))


@pytest.mark.parametrize(
    ("truth", "scores", "message"),
    [
        ([91.0] * 30, range(30), "all 30 networks of truth.csv have the same accuracy: there is nothing to rank"),
        (range(30), [0.5] * 30, "scores: all 30 networks have the same score: there is no order to judge"),
    ],
)
def test_what_gives_no_order_is_one_line(truth: list, scores: list, message: str, tmp_path: Path) -> None:
    def written(name: str, values: list) -> str:
        rows = [[network, value] for network, value in zip(NAMES, values, strict=True)]
        return str(write(tmp_path / f"{name}.csv", ["architecture", "accuracy"], rows))

    given = ["--scores", written("given", scores), "--truth", written("truth", truth)]
    with pytest.raises(UserError, match=message):
        main([*given, "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_scores_without_costs_cannot_be_corrected(files: tuple[Path, Path, np.ndarray], tmp_path: Path) -> None:
    scores, percent, _ = files
    with pytest.raises(UserError, match="--score corrected: nothing says what the networks of"):
        ranked(tmp_path / "out", "--scores", str(scores), "--truth", str(percent), "--score", "corrected")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("architecture,accuracy,accuracy\n0 1,1,2\n", "the column 'accuracy' is there twice"),
        ("architecture,accuracy\n0 1,101\n1 1,5\n", "from 0 to 100"),
        ("architecture,score\n0 1,1\n", "no column 'accuracy'"),
        ("architecture,accuracy\n[0, 1],1\n", "line 2"),
    ],
)
def test_damaged_truths_are_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        load_truth(str(tmp_path / "truth.csv"))


def test_names_of_options_are_read_where_the_space_is_named(tmp_path: Path) -> None:
    space = build_space("nasbench_macro", resolution=32, num_classes=10)
    rng = random.Random(0)
    networks = list(dict.fromkeys(space.sample(rng) for _ in range(12)))
    names = [" ".join(space.names(network)) for network in networks]
    scores = write(tmp_path / "scores.csv", ["architecture", "score"], [[n, i] for i, n in enumerate(names)])
    lists = [json.dumps(space.names(network)) for network in networks]
    truth = write(tmp_path / "truth.csv", ["architecture", "accuracy"], [[n, i % 5 + 50] for i, n in enumerate(lists)])
    given = ["--scores", str(scores), "--truth", str(truth)]
    with pytest.raises(UserError, match="without a search space an architecture is a list of indices"):
        ranked(tmp_path / "none", *given)
    found = ranked(tmp_path / "out", *given, "--search-space", "nasbench_macro", "--resolution", "32")
    assert [row["name"] for row in found["rows"]] == ["scores", "flops", "params", "live flops", "layers"]
    assert found["networks"] == len(networks)
    flops = [space.decode(network).macs((3, 32, 32)) for network in networks]
    accuracy = [i % 5 + 50 for i in range(len(networks))]
    assert found["rows"][1]["numbers"]["tau"]["value"] == pytest.approx(stats.kendalltau(flops, accuracy).statistic)
