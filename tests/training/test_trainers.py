"""Trainers: ours, and users' own with a teacher, in-place distillation, a second head, a controller."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch.nn import functional as F

from config_file.errors import UserError
from config_file.readers.json_text import read_jsonl
from deployment.weights import load_network
from tests.training import own_trainers, toy
from tests.training.own_trainers import Auxiliary, Broken, Controlled, Distilled, Given, Sandwich
from training import Context, Trainer
from training.cli import main_retrain, main_train_supernet
from training.loop import train_step
from training.supernet_file import load_supernet
from training.testing import TrainerSuite
from training.train_supernet import prepare_supernet, train_supernet
from training.trainers import NETWORK_TRAINERS, TRAINERS

OWN = "tests.training.own_trainers:"
TOY = [
    "--title", "toy", "--search-space", "nasbench_macro", "--widths", "4,4,6,8,16", "--dataset", "digits",
    "--resolution", "8", "--train-portion", "0.2", "--batch-size", "64", "--epochs", "2", "--threads", "1",
    "--no-tensorboard",
]  # fmt: skip


class TestUniform(TrainerSuite):
    def make(self, context: Context) -> Trainer:
        return TRAINERS["uniform"](context)


class TestBand(TestUniform):
    changes: ClassVar = {"info_metric": "params", "target_hc": 0.004, "min_hc": 0.002}


class TestFair(TrainerSuite):
    def make(self, context: Context) -> Trainer:
        return TRAINERS["fair"](context)


class TestDifferentiable(TrainerSuite):
    changes: ClassVar = {"sample_strategy": "differentiable"}

    def make(self, context: Context) -> Trainer:
        return TRAINERS[context.options.sample_strategy](context)


class TestGumbel(TestDifferentiable):
    changes: ClassVar = {"sample_strategy": "differentiable_gumbel", "target_hc": 0.02}


class TestPlain(TrainerSuite):
    network = True

    def make(self, context: Context) -> Trainer:
        return NETWORK_TRAINERS["plain"](context)


class TestSandwich(TrainerSuite):
    def make(self, context: Context) -> Trainer:
        return Sandwich(context)

    def test_its_gradient_is_that_of_the_whole_written_down(self) -> None:
        trainer, x, y = self._start()
        model = trainer.context.supernet.double()
        x = x.double()
        step = trainer.step(4)
        for run in step.passes:
            run(x, y)[0].backward()
        ours = [p.grad.clone() for p in step.parameters]
        for p in step.parameters:
            p.grad = None
        teacher, *others = [model(x, path).float() for path in trainer.paths(4)]
        soft = teacher.detach().softmax(1)
        whole = F.cross_entropy(teacher, y, label_smoothing=0.1)
        whole = whole + sum(-(soft * outputs.log_softmax(1)).sum(1).mean() for outputs in others)
        whole.backward()
        for grad, p in zip(ours, step.parameters, strict=True):
            torch.testing.assert_close(grad, p.grad, rtol=1e-4, atol=1e-6)


class TestDistilled(TrainerSuite):
    def make(self, context: Context) -> Trainer:
        return Distilled(context)

    def test_its_teacher_stays_as_it_is(self) -> None:
        recipe, state = self._training()
        before = [p.clone() for p in recipe.trainer.teacher.parameters()]
        for x, y in self._batches(recipe, 2):
            train_step(recipe, state, x, y)
        assert all(map(torch.equal, recipe.trainer.teacher.parameters(), before))
        assert all(p.grad is None for p in recipe.trainer.teacher.parameters())


class TestDistilledNetwork(TestDistilled):
    network = True


class TestAuxiliary(TrainerSuite):
    network = True

    def make(self, context: Context) -> Trainer:
        return Auxiliary(context)

    def test_the_head_is_trained_too(self) -> None:
        recipe, state = self._training()
        before = [p.clone() for p in recipe.trainer.parameters()]
        ((x, y),) = self._batches(recipe, 1)
        train_step(recipe, state, x, y)
        assert not any(map(torch.equal, recipe.trainer.parameters(), before))


class TestControlled(TrainerSuite):
    def make(self, context: Context) -> Trainer:
        return Controlled(context)


# ---- through the command line to the end ----------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs" / "toy"


@pytest.mark.parametrize("name", ["Sandwich", "Distilled", "Controlled"])
def test_a_supernet_is_trained_by_a_trainer_of_the_users_own(here: Path, name: str) -> None:
    main_train_supernet([*TOY, "--sample-strategy", OWN + name])
    info = load_supernet(here / "supernet").info
    made = getattr(own_trainers, name)
    assert info["train"]["sample_strategy"] == OWN + name
    assert info["train"]["paths_per_step"] == made.passes_per_step
    losses = [row["loss"] for row in read_jsonl(here / "supernet" / "metrics.jsonl") if "loss" in row]
    assert losses[1] < losses[0]
    log = (here / "supernet" / "log.txt").read_text()
    assert ("a controller of 24 parameters" in log) == (name == "Controlled")
    assert ("the controller prefers" in log) == (name == "Controlled")


@pytest.mark.parametrize("name", ["Distilled", "Auxiliary"])
def test_a_network_is_trained_by_a_trainer_of_the_users_own(here: Path, name: str) -> None:
    main_retrain([*TOY, "--architecture", "random", "--trainer", OWN + name])
    network, about = load_network(here / "retrain" / "model.safetensors")
    assert about["train"]["trainer"] == OWN + name
    assert sum(p.numel() for p in network.parameters()) == about["params"]  # the second head is not part of it
    assert 0 <= json.loads((here / "retrain" / "result.json").read_text())["test_accuracy"] <= 1


def test_an_option_of_its_own_is_a_flag_and_belongs_to_the_course_of_the_training(here: Path) -> None:
    own = [*TOY, "--sample-strategy", OWN + "Distilled", "--kd-share", "0.9"]
    main_train_supernet(own)
    assert load_supernet(here / "supernet").info["train"]["kd_share"] == 0.9
    (here / "supernet" / "supernet.json").unlink()
    with pytest.raises(UserError, match=r"was trained with --kd-share 0\.9, not 0\.1"):
        main_train_supernet([*own[:-1], "0.1", "--resume"])
    with pytest.raises(UserError, match="--kd-share"):
        main_train_supernet([*TOY, "--kd-share", "0.9"])


def test_the_loss_that_is_reported_is_that_of_the_passes(tmp_path: Path) -> None:
    job = prepare_supernet(toy.supernet_options(tmp_path, sample_strategy=OWN + "Distilled"))
    x, y = next(job.recipe.batches(0))
    (learn,) = job.trainer.step(0).passes
    expected = float(learn(x, y)[0].detach())
    job = prepare_supernet(toy.supernet_options(tmp_path, sample_strategy=OWN + "Distilled"))
    train_step(job.recipe, job.state, x, y)
    loss, _, images = job.state.totals.read()
    assert loss / images == pytest.approx(expected)


# ---- what is wrong with it is one line ------------------------------------------------------------------------------


def test_an_unknown_trainer_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'uniform'"):
        prepare_supernet(toy.supernet_options(tmp_path, sample_strategy="unifrom"))


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([(0,) * 8], r"as many architectures as its paths_per_step says \(2\)"),
        (None, "not None"),
        ([(0,) * 8, (9,) * 8], r"\(9, 9.* is not an architecture of .* a tuple of 8 indices"),
        ([(0,) * 8, "k3e3"], "'k3e3' is not an architecture"),
    ],
)
def test_a_sampler_of_the_users_own_is_held_to_what_a_sampler_is(tmp_path: Path, paths, message) -> None:
    options = toy.supernet_options(tmp_path, sample_strategy=OWN + "sampled")
    Given.given = [(0,) * 8, (1,) * 8]
    trainer = prepare_supernet(options).trainer
    assert len(trainer.step(3).passes) == 2
    Given.given = paths
    with pytest.raises(UserError, match=message):
        trainer.step(4)
    with pytest.raises(UserError, match=message):
        prepare_supernet(options)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "a pass gave a NoneType; it must give"),
        (torch.zeros(()), "a pass gave a Tensor; it must give"),
        ((torch.zeros(3, requires_grad=True), torch.zeros(3)), r"a loss of shape \(3,\)"),
        ((torch.zeros(()), torch.zeros(3)), r"of shape \(\) without gradient"),
        (KeyError("teacher"), r"raised KeyError: 'teacher' \(.*own_trainers\.py, line \d+\)"),
    ],
)
def test_a_pass_is_held_to_what_a_pass_is(tmp_path: Path, answer, message) -> None:
    Broken.answer = answer
    with pytest.raises(UserError, match=message) as caught:
        train_supernet(toy.supernet_options(tmp_path, sample_strategy=OWN + "Broken"))
    assert "\n" not in str(caught.value)


def test_a_trainer_that_was_entered_is_held_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRAINERS, "broken", Broken)
    Broken.answer = KeyError("teacher")
    with pytest.raises(UserError, match=r"own_trainers:broken' raised KeyError: 'teacher' \(.*, line \d+\)"):
        train_supernet(toy.supernet_options(tmp_path, sample_strategy="broken"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_trainer", "made a tuple, not a training.Trainer"),
        ("Stepless", "abstract method"),
        ("nothing", "has no 'nothing'"),
    ],
)
def test_what_makes_no_trainer_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepare_supernet(toy.supernet_options(tmp_path, sample_strategy=OWN + name))


def test_limits_that_a_trainer_does_not_keep_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not of .*:Sandwich"):
        prepare_supernet(toy.supernet_options(tmp_path, sample_strategy=OWN + "Sandwich", target_hc=1.0))
