"""Trainings on a real GPU against the CPU: `benchmarks/gpu.py` runs them with all other tests marked `gpu`."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from config_file.ranks import number
from tests.training import pair, toy
from tests.training.pretended_gpu import GPU, OnGpu, PretendedGpu, needs_gpu
from tests.training.test_distributed import tensors
from tests.training.test_gpu_steps import CASES, WAITS, settings, training
from training.checkpoint import Checkpoint
from training.data import Data, load_data
from training.device import choose_device, prepare_device
from training.loop import train_step
from training.recipe import Recipe
from training.state import TrainingState
from training.train_supernet import prepare_supernet

CPU = torch.device("cpu")
OWN_FILES = {"pose", "teacher", "distillation"}  # of the cases, which need more than options
MIXED = 0.05
"""Relative distance of the losses of bfloat16 from those of float32, at most, mean over some steps."""


@pytest.fixture(autouse=True)
def _prepared() -> Iterator[None]:
    if torch.cuda.is_available():
        prepare_device(choose_device("cuda:0"), 0)
    yield
    if torch.cuda.is_available():
        torch.cuda.set_sync_debug_mode("default")


@pytest.fixture(scope="module")
def data() -> Data:
    return load_data(settings(network=False, train_portion=0.5), 8)


def losses(data: Data, device: torch.device, count: int, **changes: Any) -> list[float]:
    """The loss of each of some steps."""
    recipe, state = training(settings(network=False, batch_size=64, **changes), data, device, False)
    found = []
    for x, y in (batch for batch, _ in zip(recipe.batches(0), range(count), strict=False)):
        before = state.totals.sums.clone()
        train_step(recipe, state, x, y)
        found.append((state.totals.sums - before)[0] / len(y))
    return torch.stack(found).tolist()


def test_a_gpu_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is named is the current one, whose generator steps seed; float32 is no TF32."""
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    prepare_device(torch.device("cuda", 1), 0)
    assert current == [torch.device("cuda", 1)]
    assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.benchmark


@needs_gpu
@pytest.mark.parametrize("name", [name for name in CASES if name not in OWN_FILES])
def test_a_step_waits_for_nothing(name: str, data: Data) -> None:
    network, changes = CASES[name]
    recipe, state = training(settings(network, **changes), data, GPU, network)
    batches = recipe.batches(0)
    train_step(recipe, state, *next(batches))
    allowed = WAITS.get(name, ((), 0))[1]
    torch.cuda.set_sync_debug_mode("warn" if allowed else "error")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        train_step(recipe, state, *next(batches))
    torch.cuda.set_sync_debug_mode("default")
    assert sum("synchronizing" in str(warning.message) for warning in found) <= allowed


@needs_gpu
def test_float32_is_that_of_the_cpu(data: Data) -> None:
    there, here = losses(data, GPU, 5), losses(data, CPU, 5)
    assert there[0] == pytest.approx(here[0], rel=1e-5)
    assert there == pytest.approx(here, rel=2e-3)


@needs_gpu
def test_bfloat16_follows_float32(data: Data) -> None:
    mixed, plain = losses(data, GPU, 10, amp="bf16"), losses(data, GPU, 10)
    assert mixed != plain
    assert sum(abs(a - b) / b for a, b in zip(mixed, plain, strict=True)) / len(plain) <= MIXED


# ---- checkpoints


def after(recipe: Recipe, state: TrainingState, first: int, last: int) -> TrainingState:
    for _, (x, y) in zip(range(first, last), recipe.batches(0, first), strict=False):
        train_step(recipe, state, x, y)
    return state


def on_the_cpu(value: Any) -> Any:
    """A state as it is read from a file."""
    if isinstance(value, Tensor):
        return value.inner.clone() if isinstance(value, OnGpu) else value.cpu().clone()
    if isinstance(value, dict):
        return {key: on_the_cpu(item) for key, item in value.items()}
    return [on_the_cpu(item) for item in value] if isinstance(value, list) else value


