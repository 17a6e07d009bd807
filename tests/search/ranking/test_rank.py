from __future__ import annotations

import csv
import json
import math
import random
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from config_file.errors import UserError
from search.archive import Archive
from search.evaluators.supernet import SupernetEvaluator
from search.ranking.agreement import compare
from search.ranking.noise import trainings_agree
from search.ranking.rank import main
from search.ranking.scores import main_effects
from search.ranking.statistics import (
    Estimate,
    drawn_with_replacement,
    estimate,
    kendall_tau,
    resampled,
    spearman_rho,
    top_k_regret,
)
from search.ranking.truth import load_truth, read_scores
from supernet import build_space
from tests.search.test_cli import SPACE, here, trained  # noqa: F401 - fixtures


def noisy(count: int = 60, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=count)
    scores = truth + rng.normal(size=count)
    return (scores.round(), truth.round(1)) if ties else (scores, truth)


@pytest.mark.parametrize("ties", [False, True])
def test_statistics_are_those_of_scipy_and_of_the_definition(ties: bool) -> None:
    scores, truth = noisy(ties=ties)
    signs = [
        (np.sign(scores[i] - scores[j]), np.sign(truth[i] - truth[j])) for i, j in combinations(range(len(scores)), 2)
    ]
    agree = sum(a * b for a, b in signs)
    tau_b = agree / math.sqrt(sum(a != 0 for a, _ in signs) * sum(b != 0 for _, b in signs))
    assert kendall_tau(scores, truth) == pytest.approx(tau_b, abs=1e-12)
    ranks = [stats.rankdata(values) for values in (scores, truth)]
    assert spearman_rho(scores, truth) == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-12)


def test_regret_of_the_top_k() -> None:
    scores, truth = np.array([5.0, 4, 3, 2, 1]), np.array([90.0, 94, 91, 95, 89])
    assert [top_k_regret(k)(scores, truth) for k in (1, 2, 3, 4, 99)] == [5, 1, 1, 0, 0]


def test_regret_of_equal_scores_is_its_mean_over_their_orders() -> None:
    scores, truth = np.array([2.0, 1, 1, 1, 1, 0]), np.array([91.0, 90, 95, 93, 91, 99])
    for k in (1, 2, 3, 4, 5):
        rng = random.Random(0)
        found = []
        for _ in range(4000):
            order = sorted(range(6), key=lambda i: (-scores[i], rng.random()))
            found.append(99 - max(truth[i] for i in order[:k]))
        assert top_k_regret(k)(scores, truth) == pytest.approx(np.mean(found), abs=0.08)


def test_constant_scores_have_no_rank() -> None:
    assert math.isnan(kendall_tau(np.ones(5), np.arange(5.0)))
    assert math.isnan(spearman_rho(np.ones(5), np.arange(5.0)))
    (row,) = compare({"constant": np.ones(5)}, np.arange(5.0), 20, 0)
    assert math.isnan(row.tau.low)
    assert row.regret[0].value == pytest.approx(2)


def test_the_interval_is_that_of_scipys_bootstrap() -> None:
    scores, truth = noisy(80)

    def interval(resamples: int) -> Estimate:
        samples = drawn_with_replacement(len(scores), resamples, 0)
        return estimate(spearman_rho(scores, truth), resampled(spearman_rho, scores, truth, samples))

    ours = interval(800)
    theirs = stats.bootstrap(
        (scores, truth), spearman_rho, paired=True, vectorized=False, n_resamples=800, method="percentile", rng=1
    ).confidence_interval
    assert ours.value == spearman_rho(scores, truth)
    assert ours.low == pytest.approx(theirs.low, abs=0.04)
    assert ours.high == pytest.approx(theirs.high, abs=0.04)
    assert interval(50) == interval(50)


def test_one_training_against_another_is_the_mean_over_pairs_of_seeds() -> None:
    rng = np.random.default_rng(1)
    seeds = rng.normal(size=(40, 1)) + 0.3 * rng.normal(size=(40, 3))
    seeds[7, 2] = math.nan
    one, rest, _ = trainings_agree(seeds)
    kept = np.delete(seeds, 7, 0)
    expected = [kendall_tau(seeds[:, 0], seeds[:, 1]), *(kendall_tau(kept[:, a], kept[:, 2]) for a in (0, 1))]
    assert one.tau.value == pytest.approx(np.mean(expected))
    assert rest.tau.value > one.tau.value
    assert trainings_agree(seeds[:, :1]) == []


