"""Schedules against torch.optim.lr_scheduler, step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, StepLR

from config_file.errors import UserError
from training.recipe_options import TrainingOptions
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


def test_bad_names() -> None:
    with pytest.raises(UserError, match="did you mean 'cosine'"):
        rates_of(lr_scheduler="cosin")
