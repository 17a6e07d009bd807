"""Steps on a GPU that is pretended: nothing waits for it, pixels and weights are those of the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from supernet import Network, Supernet, build_space
from supernet.relaxations import RELAXATIONS
from tests.training.pretended_gpu import GPU, OnGpu, PretendedGpu
from training.data import Data, load_data
from training.data.synthetic_landmarks import write_faces
from training.initialise import initialise
from training.loop import train_step
from training.optimizers import OPTIMIZERS
from training.options import RetrainOptions, TrainSupernetOptions
from training.recipe import Recipe
from training.state import TrainingState, make_context, make_state
from training.testing import TINY
from training.trainers import AROUND, NETWORK_TRAINERS, TRAINERS, find_network_trainer, trainer_of
from training.trainers.teacher import Teacher

CPU = torch.device("cpu")
KERNELS = {"search_space": "single_path", "widths": (4, 4, 4, 8, 8, 8, 8, 8, 16), "depths": (1, 1, 1, 1, 1, 1)}
READ = ("tolist() at supernet/relaxations/parameters.py", "tolist() at supernet/relaxations/estimators.py")

WAITS = {
    "differentiable": (READ, 3),
    "enas": (("tolist() at training/trainers/enas.py",), 1),
    **dict.fromkeys(("gumbel_hard", "binary", "binary_two", "binary_full"), (READ, 3)),
    "reinforce": (READ, 6),  # --a-paths of them
    "thresholds_soft": (("cpu() at supernet/relaxations/thresholds.py",), 3),
    "skip": (("bool() at training/faults.py",), 1),
}
"""What has to wait, where, and how often in a step: the host runs the options that were drawn from what is learned on
the device; a controller that lives on the host is told its reward; a step is left out that the host must know of.
Anything that is not here waits for nothing.
"""


def settings(network: bool, **changes: Any) -> Any:
    options = TINY | {"amp": "off", "batch_size": 8} | changes
    return (RetrainOptions if network else TrainSupernetOptions)(**options)


@pytest.fixture(scope="module")
def data() -> Data:
    return load_data(settings(network=False), 8)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data") / "faces"
    write_faces(folder, 12, side=16)
    for path in (folder / part / "list.txt" for part in ("train_data", "test_data")):
        path.write_text("".join(f"{' '.join(line.split()[:213])} 0 0 0 0 0 0 1 2 3\n" for line in path.open()))
    return str(folder)


def training(options: Any, data: Data, device: torch.device, network: bool) -> tuple[Recipe, TrainingState]:
    sizes = {name: getattr(options, name) for name in ("widths", "depths") if getattr(options, name)}
    space = build_space(options.search_space, resolution=data.resolution, num_classes=len(data.classes), **sizes)
    model = Network(space.decode(tuple(size - 1 for size in space.sizes))) if network else Supernet(space)
    initialise(model, 1)
    context = make_context(options, data, data.train, model, device)
    trainer = (find_network_trainer if network else trainer_of)(options)(context)
    return Recipe(trainer), make_state(trainer, options.ema_decay if network else 0)


def steps(options: Any, data: Data, device: torch.device, network: bool, count: int = 2) -> Iterator[TrainingState]:
    recipe, state = training(options, data, device, network)
    for number in range(count):
        epoch, position = divmod(number, recipe.steps_per_epoch)
        train_step(recipe, state, *next(recipe.batches(epoch, position)))
        yield state


def waits(options: Any, data: Data, network: bool) -> list[str]:
    """Where the second step waits; the first one copies the images to the device, among others."""
    with PretendedGpu() as gpu:
        for number, state in enumerate(steps(options, data, GPU, network)):
            assert all(isinstance(p, OnGpu) for p in state.model.parameters())
            if number == 0:
                gpu.waits.clear()
        return list(gpu.waits)


def check(name: str, found: list[str]) -> None:
    where, most = WAITS.get(name, ((), 0))
    assert all(line.startswith(where) for line in found), found
    assert len(found) <= most, found


CASES: dict[str, tuple[bool, dict[str, Any]]] = {
    **{name: (False, {"sample_strategy": name}) for name in TRAINERS},
    "enas": (False, {"sample_strategy": "enas", "enas_samples": 2}),
    **{name: (True, {"trainer": name}) for name in NETWORK_TRAINERS},
    **{name: (False, {name: {"elastic_resolution": "6,8"}.get(name, "file")}) for name in AROUND},
    **{name: (True, {"optimizer": name, "cutout": 3, "flip": True}) for name in OPTIMIZERS},
    **{
        name: (False, {"sample_strategy": "differentiable", "relaxation": name})
        for name in RELAXATIONS
        if name not in ("binary_two", "gumbel", "thresholds", "thresholds_soft")  # two are trainers' own
    },
    **{
        name: (False, {"sample_strategy": "differentiable", "relaxation": name} | KERNELS)
        for name in ("thresholds", "thresholds_soft")
    },
    "skip": (False, {"on_nan": "skip"}),
    "second order": (False, {"sample_strategy": "differentiable_gumbel", "a_order": 2}),
    "hard limit": (False, {"sample_strategy": "differentiable_gumbel", "target_hc": 1.0, "hc_mode": "constrained"}),
    "head and dropped paths": (True, {"auxiliary": "head", "drop_path": 0.2, "epochs": 9, "ema_decay": 0.9}),
    "pieces": (False, {"accumulate": 2, "clip_grad_norm": 1.0}),
    "recomputed": (False, {"sample_strategy": "differentiable_gumbel", "recompute": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_step_waits_for_nothing(name: str, data: Data, faces: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, changes = CASES[name]
    if name == "pose":
        changes = changes | {"dataset": "landmarks", "data_path": faces, "search_space": "pfld", "widths": None}
        changes |= {"train_portion": 0.8, "batch_size": 4, "resolution": 16}
        data = load_data(settings(network, **changes), 16)
    if name in ("teacher", "distillation"):
        changes = changes | {"teacher": "file"}
        teach = build_space("nasbench_macro", resolution=8, num_classes=10, widths=(4, 4, 6, 8, 16)).decode((1,) * 8)

        def read(_: str, data: Data, device: torch.device) -> Teacher:
            return Teacher("a", Network(teach), {}, data, device, "sha256")

        for place in ("taught", "distillation"):
            monkeypatch.setattr(f"training.trainers.{place}.read_teacher", read)
    check(name, waits(settings(network, **changes), data, network))


def test_the_pretended_gpu_notes_what_a_real_one_waits_for() -> None:
    with PretendedGpu() as gpu:
        x = torch.arange(6.0, device="cuda")
        host = torch.ones(6)
        for read in ("__float__", "__bool__", "__int__", "item", "tolist", "cpu", "nonzero"):
            getattr(x[:1], read)()
        x[x > 2] += x.new_tensor(1.0)
        torch.tensor([1.0], device=GPU)
        for copied in (host.to("cuda"), host.to(GPU, non_blocking=True), host.pin_memory().to(GPU)):
            x.add_(copied)
        x.copy_(host)
        assert len(gpu.waits) == 15, gpu.waits
        gpu.waits.clear()
        x.add_(host.pin_memory().to(GPU, non_blocking=True)).mul_(2.0)[1:3] = 0.0
        torch.nn.utils.clip_grad_norm_([x.requires_grad_()], 1.0)
        assert gpu.waits == []
        with pytest.raises(RuntimeError, match="tensors on the CPU and on cuda:0"):
            x + host
