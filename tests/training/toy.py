"""A supernet that trains in a second, and a loss of the user's own that can interrupt or spoil a training."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from supernet import SearchSpace, build_space
from tasks import CLASSIFICATION, Task
from training.losses import Loss, make_loss
from training.options import RetrainOptions, TrainSupernetOptions

SPACE = {"search_space": "nasbench_macro", "widths": (4, 4, 6, 8, 16)}
SMALL = SPACE | {
    "dataset": "digits", "resolution": 8, "train_portion": 0.2, "batch_size": 64, "epochs": 2, "threads": 1,
    "tensorboard": False, "lr": 0.1, "validate_every": 2,
}  # fmt: skip

NEVER = 10**9


@dataclass
class Script:
    """Events at the coming calls of `noisy_loss`."""

    calls: int = 0
    interrupt_at: int = NEVER
    nan_from: int = NEVER
    nan_until: int = NEVER


script = Script()


def noisy_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with random noise on the logits, Ctrl-C at call `interrupt_at`, NaN from one call to another."""
    script.calls += 1
    if script.calls == script.interrupt_at:
        os.kill(os.getpid(), signal.SIGINT)
    loss = F.cross_entropy(logits + 0.1 * torch.randn_like(logits), labels)
    return loss * float("nan") if script.nan_from <= script.calls <= script.nan_until else loss


def reset(interrupt: int = NEVER, nan: int = NEVER, until: int = NEVER) -> None:
    script.calls, script.interrupt_at, script.nan_from, script.nan_until = 0, interrupt, nan, until


def supernet_options(root: Path, title: str = "toy", **changes: Any) -> TrainSupernetOptions:
    return TrainSupernetOptions(title=title, root_path=str(root), **(SMALL | changes))


def retrain_options(root: Path, title: str = "toy", **changes: Any) -> RetrainOptions:
    return RetrainOptions(title=title, root_path=str(root), **(SMALL | changes))


def loss_of(name: str | None, task: Task = CLASSIFICATION, **changes: Any) -> Loss:
    """The loss of that name, as options ask for it."""
    return make_loss(retrain_options(Path("unused"), loss=name, **changes), task)


def toy_space(num_classes: int = 10) -> SearchSpace:
    return build_space("nasbench_macro", resolution=8, num_classes=num_classes, widths=(4, 4, 6, 8, 16))


def same(first: Any, second: Any, where: str = "") -> None:
    """Fail unless two nested states are equal bit for bit; seconds may differ."""
    assert type(first) is type(second), where
    if isinstance(first, dict):
        assert list(first) == list(second), where
        for key in first:
            if key != "seconds":
                same(first[key], second[key], f"{where}/{key}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), where
        for index, (a, b) in enumerate(zip(first, second, strict=True)):
            same(a, b, f"{where}/{index}")
    elif isinstance(first, Tensor):
        assert first.dtype == second.dtype, where
        assert torch.equal(first, second), where
    else:
        assert first == second, where
