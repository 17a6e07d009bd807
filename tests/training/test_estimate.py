"""First estimates of time, which leave what they time as it was, and plans that touch neither network nor disk."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import pytest
import torch

from config_file.errors import UserError
from tests.training import toy
from training import estimate, stage
from training.cli import main_train_supernet
from training.estimate import IMAGES, duration, extrapolated, warning
from training.train_supernet import train_supernet

CPU = torch.device("cpu")


class Clock:
    """A clock that only work moves: `fixed` seconds for every run, and `each` per image."""

    def __init__(self, fixed: float, each: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.fixed, self.each, self.sizes = 0.0, fixed, each, list[int]()
        monkeypatch.setattr(estimate.time, "perf_counter", lambda: self.now)

    def run(self, images: int) -> None:
        self.sizes.append(images)
        self.now += self.fixed + self.each * images


@pytest.mark.parametrize(("fixed", "each", "images"), [(0.0, 0.01, 1000), (0.01, 0.01, 1000), (0.05, 0.002, 16)])
def test_the_line_through_two_sizes(fixed: float, each: float, images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(fixed, each, monkeypatch)
    assert extrapolated(clock.run, images, CPU, budget=100) == pytest.approx(fixed + each * images)
    assert max(clock.sizes) == min(images, IMAGES)


def test_it_ends_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(0.0, 0.25, monkeypatch)
    assert extrapolated(clock.run, 1000, CPU, budget=3) == pytest.approx(250)
    assert clock.now <= 6
    assert clock.sizes == [2, 2, 2]


def test_a_stumble_does_not_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """One slow run of a size is left out, and what an image adds is at most its share of a run."""
    clock = Clock(0.0, 0.001, monkeypatch)

    def run(images: int) -> None:
        clock.run(images)
        if len(clock.sizes) % 2:
            clock.now += 5

    assert extrapolated(run, 128, CPU, budget=1000) == pytest.approx(0.128)


def test_a_long_run_is_said_and_another_is_not() -> None:
    assert warning(86399) is None
    assert "about 7.3 days on this machine" in (warning(7.3 * 86400) or "")
    assert [duration(s) for s in (0.5, 42, 600, 9000)] == ["0.5 s", "42 s", "10 min", "2.5 h"]


@pytest.mark.parametrize("strategy", ["fair", "differentiable_gumbel"])
def test_the_training_is_the_same_with_an_estimate_before_it(
    strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def weights(title: str) -> bytes:
        options = toy.supernet_options(tmp_path, title=title, epochs=1, sample_strategy=strategy)
        return (train_supernet(options) / "supernet.safetensors").read_bytes()

    expected = weights("plain")
    assert "long  " not in capsys.readouterr().out
    monkeypatch.setattr(stage, "MANY", 0)
    monkeypatch.setattr(estimate, "LONG", 0.0)
    assert weights("estimated") == expected
    lines = capsys.readouterr().out.splitlines()
    (before,) = [i for i, line in enumerate(lines) if re.match(r"long       about \S+ \w+ on this machine", line)]
    assert any("trained" in line for line in lines[before:])


def _no_network(*_: Any, **__: Any) -> None:
    raise AssertionError("a plan does not touch the network")


@pytest.mark.parametrize(("data_set", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_a_plan_downloads_nothing(
    data_set: str, classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket, "create_connection", _no_network)
    monkeypatch.setattr(socket.socket, "connect", _no_network)
    words = ["--title", "z", "--dataset", data_set, "--download", "--pretrained", "torchvision", "--plan"]
    words += ["--search-space", "mobilenetv2", "--widths", "8" + 7 * ",8,16" + ",8", "--plan-seconds", "0"]
    main_train_supernet(words)
    text = capsys.readouterr().out
    assert f"40,000 train, 10,000 validation, 10,000 test images, {classes} classes, 32 px" in text
    assert "first estimate" in text
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="--download"):
        main_train_supernet([word for word in words if word != "--download"])


def test_more_time_times_whole_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--title", "z", "--root-path", str(tmp_path), "--search-space", "nasbench_macro", "--epochs", "1"]
    words += ["--widths", "4,4,6,8,16", "--resolution", "8", "--batch-size", "32", "--plan"]
    main_train_supernet([*words, "--plan-seconds", "60"])
    assert "median of 7 timed steps" in capsys.readouterr().out
    main_train_supernet([*words, "--plan-seconds", "0"])
    assert "1 epoch x" in (text := capsys.readouterr().out)
    assert re.search(r"a first estimate, from a few images; --plan-seconds \d+ times whole steps", text)
    with pytest.raises(UserError, match="--plan-seconds is for --plan only"):
        main_train_supernet([*words[:-1], "--plan-seconds", "60"])
