"""ENAS: the controller learns from rewards, in turns with the weights, and search ranks what it draws."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from config_file.errors import UserError
from config_file.readers.json_text import read_jsonl
from search.cli import main as search
from search.testing.toy import toy_accuracy, toy_space
from supernet import Decision
from supernet.decisions import DecisionSpace
from training import Context, Trainer
from training.cli import main_train_supernet
from training.controller import EnasOptions, PolicyLearner
from training.controller_file import load_controller, save_controller
from training.testing import TrainerSuite, equal
from training.trainers import TRAINERS

SPACE = toy_space()


class TestEnas(TrainerSuite):
    changes: ClassVar = {"sample_strategy": "enas", "enas_samples": 2, "enas_portion": 0.5, "enas_replay": 2}

    def make(self, context: Context) -> Trainer:
        return TRAINERS["enas"](context)


class TestStepsOfTheController(TestEnas):
    """More than one sample per step of the weights, of a controller without memory."""

    changes: ClassVar = {
        "sample_strategy": "enas", "enas_samples": 3, "enas_steps": 4, "enas_warmup_epochs": 0.5, "enas_controller":
        "factorised",
    }  # fmt: skip

    def test_samples_are_spread_over_the_steps_behind_the_warmup(self) -> None:
        trainer, *_ = self._start()
        per_epoch = trainer.context.steps_per_epoch
        warm = round(0.5 * per_epoch)
        assert trainer._due(warm) == 0
        assert trainer._due(warm + per_epoch) == 12
        gaps = np.diff([trainer._due(warm + step) for step in range(per_epoch + 1)])
        assert gaps.max() - gaps.min() <= 1


def learner(seed: int = 0, space: DecisionSpace = SPACE, **changes: Any) -> PolicyLearner:
    settings = {"enas_lr": 0.02, "enas_baseline": 0.9, "enas_samples": 5} | changes
    return PolicyLearner(space, EnasOptions(**settings), seed)


def taught(made: PolicyLearner, samples: int, start: int = 0) -> PolicyLearner:
    for number in range(start, start + samples):
        drawn = made.draw("controller", number)
        made.reward(drawn, toy_accuracy(made.space.canonical(drawn)))
    return made


def mean_of(made: PolicyLearner, draws: int = 60) -> float:
    drawn = [made.space.canonical(made.draw("judged", number)) for number in range(draws)]
    return float(np.mean(list(map(toy_accuracy, drawn))))


@pytest.mark.parametrize("changes", [{}, {"enas_replay": 10}, {"enas_controller": "factorised", "enas_lr": 0.2}])
def test_the_controller_beats_uniform_sampling(changes: dict[str, Any]) -> None:
    rng = Random(0)
    uniform = np.mean([toy_accuracy(SPACE.canonical(SPACE.sample(rng))) for _ in range(300)])
    untaught = mean_of(learner(**changes))
    assert abs(untaught - uniform) < 0.1
    assert mean_of(taught(learner(**changes), 150)) > uniform + 0.25


def test_one_update_is_the_formula_of_the_paper() -> None:
    """Against the gradient of sum (R - b) log p(a) + w H - s KL, written down with the probabilities themselves."""
    sizes = (2, 3)
    space = DecisionSpace("plain", (Decision("c", ("none", "skip")), Decision("op", ("a", "b", "c"))))
    made = learner(space=space, enas_controller="factorised", enas_samples=2, enas_entropy=0.3, enas_skip_weight=0.7)
    logits = made.controller.logits.detach().clone().requires_grad_()
    drawn, rewards = [made.draw("controller", number) for number in range(2)], [0.2, 0.9]
    baselines = [0.2, 0.9 * 0.2 + 0.1 * 0.9]
    gain = torch.zeros(())
    rows = [torch.softmax(logits[d, :size], 0) for d, size in enumerate(sizes)]
    for architecture, reward, baseline in zip(drawn, rewards, baselines, strict=True):
        log_probability = sum(row[option].log() for row, option in zip(rows, architecture, strict=True))
        gain = gain + (reward - baseline) * log_probability / 2
    gain = gain - 0.3 * sum((row * row.log()).sum() for row in rows)
    gain = gain - 0.7 * (rows[0][0] * (rows[0][0] / 0.6).log() + rows[0][1] * (rows[0][1] / 0.4).log())
    (expected,) = torch.autograd.grad(-gain, logits)
    kept: list[torch.Tensor] = []
    step = made.optimizer.step

    def noted() -> None:
        kept.append(made.controller.logits.grad.clone())
        step()

    made.optimizer.step = noted  # type: ignore[method-assign]
    for architecture, reward in zip(drawn, rewards, strict=True):
        made.reward(architecture, reward)
    torch.testing.assert_close(kept[0], expected)


def test_what_does_not_matter_gets_no_gradient() -> None:
    made = learner(enas_samples=1, enas_entropy=0.0)
    shallow = (0, 1, 2, 2, 2)  # of one layer: the choices of the others do not matter
    made.baseline = 0.0
    before = [head.weight.detach().clone() for head in made.controller.heads]
    made.reward(shallow, 1.0)
    moved = [not torch.equal(head.weight, was) for head, was in zip(made.controller.heads, before, strict=True)]
    assert moved == [True, True, False, False, False]


def test_connections_are_drawn_to_their_target() -> None:
    space = DecisionSpace("skips", tuple(Decision(f"s{i}", ("none", "skip")) for i in range(6)))
    made = learner(space=space, enas_skip_target=0.2, enas_samples=2)
    for number in range(120):
        made.reward(made.draw("controller", number), 0.5)
    drawn = np.array([made.draw("judged", number) for number in range(100)])
    assert drawn.mean() == pytest.approx(0.2, abs=0.06)


def test_replay_learns_from_what_was_drawn_before() -> None:
    short, long = (taught(learner(enas_replay=replay, enas_samples=2), 6) for replay in (0, 3))
    assert len(short._replay) == 0
    assert len(long._replay) == 3
    assert not equal(short.controller.state_dict(), long.controller.state_dict())


# ---- from the command line

TOY = [
    "--title", "toy", "--search-space", "nasbench_macro", "--widths", "4,4,6,8,16", "--dataset", "digits",
    "--resolution", "8", "--train-portion", "0.2", "--batch-size", "64", "--epochs", "2", "--threads", "1",
    "--no-tensorboard",
]  # fmt: skip
SEARCH = [
    "--title", "toy", "--search-strategy", "controller", "--controller-samples", "6", "--eval-images", "60",
    "--calibration-images", "64", "--threads", "1", "--no-tensorboard",
]  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs" / "toy"


def test_train_then_search_by_samples_of_the_controller(here: Path) -> None:
    main_train_supernet([*TOY, "--sample-strategy", "enas", "--enas-samples", "4", "--lr", "0.1"])
    log = (here / "supernet" / "log.txt").read_text()
    assert "controller: lstm of" in log
    assert "updates, entropy" in log
    rows = [row for row in read_jsonl(here / "supernet" / "metrics.jsonl") if "reward" in row]
    assert len(rows) == 2
    assert all(0 <= row["reward"] <= 1 and row["controller_entropy"] > 0 for row in rows)
    assert search(SEARCH) == 0
    best = json.loads((here / "search" / "best.json").read_text())
    assert best["search"]["strategy"] == "controller"
    kept = [row for row in read_jsonl(here / "search" / "archive.jsonl") if "architecture" in row]
    assert len({tuple(row["architecture"]) for row in kept}) == 6


def test_a_supernet_without_a_controller_is_refused(here: Path) -> None:
    main_train_supernet([*TOY, "--epochs", "1"])
    with pytest.raises(UserError, match=r"has no controller\.safetensors: its supernet was not trained with"):
        search(SEARCH)


def test_flags_of_the_controller_are_for_enas(here: Path) -> None:
    with pytest.raises(UserError, match="--enas-lr is for --sample-strategy enas, not for uniform"):
        main_train_supernet([*TOY, "--enas-lr", "0.1"])
    with pytest.raises(UserError, match=r"--enas-baseline must be at least 0 and below 1"):
        main_train_supernet([*TOY, "--sample-strategy", "enas", "--enas-baseline", "1"])
    with pytest.raises(UserError, match=r"unknown controller 'lstn'.*lstm"):
        main_train_supernet([*TOY, "--sample-strategy", "enas", "--enas-controller", "lstn"])


def test_a_controller_is_read_as_it_was_written_and_nothing_else_is(tmp_path: Path) -> None:
    made = taught(learner(), 10)
    save_controller(tmp_path, SPACE, "lstm", made.controller, {"updates": made.updates})
    assert equal(load_controller(tmp_path, SPACE).state_dict(), made.controller.state_dict())
    with pytest.raises(UserError, match="with other decisions than this"):
        load_controller(tmp_path, toy_space(layers=3))
