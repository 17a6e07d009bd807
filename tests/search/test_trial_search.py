"""`python search.py --evaluator training`: searches that train, killed and resumed, and what follows them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from config_file.errors import UserError
from deployment.weights import load_network
from search.archive import read_archive
from search.cli import main
from search.ranking.rank import main as rank
from search.result import Result
from tests.search.killing import kill_once
from training.cli import main_retrain

PLACE = ["--title", "t", "--threads", "1", "--no-tensorboard"]
DATA = ["--dataset", "digits", "--resolution", "8", "--train-portion", "0.2", "--batch-size", "64"]
SPACE = ["--search-space", "nasbench_macro", "--widths", "4,4,6,8,16"]
TRAINED = [*PLACE, *DATA, *SPACE, "--lr", "0.1", "--target-hc", "0.06", "--evaluator", "training"]
RANDOM = ["--search-strategy", "random", "--random-iteration", "4"]
SEARCH = [*TRAINED, *RANDOM, "--fidelities", "2,6"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


def results(root: str = "runs") -> list[Result]:
    return read_archive(Path(root) / "t/search/archive.jsonl")[1]


def timeless(found: list[Result]) -> list[dict[str, Any]]:
    return [replace(result, spent={**result.spent, "seconds": 0}).to_row() for result in found]


def epochs_made() -> int:
    return sum(len(re.findall("^epoch ", log.read_text(), re.M)) for log in Path("runs/t/search/trials").glob("*.log"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_in_the_middle_of_trials_it_ends_the_same_and_pays_nothing_twice(workers: int) -> None:
    assert main([*SEARCH, "--root-path", "whole"]) == 0
    whole = results("whole")
    assert sum(result.spent["epochs"] for result in whole) == 4 * 2 + 2 * 4
    words = [*SEARCH, "--workers", str(workers)]
    moments: list[Callable[[], bool]] = [lambda: epochs_made() >= 3, lambda: epochs_made() >= 11]
    for number, reached in enumerate(moments):
        kill_once([*words, *(["--resume"] if number else [])], reached)
    assert main([*words, "--resume"]) == 0
    assert timeless(results()) == timeless(whole)
    assert epochs_made() <= 16 + workers * len(moments)  # the epoch that was running, of each process, at each kill
    assert not list(Path("runs/t/search/trials").glob("*.pt"))


def test_the_best_trial_is_a_start_of_a_retraining(capsys: pytest.CaptureFixture[str]) -> None:
    main(SEARCH)
    best = json.loads(Path("runs/t/search/best.json").read_text())
    kept = Path("runs/t/search/trials") / f"{'-'.join(map(str, best['architecture']))}.safetensors"
    network, about = load_network(kept)
    assert about["architecture"] == best["architecture"]
    assert about["val_accuracy"] == max(r.value("accuracy") for r in results() if r.fidelity["epochs"] == 6)
    again = [*PLACE, "--epochs", "1", "--lr", "1e-30", "--weight-decay", "0"]
    main_retrain([*again, "--init", "trial"])
    assert "starts from the weights of its trial" in capsys.readouterr().out
    moved, _ = load_network("runs/t/retrain/model.safetensors")
    for (name, before), after in zip(network.named_parameters(), moved.parameters(), strict=True):
        assert torch.allclose(before, after, atol=1e-6), name
    kept.unlink()
    with pytest.raises(UserError, match="no weights of this network in "):
        main_retrain([*again, "--init", "trial", "--overwrite"])


def test_a_plan_trains_nothing_and_writes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*SEARCH, "--plan"])
    assert "trainings  4, each judged after 6 epochs of training at most" in capsys.readouterr().out
    assert not list(here.iterdir())


def test_a_new_start_removes_the_trials(here: Path) -> None:
    main([*TRAINED, *RANDOM[:2], "--random-iteration", "1", "--epochs", "1"])
    mine = Path("runs/t/search/trials/notes.md")
    mine.with_name("1-1.md").write_text("of somebody else")
    main([*TRAINED, *RANDOM[:2], "--random-iteration", "1", "--epochs", "1", "--overwrite", "--random-seed", "7"])
    assert len({path.name.split(".")[0] for path in Path("runs/t/search/trials").glob("*.jsonl")}) == 1


def test_a_budget_of_epochs_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    main([*TRAINED, *RANDOM[:2], "--random-iteration", "9", "--epochs", "2", "--budget-epochs", "5"])
    assert [result.spent["epochs"] for result in results()] == [2, 2]


def test_a_budget_that_ends_before_the_last_fidelity(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is trained beyond it, to confirm or to keep: the best of the greatest fidelity is chosen."""
    main([*TRAINED, *RANDOM[:2], "--random-iteration", "9", "--fidelities", "1,9", "--budget-epochs", "3"])
    assert epochs_made() == 3
    best = json.loads(Path("runs/t/search/best.json").read_text())
    kept = [path.stem for path in Path("runs/t/search/trials").glob("*.safetensors")]
    assert "-".join(map(str, best["architecture"])) in kept
    greatest = max(result.value("accuracy") for result in results())
    assert {"-".join(map(str, r.architecture)) for r in results() if r.value("accuracy") == greatest} == {*kept}
    assert " after 1 epoch of training" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trainer", "plian"], "unknown trainer 'plian'; did you mean 'plain'"),
        (["--optimizer", "sdg"], "unknown optimizer 'sdg'"),
        (["--fidelities", "data=0.1;data=1"], "each says its epochs"),
        (["--fidelities", "epochs=1,width=2"], "width=2 must be above 0 and at most 1"),
        (["--fidelities", "2,5", "--epochs", "3"], "--epochs 3: the last fidelity has 5 epochs"),
        (["--fidelities", "2,5", "--warmup-epochs", "6"], "--warmup-epochs 6 must be at most --epochs 5"),
        (["--epochs", "3", "--budget-epochs", "2"], "2"),
        (["--eval-images", "5"], "--eval-images is for --evaluator supernet"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(here: Path, words: list[str], message: str) -> None:
    with pytest.raises(UserError) as raised:
        main([*TRAINED, *RANDOM, *words])
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not [path for path in here.rglob("*") if path.name in ("archive.jsonl", "best.json") and "2" not in words]


def test_a_ranking_trains_nothing() -> None:
    rows = [f"{' '.join(str((number + site) % 3) for site in range(8))},{60 + number}" for number in range(3)]
    Path("truth.csv").write_text("\n".join(["architecture,accuracy", *rows]) + "\n")
    with pytest.raises(UserError, match=r"--evaluator training is for search\.py"):
        rank([*PLACE, *DATA, *SPACE, "--evaluator", "training", "--truth", "truth.csv"])
