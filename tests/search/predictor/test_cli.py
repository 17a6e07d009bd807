"""Predictors that are kept, from the command line: trained, asked, searched on, and learned from."""

from __future__ import annotations

import json
import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from config_file.errors import UserError
from search.cli import main as search
from search.predictor.cli import main
from search.predictor.kept import expectation, load
from supernet import build_space
from tests.search.test_cli import here, trained  # noqa: F401 - fixtures
from tests.search.test_new_limit import DYNAS, evaluated, known, rows  # noqa: F401 - fixtures

SPACE = {
    "name": "tiny",
    "stem": 8,
    "stages": [{"channels": 8, "depth": 3, "stride": 2}],
    "candidates": ["k3e3", "k5e3", "k3e6", "skip"],
    "head": 16,
}
TRAIN = ["train", "--search-space", "tiny.yml", "--resolution", "16", "--num-classes", "10", "--output", "p.json"]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[int, ...], float]:
    """Accuracies that are a sum over layers, of half of the networks, in a CSV; returns those of all."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.yml").write_text(json.dumps(SPACE))
    worth = np.random.default_rng(0).uniform(0, 0.25, (3, 4))
    every = {a: float(0.1 + sum(worth[layer, option] for layer, option in enumerate(a))) for a in
             product(range(4), repeat=3)}  # fmt: skip
    drawn = [list(every)[place] for place in np.random.default_rng(1).permutation(64)]
    for name, part in (("seen.csv", drawn[:32]), ("new.csv", drawn[32:])):
        lines = [f"{' '.join(map(str, a))},{every[a]}" for a in part]
        Path(name).write_text("\n".join(["indices,accuracy", *lines]) + "\n")
    return every


def test_what_is_trained_predicts_and_finds_the_best(
    table: dict[tuple[int, ...], float], capsys: pytest.CaptureFixture[str]
) -> None:
    main([*TRAIN, "--results", "seen.csv"])
    assert re.match(r"accuracy from 32 networks by ridge: in cross-validation error \d", capsys.readouterr().out)
    kept = load(Path("p.json"))
    new = [a for a in table if a not in kept.known]
    truth, predicted = np.array([table[a] for a in new]), kept.predict(new)
    assert predicted == pytest.approx(truth, abs=0.01)  # the sum is learned from half of the networks
    assert expectation(Path("p.json"), kept.space)(new).tolist() == predicted.tolist()
    main(["predict", "--predictor", "p.json", "--results", "new.csv"])
    error, tau = np.sqrt(((predicted - truth) ** 2).mean()), kendalltau(predicted, truth).statistic
    assert f"on 32 networks that it was not fitted to error {100 * error:.2f} points" in (
        out := capsys.readouterr().out
    )
    assert f"Kendall's tau {tau:.3f}" in out
    main(["predict", "--predictor", "p.json", "--architecture", json.dumps(list(new[0]))])
    assert f"accuracy {100 * predicted[0]:.2f} %: {' '.join(kept.space.names(new[0]))}" in capsys.readouterr().out
    space = build_space("tiny.yml", resolution=16, num_classes=10)
    costs = {a: space.decode(a).macs(space.input_shape) for a in table}
    limit = sorted(costs.values())[20]
    main(["best", "--predictor", "p.json", "--target-hc", str(limit / 1e6), "--predictions", "300", "--top", "1"])
    out = capsys.readouterr().out.splitlines()
    best = max((a for a in table if costs[a] <= limit), key=lambda a: kept.predict([a])[0])
    assert out[0] == "predicted best"
    assert f": {' '.join(space.names(best))}; flops {costs[best]:,} (" in out[1]
    assert f"params {space.decode(best).params(space.input_shape):,} (" in out[1]
    measured = max((a for a in kept.known if costs[a] <= limit), key=table.__getitem__)
    assert out[2] == "measured best"
    assert f"(measured {100 * table[measured]:.2f} %): {' '.join(space.names(measured))}" in out[3]


def test_a_search_is_trained_from_and_learns_from_it(
    here: Path, evaluated: list[tuple[int, ...]], capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    assert search([*DYNAS, "--target-hc", "0.7"]) == 0
    main(["train", "--search", "runs/toy"])
    kept = load(Path("predictors/toy-accuracy.json"))
    assert {a: round(value, 6) for a, value in kept.known.items()} == {
        tuple(map(int, row["indices"].split())): float(row["accuracy"]) for row in rows(here / "runs/toy/search")
    }
    evaluated.clear()
    taught = ["--warm-start", "predictors/toy-accuracy.json", "--output", "other", "--target-hc", "0.7"]
    assert search([*DYNAS, *taught]) == 0
    assert len(set(evaluated) - set(kept.known)) == 12 - 3  # of what it knows half a population is measured again
    assert (3, 3, 3, 3) in set(kept.known) & set(evaluated)  # the cheapest one is on every front
    assert known("other/archive.jsonl") == set(evaluated)
    main(["train", "--search", "runs/toy", "--objective", "macs"])
    assert load(Path("predictors/toy-flops.json")).objective.name == "flops"


def test_latencies_of_another_tool_are_predicted(table: dict[tuple[int, ...], float]) -> None:
    space = build_space("tiny.yml", resolution=16, num_classes=10)
    times = {a: 1 + sum(a) / 8 for a in table}
    rows = [f'"{dict(zip((d.name for d in space.decisions), space.names(a), strict=True))}",now,{ms},0,0' for a, ms in
            list(times.items())[::2]]  # fmt: skip
    Path("config.csv").write_text("\n".join(["config,date,lat,macs,acc", *rows]) + "\n")
    main([*TRAIN, "--results", "config.csv", "--objective", "latency"])
    kept = load(Path("p.json"))
    assert (kept.objective.name, kept.objective.maximise, len(kept.known)) == ("latency", False, 32)
    assert kept.known == {a: pytest.approx(times[a]) for a in list(table)[::2]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train"], "give --search FOLDER, or --results FILE"),
        ([*TRAIN, "--results", "absent.csv"], "absent.csv: no such file"),
        ([*TRAIN, "--results", "seen.csv", "--objective", "lat"], "no result in it has lat|has no column"),
        ([*TRAIN, "--results", "seen.csv", "--objective", "accuracy,loss"], "a predictor is of one metric"),
        ([*TRAIN[:-1], "p.txt", "--results", "seen.csv"], r"a predictor is a .json file"),
        ([*TRAIN[:-1], "notes.json", "--results", "seen.csv"], "notes.json is not one of this toolkit"),
        (["predict", "--predictor", "seen.csv"], "give --architecture NETWORK, or --results FILE"),
        (["predict", "--architecture", "0 0 0"], "--predictor is missing"),
        (["predict", "--predictor", "seen.csv", "--architecture", "0 0 0"], "seen.csv"),
        (["best", "--predictor", "notes.json"], "notes.json is not one of this toolkit"),
        (["guess"], "unknown command 'guess'"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: list[str], message: str, table: dict[tuple[int, ...], float]
) -> None:  # fmt: skip
    Path("notes.json").write_text("{}")
    with pytest.raises(UserError, match=message) as caught:
        main(words)
    assert "\n" not in str(caught.value)
    assert Path("notes.json").read_text() == "{}"


def test_a_predictor_of_another_space_is_refused(
    here: Path, table: dict[tuple[int, ...], float]  # noqa: F811
) -> None:  # fmt: skip
    main([*TRAIN, "--results", "seen.csv"])
    with pytest.raises(UserError, match=r"p.json: it predicts networks of tiny, not of tiny"):
        search([*DYNAS, "--warm-start", "p.json"])
