"""The checkpoint of the best validation: which it is, that it costs nothing, that an interruption changes nothing."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from config_file.errors import UserError
from deployment.weights import load_network
from tests.training import toy
from training import checkpoint as checkpoints
from training.options import RetrainOptions
from training.retrain import retrain_stage
from training.train_supernet import train_supernet

FIXED = "[2, 1, 0, 2, 1, 0, 2, 1]"


@pytest.fixture(autouse=True)
def _quiet_toy() -> None:
    toy.reset()


def options(root: Path, title: str, **changes: Any) -> RetrainOptions:
    """A training that soon gets worse: its best validation is not its last."""
    settings = {"architecture": FIXED, "train_on": "train", "validate_every": 1, "epochs": 5, "lr": 3.0}
    settings |= {"loss": "tests.training.toy:noisy_loss", "lr_scheduler": "constant", "train_portion": 0.8}
    return toy.retrain_options(root, title, **(settings | changes))


def state(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(folder / "checkpoints" / name, weights_only=True)["state"]
    return found


def validations(folder: Path) -> dict[int, float]:
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return {row["step"]: row["val_accuracy"] for row in rows if "val_accuracy" in row}


def test_the_best_is_the_state_after_the_best_validation(tmp_path: Path) -> None:
    folder = retrain_stage(options(tmp_path, "a"))
    best, last, seen = state(folder, "best.pt"), state(folder, "last.pt"), validations(folder)
    assert len(seen) == 5
    step = max(seen, key=lambda step: (seen[step], -step))
    assert step < last["step"]
    assert best["step"] == best["best"]["step"] == last["best"]["step"] == step
    assert best["validation"]["val_accuracy"] == last["best"]["val_accuracy"] == max(seen.values())
    result = json.loads((folder / "result.json").read_text())
    assert result["best_validation"] == last["best"]
    epoch = step * 5 // last["step"]
    text = (folder / "log.txt").read_text()
    assert f"best validation accuracy {100 * max(seen.values()):.2f} % after epoch {epoch}\n" in text


def test_it_is_kept_without_writing_a_state_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    save = torch.save
    monkeypatch.setattr(checkpoints.torch, "save", lambda *given: (written.append(1), save(*given)))
    folder = retrain_stage(options(tmp_path, "a"))
    assert len(written) == 5  # one per epoch, as without
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.pt", "last.pt"}


@pytest.mark.parametrize("call", [1, 20, 40, 60, 80])
def test_an_interruption_leaves_the_same_best(tmp_path: Path, call: int) -> None:
    straight = retrain_stage(options(tmp_path, "straight"))
    toy.reset(interrupt=call)
    with pytest.raises(KeyboardInterrupt):
        retrain_stage(options(tmp_path, "broken"))
    toy.reset()
    broken = retrain_stage(replace(options(tmp_path, "broken"), resume=True))
    for name in ("best.pt", "last.pt"):
        toy.same(state(straight, name), state(broken, name))


def test_a_kill_between_the_two_files_is_made_good(tmp_path: Path) -> None:
    straight = retrain_stage(options(tmp_path, "straight", epochs=1))
    (straight / "checkpoints" / "best.pt").unlink()
    (straight / "model.safetensors").unlink()
    best = retrain_stage(replace(options(tmp_path, "straight", epochs=1), resume=True)) / "checkpoints" / "best.pt"
    assert best.read_bytes() == best.with_name("last.pt").read_bytes()


def test_where_there_are_no_links_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    linked = state(retrain_stage(options(tmp_path, "a")), "best.pt")

    def refuse(*_: Any) -> None:
        raise OSError(os.strerror(95))

    monkeypatch.setattr(checkpoints.os, "link", refuse)
    toy.same(state(retrain_stage(options(tmp_path, "b")), "best.pt"), linked)


@pytest.mark.parametrize("changes", [{}, {"ema_decay": 0.5}])
def test_the_best_is_exported_where_that_is_asked_for(tmp_path: Path, changes: dict[str, Any]) -> None:
    last = retrain_stage(options(tmp_path, "last", **changes))
    best = retrain_stage(options(tmp_path, "best", export_checkpoint="best", **changes))
    for folder, name in ((last, "last.pt"), (best, "best.pt")):
        network, about = load_network(folder / "model.safetensors")
        saved = state(folder, name)
        weights = saved["average"] or saved["model"]
        toy.same(dict(network.state_dict()), {key: t.contiguous() for key, t in weights.items()})
        assert about["val_accuracy"] == pytest.approx(saved["validation"]["val_accuracy"])
    toy.same(state(last, "last.pt"), state(best, "last.pt"))  # the training is the same one
    assert "whose weights are handed in" in (best / "log.txt").read_text()


def test_without_a_validation_there_is_no_best(tmp_path: Path) -> None:
    folder = retrain_stage(options(tmp_path, "a", train_on="trainval", epochs=1))
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["last.pt"]
    with pytest.raises(UserError, match="--export-checkpoint best needs --train-on train"):
        options(tmp_path, "b", train_on="trainval", export_checkpoint="best")


def test_a_supernet_keeps_its_best_too(tmp_path: Path) -> None:
    folder = train_supernet(toy.supernet_options(tmp_path, epochs=3, validate_every=1, train_portion=0.8))
    seen, best = validations(folder), state(folder, "best.pt")
    assert best["validation"]["val_accuracy"] == max(seen.values())
    assert best["step"] in seen