def write(path: Path, columns: list[str], rows: list[list[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    """(truth, scores) of 30 architectures; the scores know a few others."""
    scores, truth = noisy(30)
    truth = truth + 50  # percent
    names = [f"{i // 9} {i // 3 % 3} {i % 3} {i % 2}" for i in range(30)]
    return (
        write(tmp_path / "truth.csv", ["architecture", "accuracy"], list(map(list, zip(names, truth, strict=True)))),
        write(
            tmp_path / "scores.csv",
            ["architecture", "score"],
            [*map(list, zip(names, scores, strict=True)), ["9 9 9 9", 1.0], ["8 8 8 8", ""]],
        ),
    )


@pytest.mark.usefixtures("rendered")
def test_scores_from_a_file_are_ranked(tables: tuple[Path, Path], tmp_path: Path) -> None:
    truth, scores = tables
    folder = tmp_path / "ranked"
    arguments = ["--scores", str(scores), "--truth", str(truth), "--output", str(folder), "--resamples", "50"]
    assert main([*arguments, "--no-tensorboard"]) == 0
    found = json.loads((folder / "rank.json").read_text())
    assert found["networks"] == 30
    assert [row["name"] for row in found["rows"]] == ["scores"]
    numbers = found["rows"][0]["numbers"]
    expected = stats.kendalltau(*noisy(30)).statistic
    assert numbers["tau"]["value"] == pytest.approx(expected, abs=1e-6)
    assert numbers["tau"]["low"] < expected < numbers["tau"]["high"]
    with Image.open(folder / "ranking.png") as image:
        assert image.size == (1800, 780)  # beside the networks the tau of every score
    assert len(read_scores(folder / "scores.csv", ("score",))) == 30
    with pytest.raises(UserError, match="--overwrite"):
        main(arguments)
    assert main([*arguments, "--overwrite", "--no-tensorboard", "--architectures", "10"]) == 0
    assert json.loads((folder / "rank.json").read_text())["networks"] == 10
    with pytest.raises(UserError, match=r"^--architectures must be 0, for all, or at least 3, not 2$"):
        main([*arguments, "--overwrite", "--architectures", "2"])


def test_rows_of_one_network_are_its_seeds(tmp_path: Path) -> None:
    rows = [["0 1", 90], ["[1, 1]", 80.5], ["0 1", 92], ["1-1", 80.5], ["0,1", 91]]
    found = load_truth(str(write(tmp_path / "seeds.csv", ["architecture", "accuracy"], rows)))
    assert found.accuracy == {(0, 1): 91, (1, 1): 80.5}
    assert found.seeds is not None
    np.testing.assert_array_equal(found.seeds, [[90, 92, 91], [80.5, 80.5, np.nan]])
    with pytest.raises(UserError, match="from 0 to 100"):
        load_truth(str(write(tmp_path / "wrong.csv", ["architecture", "accuracy"], [["0 1", 101]])))


def test_names_and_indices_are_read(tmp_path: Path) -> None:
    space = build_space("nasbench_macro", resolution=32, num_classes=10)
    rng = random.Random(0)
    architectures = [space.sample(rng) for _ in range(4)]
    rows = [[" ".join(space.names(a)), 1.0] for a in architectures[:2]]
    rows += [["-".join(map(str, a)), 2.0] for a in architectures[2:]]
    path = write(tmp_path / "x.csv", ["architecture", "accuracy"], rows)
    assert list(read_scores(path, ("accuracy",), space)) == architectures


@pytest.mark.parametrize(
    ("columns", "rows", "message"),
    [
        (["architecture", "acc"], [["0 1", 1]], "no column 'accuracy'"),
        (["architecture", "accuracy"], [["0 1", "much"]], "line 2: accuracy must be a number, not 'much'"),
        (["architecture", "accuracy"], [["k3 k5", 1]], "line 2: without a search space"),
        (["architecture", "accuracy"], [["0 1", 1], ["0 2", 2]], "only 2 architectures"),
    ],
)
def test_a_bad_table_is_one_line(
    columns: list[str], rows: list[list[object]], message: str, tables: tuple[Path, Path], tmp_path: Path
) -> None:
    path = write(tmp_path / "bad.csv", columns, rows)
    scores = tables[1] if len(rows) == 1 else path
    with pytest.raises(UserError, match=message):
        main(["--scores", str(scores), "--truth", str(path), "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_a_damaged_score_is_named(tables: tuple[Path, Path], tmp_path: Path) -> None:
    scores = write(tmp_path / "bad.csv", ["architecture", "score"], [["0 1", "much"]])
    with pytest.raises(UserError, match="line 2: score must be a number, not 'much'"):
        main(["--scores", str(scores), "--truth", str(tables[0]), "--output", str(tmp_path / "out")])


@pytest.mark.parametrize("which", ["nasbench_macro", "nowhere.npz", "nasbench_marco"])
def test_a_missing_truth_is_one_line(which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAS_SHARED_DATA", raising=False)
    with pytest.raises(UserError, match=r"NAS_SHARED_DATA must name|no such file|did you mean"):
        load_truth(which)


def test_flops_and_seeds_of_nasbench_macro(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_SHARED_DATA", str(shared_data))
    truth = load_truth("nasbench_macro")
    assert len(truth.accuracy) == 6561
    accuracy = np.array(list(truth.accuracy.values()))
    assert kendall_tau(truth.costs["flops"], accuracy) == pytest.approx(0.556, abs=5e-4)
    assert truth.seeds is not None
    pairs = [kendall_tau(truth.seeds[:, a], truth.seeds[:, b]) for a, b in combinations(range(3), 2)]
    assert pairs == pytest.approx([0.882, 0.880, 0.882], abs=5e-4)
    space = build_space("nasbench_macro", resolution=32, num_classes=10)
    some = list(truth.accuracy)[:: len(accuracy) // 20]
    assert truth.costs["flops"][truth.rows(some)].tolist() == [space.decode(a).macs((3, 32, 32)) for a in some]


def test_nasbench201(shared_data: Path) -> None:
    truth = load_truth(str(shared_data / "nb201.npz"), dataset="cifar100")
    assert len(truth.accuracy) == 15625
    assert max(truth.accuracy.values()) == pytest.approx(73.513, abs=1e-3)
    assert truth.seeds is not None
    assert truth.seeds.shape == (15625, 3)


def test_main_effects_leave_out_how_options_work_together() -> None:
    """Over all networks of a balanced space they are the marginal means; the ridge shrinks them by 1e-3 at most."""
    space = build_space("nasbench_macro", resolution=32, num_classes=10)
    rng = np.random.default_rng(0)
    architectures = [tuple(map(int, codes)) for codes in np.ndindex(3, 3, 3, 3, 1, 1, 1, 1)]
    codes = np.array(architectures)
    alone = rng.normal(size=(4, 3))
    scores = sum(alone[layer, codes[:, layer]] for layer in range(4)) + 2.0 * (codes[:, 0] == 1) * (codes[:, 1] == 2)
    found = main_effects(space, dict(zip(architectures, scores.tolist(), strict=True)))
    marginal = np.full(len(scores), scores.mean())
    for layer in range(4):
        means = np.array([scores[codes[:, layer] == option].mean() for option in range(3)]) - scores.mean()
        marginal += means[codes[:, layer]]
    assert [*found] == architectures
    np.testing.assert_allclose([*found.values()], marginal, atol=2e-3 * np.ptp(marginal))
    assert np.abs(marginal - scores).max() > 0.5


def test_a_supernet_is_ranked_and_an_interrupted_ranking_goes_on(
    here: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rng = random.Random(0)
    truth = {" ".join(rng.choice(SPACE["candidates"]) for _ in range(4)): rng.random() for _ in range(20)}
    write(here / "truth.csv", ["architecture", "accuracy"], [[names, value] for names, value in truth.items()])
    arguments = ["--title", "toy", "--truth", "truth.csv", "--calibration-images", "40", "--eval-images", "40"]
    arguments += ["--architectures", "8", "--resamples", "20", "--threads", "1", "--no-tensorboard"]
    with pytest.raises(UserError, match="'abc'"):  # as without --plan
        main([*arguments, "--dataset", "abc", "--plan"])
    assert main([*arguments, "--plan"]) == 0
    plan = capsys.readouterr().out
    assert "8 architectures of truth.csv" in plan
    made, layer = [], SupernetEvaluator._layer
    monkeypatch.setattr(SupernetEvaluator, "_layer", lambda self, step: made.append(step) or layer(self, step))
    assert main([*arguments, "--output", "whole"]) == 0
    assert f"\n{len(made)} layers to evaluate instead of" in plan  # all that are drawn share, as planned
    add, added = Archive.add, []

    def interrupted(archive: Archive, result: object) -> None:
        if len(added) == 3:
            raise KeyboardInterrupt
        added.append(result)
        add(archive, result)  # type: ignore[arg-type]

    monkeypatch.setattr(Archive, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(arguments)
    monkeypatch.setattr(Archive, "add", add)
    assert main([*arguments, "--resume"]) == 0
    folder = here / "runs/toy/rank"
    assert (folder / "rank.json").read_text() == (here / "whole/rank.json").read_text()
    assert (folder / "scores.csv").read_text() == (here / "whole/scores.csv").read_text()
    found = json.loads((folder / "rank.json").read_text())
    assert found["networks"] == 8
    assert [row["name"] for row in found["rows"]] == [
        "supernet",
        "supernet, by its loss",
        "supernet, main effects",
        "supernet, main effects of its loss",
        "flops",
        "params",
        "live flops",
        "layers",
    ]
    archive = [json.loads(line) for line in (folder / "archive.jsonl").read_text().splitlines()][1:]
    assert len(archive) == 8
    names = [" ".join(SPACE["candidates"][option] for option in row["architecture"]) for row in archive]
    expected = stats.kendalltau([-row["metrics"]["loss"] for row in archive], [truth[name] for name in names]).statistic
    assert found["rows"][1]["numbers"]["tau"]["value"] == pytest.approx(expected)