def moved(data: Data, first: torch.device, second: torch.device, file: Path | None, **changes: Any) -> tuple[Any, Any]:
    """The states of a training that moves from one device to another after two of four steps, and of one that stays."""
    options = settings(network=False, batch_size=64, **changes)
    recipe, state = training(options, data, first, False)
    after(recipe, state, 0, 2)
    other, resumed = training(options, data, second, False)
    if file is None:
        resumed.load_state_dict(on_the_cpu(state.state_dict()))
    else:
        checkpoint = Checkpoint(file, "supernet", "", {})
        checkpoint.save(state)
        checkpoint.load_into(resumed)
    straight = after(*training(options, data, CPU, False), 0, 4)
    return on_the_cpu(after(other, resumed, 2, 4).state_dict()), on_the_cpu(straight.state_dict())


MOVED = ("sgd", "adam", "differentiable_gumbel")


def alike(found: Any, expected: Any, tolerance: float) -> None:
    """The same number of steps on the same state of the optimizer, whose losses are about the same."""
    # Not weights: adam makes a whole step of a gradient that is zero but for rounding.
    assert found["step"] == expected["step"] == 4
    assert found["totals"]["images"] == expected["totals"]["images"]
    torch.testing.assert_close(found["totals"]["sums"][0], expected["totals"]["sums"][0], rtol=tolerance, atol=0)
    first, second = tensors(found["optimizer"]), tensors(expected["optimizer"])
    assert first.keys() == second.keys()
    assert all(torch.equal(first[place], second[place]) for place in first if place.endswith("step"))


def changes_of(name: str) -> dict[str, Any]:
    return {"sample_strategy": name} if name.startswith("differentiable") else {"optimizer": name, "lr": 1e-3}


@pytest.mark.parametrize(("name", "there"), [("adam", True), ("differentiable_gumbel", False)])
def test_a_checkpoint_moves_between_the_cpu_and_a_pretended_gpu(name: str, there: bool, data: Data) -> None:
    devices = (CPU, GPU) if there else (GPU, CPU)
    with PretendedGpu():
        alike(*moved(data, *devices, None, **changes_of(name)), 1e-4)


@needs_gpu
@pytest.mark.parametrize("name", MOVED)
@pytest.mark.parametrize("there", [True, False])
def test_a_checkpoint_moves_between_devices(name: str, there: bool, data: Data, tmp_path: Path) -> None:
    devices = (CPU, GPU) if there else (GPU, CPU)
    alike(*moved(data, *devices, tmp_path / "last.pt", **changes_of(name)), 5e-3)


# ---- memory, ranks


@needs_gpu
def test_a_training_gives_its_memory_back(data: Data) -> None:
    losses(data, GPU, 2)  # the images stay
    gc.collect()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    for _ in range(3):
        losses(data, GPU, 2, sample_strategy="differentiable_gumbel")
    gc.collect()
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() <= before + (1 << 20)


def on_a_rank(folder: Path) -> None:
    """The part of this file that runs on every rank."""
    folder.mkdir(exist_ok=True)
    prepared = prepare_supernet(toy.supernet_options(folder / str(number()), device="cuda", amp="off", sync_bn=True))
    recipe, state = prepared.recipe, prepared.state
    for (x, y), _ in zip(recipe.batches(0), range(3), strict=False):
        train_step(recipe, state, x, y)
    torch.save(on_the_cpu(state.state_dict())["model"], folder / f"{number()}.pt")


@needs_gpu
def test_ranks_of_as_many_gpus_train_what_one_trains(tmp_path: Path) -> None:
    """By NCCL: with one GPU, a group of one."""
    count = min(2, torch.cuda.device_count())
    pair.run("tests.training.test_cuda:on_a_rank", tmp_path, count)
    on_a_rank(tmp_path / "alone")
    alone = torch.load(tmp_path / "alone" / "0.pt", weights_only=True)
    for rank in range(count):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for place, value in tensors(alone).items():
            torch.testing.assert_close(tensors(found)[place], value, rtol=5e-3, atol=5e-3, msg=place)
