"""Two processes train what one does that accumulates the two halves of every batch: every sampler and relaxation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from config_file.ranks import number
from supernet.relaxations import RELAXATIONS
from tests.training import pair, toy
from training import loop
from training.data import load_data
from training.differentiable_search import learner
from training.distributed import here
from training.loop import train_step
from training.retrain import prepare_network
from training.stage import Training
from training.train_supernet import prepare_supernet, train_supernet
from training.trainer import Silent
from training.trainers import TRAINERS, relaxation_of

STEPS = 3
NOISY = {"loss": "tests.training.toy:noisy_loss"}  # draws as dropout does

KERNELS = {"search_space": "single_path", "widths": (4, 4, 4, 8, 8, 8, 8, 8, 16), "depths": (1, 1, 1, 1, 1, 1)}
"""A space that has super-kernels."""

SUPERNETS: dict[str, dict[str, Any]] = {
    **{name: {"sample_strategy": name} for name in TRAINERS if relaxation_of(name) is None},
    **{name: {"sample_strategy": "differentiable", "relaxation": name} for name in RELAXATIONS},
    **{
        name: {"sample_strategy": "differentiable", "relaxation": name} | KERNELS
        for name in RELAXATIONS
        if "thres" in name
    },
    "slices": {"sample_strategy": "fair"} | KERNELS,
    "within limits": {"target_hc": 0.05},
    "odd batch": {"batch_size": 63, **NOISY},
    "adam": {"optimizer": "adam", "lr": 0.003},
    "second order": {"sample_strategy": "differentiable", "relaxation": "softmax", "a_order": 2},
    "penalty": {"sample_strategy": "differentiable_gumbel", "target_hc": 0.05},
    "constrained": {"sample_strategy": "differentiable", "target_hc": 0.06, "hc_mode": "constrained"},
}
NETWORKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "everything": {"ema_decay": 0.9, "clip_grad_norm": 0.1, "label_smoothing": 0.2, "train_on": "train"},
}


def trainings(root: Path, **more: Any) -> dict[str, Training]:
    """All cases, on the ranks there are."""
    found = {}
    for name, changes in SUPERNETS.items():
        found[name] = prepare_supernet(toy.supernet_options(root, **(changes | more)))
    spec = toy.toy_space().decode((1,) * 8)
    for name, changes in NETWORKS.items():
        options = toy.retrain_options(root, **(changes | more))
        data = load_data(options, 8)
        found[name] = prepare_network(spec, data, options, ranks=here(options))
    return found


def trained(training: Training) -> dict[str, Any]:
    """The state after some steps, and what a validation says then."""
    recipe, state = training.recipe, training.state
    for (x, y), _ in zip(recipe.batches(0), range(STEPS), strict=False):
        train_step(recipe, state, x, y)
    assert training.validate is not None or training.options.train_on == "trainval"
    validated = {} if training.validate is None else training.validate()
    state.gather()
    return {"state": state.state_dict(), "validated": validated}


def synchronised(root: Path) -> Training:
    """A training whose batch norms see the whole batch, on however many ranks."""
    return prepare_supernet(toy.supernet_options(root, sync_bn=True, batch_size=63, sample_strategy="fair"))


REGULARISED: dict[str, Any] = {
    "auxiliary": "head", "drop_path": 0.4, "cutout": 4, "train_on": "train", "on_nan": "skip",
    "checkpoint_minutes": 1e-9, "checkpoints_kept": 9, **NOISY,
}  # fmt: skip
ENDING: dict[str, Any] = {
    "sample_strategy": "differentiable", "relaxation": "softmax", "max_skips": 1, "epochs": 5, "checkpoints_kept": 9,
}  # fmt: skip


def whole_trainings(root: Path, **more: Any) -> dict[str, Training]:
    """A training with all that is drawn or put beside a network, and one that ends before its time."""
    options = toy.retrain_options(root, "regularised", **(REGULARISED | more))
    spec, data = toy.toy_space().decode((1,) * 8), load_data(options, 8)
    return {
        "regularised": prepare_network(spec, data, options, ranks=here(options)),
        "ending": prepare_supernet(toy.supernet_options(root, "ending", **(ENDING | more))),
    }


def run_to_its_end(training: Training, nan: int) -> Training:
    """Train, with a checkpoint after every step where minutes are asked for, and call `nan` of the loss as NaN."""
    training.checkpoint.path.parent.mkdir(parents=True, exist_ok=True)
    found = iter([0, 1, 2][training.state.step // training.recipe.steps_per_epoch :])
    toy.reset(nan=nan, until=nan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "ROWS_EVERY", 1)
        patch.setattr(learner, "most_skips", lambda *_: next(found))
        loop.fit(training.recipe, training.state, Silent(), validate=training.validate, checkpoint=training.checkpoint)
    toy.reset()
    return training


def on_a_rank(folder: Path) -> None:
    """The part of this file that runs on two ranks: all cases, and whole trainings."""
    for training in whole_trainings(folder).values():
        run_to_its_end(training, nan=11 if number() == 1 else toy.NEVER)  # of two calls in a step, in the sixth
    found = {name: trained(training) for name, training in trainings(folder / str(number())).items()}
    if number() == 0:
        torch.save(found, folder / "found.pt")
    torch.save(trained(synchronised(folder / str(number()))), folder / f"synchronised{number()}.pt")
    train_supernet(toy.supernet_options(folder, "stage", validate_every=1))


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    pair.run("tests.training.test_distributed:on_a_rank", folder)
    return folder


def tensors(value: Any, name: str = "") -> dict[str, Tensor]:
    """All numbers of a nested state, by place."""
    if isinstance(value, Tensor):
        return {name: value.double()}
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {} if name.endswith("seconds") else {name: torch.tensor(float(value))}
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    return {place: tensor for key, item in inner for place, tensor in tensors(item, f"{name}/{key}").items()}


def test_two_processes_equal_one_that_accumulates(ranks: Path, tmp_path: Path) -> None:
    together = torch.load(ranks / "found.pt", weights_only=True)
    alone = {name: trained(training) for name, training in trainings(tmp_path, accumulate=2).items()}
    assert together.keys() == alone.keys()
    wrong, rounded = {}, {}
    for name, state in alone.items():
        first, second = tensors(together[name]), tensors(state)
        assert first.keys() == second.keys()
        off = {
            place: float((first[place] - value).abs().max() / value.abs().max().clamp_min(1))
            for place, value in second.items()
            if value.numel()
        }
        # Momenta and variances follow gradients, which a batch norm of little variance makes larger than the weights.
        wrong |= {
            f"{name}{place}": value
            for place, value in off.items()
            if not value <= (1e-4 if "optimizer" in place or "running_var" in place else 1e-6)  # NaN is wrong too
            and not place.startswith(("/validated/val_accuracy", "/validated/val_top5"))  # a tie may go either way
        }
        rounded |= {name: moved} if (moved := {place: value for place, value in off.items() if value}) else {}
    assert wrong == {}
    # One pass per step: two halves are added once, in whatever order.
    exact = {"uniform", "balanced", "odd batch", "adam", "plain", "everything"}
    exact |= {name for name, kind in RELAXATIONS.items() if not kind.scored}
    assert exact <= alone.keys()
    assert {name: rounded[name] for name in exact if name in rounded} == {}


def test_synchronised_batch_norms_see_the_whole_batch(ranks: Path, tmp_path: Path) -> None:
    first, second = (torch.load(ranks / f"synchronised{rank}.pt", weights_only=True) for rank in range(2))
    alone = tensors(trained(synchronised(tmp_path))["state"]["model"])
    for place, value in tensors(first["state"]["model"]).items():
        torch.testing.assert_close(value, alone[place], rtol=1e-4, atol=2e-5, msg=place)
        assert torch.equal(value, tensors(second["state"]["model"])[place])


def test_a_checkpoint_of_two_ranks_goes_on_in_one_process(ranks: Path) -> None:
    options = toy.supernet_options(ranks, "stage", validate_every=1, resume=True)
    job = prepare_supernet(options)
    job.resume()
    assert job.state.step == job.recipe.steps
    assert job.state.totals.images == 0
    saved = torch.load(ranks / "stage/supernet/checkpoints/last.pt", weights_only=True)["state"]
    toy.same(job.state.model.state_dict(), saved["model"])


@pytest.mark.parametrize(("name", "steps"), [("regularised", 8), ("ending", 6)])
def test_what_two_ranks_began_one_process_ends(name: str, steps: int, ranks: Path, tmp_path: Path) -> None:
    (folder,) = ranks.glob(f"{name}/*/checkpoints")
    first = max(folder.glob("last.*.pt"), key=lambda path: int(path.suffixes[0][1:]))
    training = whole_trainings(tmp_path, accumulate=2)[name]
    replace(training.checkpoint, path=first).load_into(training.state)
    assert training.state.step == (1 if name == "regularised" else 2)
    # Of four calls in a step the third of step 6, the fifth that is left: the second piece's, before its head's.
    run_to_its_end(training, nan=19 if name == "regularised" else toy.NEVER)
    saved = torch.load(folder / "last.pt", weights_only=True)["state"]
    assert (saved["step"], saved.get("skipped", 0)) == (steps, int(name == "regularised"))
    state = training.state.state_dict()
    assert state["validation"] == pytest.approx(saved["validation"])  # summed in another order
    toy.same(state, {name: saved[name] for name in state} | {"validation": state["validation"]})
