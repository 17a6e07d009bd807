"""Schedules against torch.optim.lr_scheduler, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, StepLR

from config_file.errors import UserError
from config_file.loader import load, parse, save
from tests.training import toy
from training.data import load_data
from training.optimizers import LEARNING_RATES, OPTIMIZERS
from training.options import RetrainOptions, TrainSupernetOptions
from training.recipe_options import TrainingOptions
from training.retrain import train_network
from training.schedules import SCHEDULES, make_schedule

EPOCHS, STEPS = 6, 5
TOTAL = EPOCHS * STEPS


def rates_of(**changes: Any) -> Callable[[int], float]:
    return make_schedule(TrainingOptions(**({"lr": 0.3, "epochs": EPOCHS} | changes)), STEPS)


def reference(make) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = make(optimizer)
    rates = []
    for _ in range(TOTAL):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("name", "make", "extra"),
    [
        ("cosine", lambda o: CosineAnnealingLR(o, TOTAL), {}),
        ("linear", lambda o: LinearLR(o, 1.0, 0.0, TOTAL), {}),
        ("step", lambda o: StepLR(o, 2 * STEPS, 0.3), {"decay_step": 2, "decay_ratio": 0.3}),
        ("step", lambda o: StepLR(o, TOTAL // 3, 0.1), {}),  # as --help says
        ("constant", lambda o: LinearLR(o, 1.0, 1.0, TOTAL), {}),
    ],
)
def test_schedule_is_torchs(name: str, make, extra) -> None:
    rate = rates_of(lr_scheduler=name, **extra)
    assert [rate(t) for t in range(TOTAL)] == pytest.approx(reference(make), abs=1e-12)


def test_warm_up_rises_linearly_and_the_schedule_spans_the_rest() -> None:
    rate = rates_of(warmup_epochs=2)
    warm_up = reference(lambda o: LinearLR(o, 1 / 10, 1.0, 9))
    assert [rate(t) for t in range(10)] == pytest.approx(warm_up[:10])
    rest = rates_of(epochs=EPOCHS - 2)
    assert [rate(t) for t in range(10, TOTAL)] == [rest(t) for t in range(TOTAL - 10)]


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_rates_stay_within_zero_and_the_highest(name: str) -> None:
    rate = rates_of(lr_scheduler=name, warmup_epochs=0.5, decay_step=1, decay_ratio=0.5)
    assert all(0 <= rate(t) <= 0.3 + 1e-12 for t in range(TOTAL))
    assert max(rate(t) for t in range(TOTAL)) == pytest.approx(0.3)


@pytest.mark.parametrize("epochs", [3, 7, 90])
def test_steps_without_numbers_drop_tenfold_at_every_third_of_the_training(epochs: int) -> None:
    rate = rates_of(lr_scheduler="step", epochs=epochs)
    every = round(epochs * STEPS / 3)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule = StepLR(optimizer, every, gamma=0.1)
    for step in range(epochs * STEPS):
        assert rate(step) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize(("optimizer", "rate"), [*LEARNING_RATES.items(), ("sgd", 0.045)])
def test_optimizers_have_rates_of_their_own_where_none_is_given(optimizer: str, rate: float, tmp_path: Path) -> None:
    def read(*words: str) -> TrainSupernetOptions:
        return parse(TrainSupernetOptions, ["--title", "a", "--optimizer", optimizer, *words], "train_supernet.py", "")

    own, asked = read(), read("--lr", "0.045")
    assert own.lr == read("--lr", "none").lr == rate
    assert asked.lr == 0.045
    for options in (own, asked):  # what is saved says whether it was asked for
        save(options, tmp_path / "config.yaml")
        assert load(TrainSupernetOptions, tmp_path / "config.yaml") == options
    assert replace(own, optimizer="adam").lr == LEARNING_RATES["adam"]
    assert replace(asked, optimizer="adam").lr == 0.045
    assert RetrainOptions(title="a", optimizer=optimizer).lr == (0.05 if optimizer == "sgd" else rate)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_learns_by_its_own_rate(optimizer: str, tmp_path: Path) -> None:
    settings = {"optimizer": optimizer, "lr": None, "train_on": "train", "train_portion": 0.8, "batch_size": 32}
    options = RetrainOptions(**(toy.SMALL | settings | {"title": "a", "epochs": 4}))
    spec = toy.toy_space().decode((1,) * 8)
    state = train_network(spec, load_data(options, 8), options)
    assert state.validation["val_accuracy"] > 0.3  # 0.1 by chance


def test_bad_names() -> None:
    with pytest.raises(UserError, match="did you mean 'cosine'"):
        rates_of(lr_scheduler="cosin")
