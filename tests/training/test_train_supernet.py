"""Supernet training: sampling, strict fairness, resuming bit for bit, Ctrl-C, divergence, what is left behind."""

from __future__ import annotations

import hashlib
import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from config_file.errors import UserError
from config_file.readers.json_text import read_jsonl
from config_file.run_folder import RunFolder
from supernet import Supernet
from supernet.samplers import FairSampler, UniformSampler
from tests.training import toy
from training.cli import main_train_supernet
from training.data import load_data
from training.initialise import initialise
from training.loop import train_step
from training.recipe import Recipe
from training.state import make_state
from training.supernet_file import load_supernet
from training.train_supernet import plan_supernet, prepare_supernet, train_supernet
from training.trainer import Context
from training.trainers import TRAINERS

NOISY = {"loss": "tests.training.toy:noisy_loss"}


@pytest.fixture(autouse=True)
def _quiet_toy() -> None:
    toy.reset()


def checkpoint(root: Path, title: str = "toy") -> dict:
    return torch.load(root / title / "supernet" / "checkpoints" / "last.pt", weights_only=True)


# ---- steps ----------------------------------------------------------------------------------------------------------


def context_of(net: Supernet, options: Any) -> Context:
    data = load_data(options, 8)
    return Context(options, data, data.train, net, torch.nn.functional.cross_entropy, torch.device("cpu"))


def fair_step(paths_at_once: bool) -> tuple[Supernet, torch.Tensor, torch.Tensor]:
    """A supernet after one strictly fair step, by train_step or by hand."""
    net = Supernet(toy.toy_space())
    initialise(net, 0)
    net.double()
    sampler = FairSampler(net.space, 3)
    x, y = torch.randn(6, 3, 8, 8, dtype=torch.float64), torch.arange(6)
    options = toy.supernet_options(Path("unused"), clip_grad_norm=0.5, channels_last=False, random_seed=3)
    if paths_at_once:
        trainer = TRAINERS["fair"](context_of(net, options))
        train_step(Recipe(trainer), make_state(trainer), x, y)
    else:
        net.train()
        loss = sum(torch.nn.functional.cross_entropy(net(x, path).float(), y) for path in sampler.paths(0))
        loss.backward()
        used = [p for p in net.parameters() if p.grad is not None]
        torch.nn.utils.clip_grad_norm_(used, 0.5)
        torch.optim.SGD(used, options.lr, momentum=0.9, weight_decay=options.weight_decay).step()
    return net, x, y


def test_a_fair_step_is_one_update_by_the_sum_of_n_gradients() -> None:
    torch.manual_seed(1)
    ours, *_ = fair_step(True)
    torch.manual_seed(1)
    theirs, *_ = fair_step(False)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-9, msg=name)
        assert p.grad is None


def test_a_fair_step_trains_every_candidate_once_and_a_uniform_step_one_path() -> None:
    net = Supernet(toy.toy_space())
    context = context_of(net, toy.supernet_options(Path("unused")))
    fair = TRAINERS["fair"](context).step(5)
    assert len(fair.passes) == 3
    assert len({id(p) for p in fair.parameters}) == len(fair.parameters)
    reachable = {id(p) for a in ((0,) * 8, (1,) * 8, (2,) * 8) for p in net.parameters_of(a)}
    assert {id(p) for p in fair.parameters} == reachable
    uniform = TRAINERS["uniform"](context).step(5)
    assert len(uniform.passes) == 1
    path = UniformSampler(net.space, context.seed).paths(5)[0]
    assert [id(p) for p in uniform.parameters] == [id(p) for p in net.parameters_of(path)]


def test_a_step_moves_the_path_only(tmp_path: Path) -> None:
    job = prepare_supernet(toy.supernet_options(tmp_path))
    net, recipe, state = job.trainer.context.supernet, job.recipe, job.state
    sampler = UniformSampler(net.space, job.options.random_seed)
    batches = list(recipe.batches(0))
    for index in range(3):
        path = {id(p) for p in job.trainer.step(state.step).parameters}
        assert path == {id(p) for p in net.parameters_of(sampler.paths(state.step)[0])}
        before = {n: p.detach().clone() for n, p in net.named_parameters()}
        train_step(recipe, state, *batches[index])
        for name, p in net.named_parameters():
            assert p.grad is None
            assert id(p) in path or torch.equal(p, before[name]), name
    assert state.step == 3


# ---- the stage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["uniform", "fair"])
def test_what_a_training_leaves_behind(tmp_path: Path, strategy: str, capsys) -> None:
    options = toy.supernet_options(tmp_path, sample_strategy=strategy)
    folder = train_supernet(options)
    info = json.loads((folder / "supernet.json").read_text())
    assert info["sha256"] == hashlib.sha256((folder / "supernet.safetensors").read_bytes()).hexdigest()
    assert info["classes"] == [str(digit) for digit in range(10)]
    assert info["resolution"] == 8
    assert info["dataset"] == "digits"
    assert info["split"]["sizes"]["train"] > 0
    assert 0 <= info["validation"]["val_accuracy_min"] <= info["validation"]["val_accuracy"] <= 1
    trained = load_supernet(folder)
    assert trained.space.macro_fingerprint == info["macro_fingerprint"]
    state = checkpoint(tmp_path)["state"]
    toy.same(dict(trained.supernet.state_dict()), dict(state["model"]))
    rows = read_jsonl(folder / "metrics.jsonl")
    losses = [row["loss"] for row in rows if "loss" in row]
    assert len(losses) == 2
    assert [row["step"] for row in rows] == sorted(row["step"] for row in rows)
    log = (folder / "log.txt").read_text()
    assert "next: python search.py --title toy" in log
    assert "epoch 2/2" in log
    with pytest.raises(UserError, match="--resume"):
        train_supernet(options)
    train_supernet(replace(options, resume=True))
    assert "has finished already" in capsys.readouterr().out


def test_it_learns_digits(tmp_path: Path) -> None:
    options = toy.supernet_options(tmp_path, train_portion=0.8, epochs=8, batch_size=32, lr=0.2, validate_every=8)
    folder = train_supernet(options)
    losses = [row["loss"] for row in read_jsonl(folder / "metrics.jsonl") if "loss" in row]
    assert losses[-1] < losses[0] - 0.3
    assert load_supernet(folder).info["validation"]["val_accuracy"] > 0.25


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    for title in ("a", "b"):
        train_supernet(toy.supernet_options(tmp_path, title, **NOISY))
    toy.same(checkpoint(tmp_path, "a")["state"], checkpoint(tmp_path, "b")["state"])
    train_supernet(toy.supernet_options(tmp_path, "c", random_seed=1, **NOISY))
    weights = [list(checkpoint(tmp_path, title)["state"]["model"].values()) for title in ("a", "c")]
    assert any(not torch.equal(p, q) for p, q in zip(*weights, strict=True))


@pytest.mark.parametrize(
    ("changes", "call"),
    [
        ({}, 4),  # the last step of an epoch
        ({}, 6),  # within an epoch
        ({"sample_strategy": "fair"}, 8),  # within an epoch and a fair step
        ({"optimizer": "adamw", "lr": 0.01, "warmup_epochs": 1}, 2),
        ({"optimizer": "rmsprop", "lr": 0.01, "lr_scheduler": "linear", "checkpoint_every": 2}, 7),
    ],
)
def test_an_interrupted_training_goes_on_bit_for_bit(tmp_path: Path, changes: dict, call: int) -> None:
    options = toy.supernet_options(tmp_path, "straight", **NOISY, **changes)
    train_supernet(options)
    passes = toy.script.calls
    assert passes > call

    toy.reset(interrupt=call)
    torch.manual_seed(77)  # where global generators happen to be must not matter
    options = toy.supernet_options(tmp_path, "broken", **NOISY, **changes)
    with pytest.raises(KeyboardInterrupt, match="--resume"):
        train_supernet(options)
    assert not (tmp_path / "broken" / "supernet" / "supernet.safetensors").exists()
    interrupted = checkpoint(tmp_path, "broken")["state"]["step"]
    assert 0 < interrupted < checkpoint(tmp_path, "straight")["state"]["step"]

    toy.reset()
    torch.rand(5)
    train_supernet(replace(options, resume=True))
    first, second = (checkpoint(tmp_path, title)["state"] for title in ("straight", "broken"))
    for state in (first, second):
        del state["rng"]
    toy.same(first, second)
    for name in ("supernet.safetensors", "metrics.jsonl"):
        a, b = ((tmp_path / title / "supernet" / name).read_bytes() for title in ("straight", "broken"))
        assert a == b, name


def test_killed_between_checkpoints_it_goes_on_from_the_last_one(tmp_path: Path) -> None:
    options = toy.supernet_options(tmp_path, "straight", **NOISY)
    train_supernet(options)
    steps = toy.script.calls
    toy.reset(nan=steps - 1)  # stands for a crash in the second epoch
    options = toy.supernet_options(tmp_path, "broken", **NOISY)
    with pytest.raises(UserError, match="NaN"):
        train_supernet(options)
    toy.reset()
    train_supernet(replace(options, resume=True))
    for name in ("supernet.safetensors", "metrics.jsonl"):
        a, b = ((tmp_path / title / "supernet" / name).read_bytes() for title in ("straight", "broken"))
        assert a == b, name


def test_a_nan_loss_ends_in_one_line_and_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    toy.reset(nan=6)
    with pytest.raises(UserError, match=r"epoch 2, .*--lr.*last good checkpoint") as caught:
        train_supernet(toy.supernet_options(tmp_path, **NOISY))
    assert "\n" not in str(caught.value)
    state = checkpoint(tmp_path)["state"]
    assert state["step"] == 4
    assert all(torch.isfinite(t).all() for t in state["model"].values())


def test_a_nan_in_the_very_last_gradient_is_found_too(tmp_path: Path) -> None:
    """The loss that is summed comes before the update it spoils."""
    options = toy.supernet_options(tmp_path, lr=1e30, clip_grad_norm=0, epochs=1, batch_size=256)
    with pytest.raises(UserError, match="NaN or infinite") as caught:
        train_supernet(replace(options, weight_decay=1e30))
    # A limit that is off cannot be lower, and the rate is the one that was asked for.
    assert "a lower --lr (it is 1e+30, sgd takes about 0.045), --warmup-epochs 1 or a limit, as --clip" in str(
        caught.value
    )
    assert not (tmp_path / "toy" / "supernet" / "checkpoints" / "last.pt").exists()


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        (
            {},
            "a lower --lr (it is 0.1, sgd takes about 0.045), --warmup-epochs 1 or a lower --clip-grad-norm (it is 5);",
        ),
        (
            {"lr": 1e-4, "optimizer": "adam", "warmup_epochs": 1, "clip_grad_norm": 0},
            "a lower --lr (it is 0.0001), more --warmup-epochs (they are 1) or a limit, as --clip-grad-norm 5;",
        ),
        ({"lr": 0.045, "optimizer": "rmsprop", "warmup_epochs": 2}, "(it is 0.045, rmsprop takes about 0.0003) or a "),
    ],
)
def test_the_advice_after_a_divergence_can_be_followed(tmp_path: Path, changes, advice: str) -> None:
    toy.reset(nan=1)
    with pytest.raises(UserError) as caught:
        train_supernet(toy.supernet_options(tmp_path, **(NOISY | changes)))
    assert f"try a lower --lr (it is {changes.get('lr', 0.1):g}" in str(caught.value)
    assert advice in str(caught.value)


def test_a_checkpoint_of_another_training_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    toy.reset(interrupt=3)
    options = toy.supernet_options(tmp_path, **NOISY)
    with pytest.raises(KeyboardInterrupt):
        train_supernet(options)
    toy.reset()
    folder = tmp_path / "toy" / "supernet"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="another search space"):
        train_supernet(replace(options, resume=True, widths=(4, 4, 6, 8, 24)))
    with pytest.raises(UserError, match=r"--lr 0\.1, not 0\.2"):
        train_supernet(replace(options, resume=True, lr=0.2))
    last = folder / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:5000])
    with pytest.raises(UserError, match="not a readable checkpoint"):
        train_supernet(replace(options, resume=True))
    last.write_bytes(before[last])
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_plan_writes_nothing(tmp_path: Path, capsys) -> None:
    arguments = ["--title", "toy", "--root-path", str(tmp_path / "runs"), "--plan", "--epochs", "2", "--threads", "1"]
    arguments += ["--search-space", "nasbench_macro", "--widths", "4,4,6,8,16", "--resolution", "8"]
    main_train_supernet([*arguments, "--sample-strategy", "fair"])
    text = capsys.readouterr().out
    assert not (tmp_path / "runs").exists()
    for word in (
        "range     flops from 0.0",
        "images",
        "steps",
        "3 passes",
        "s per step",
        "MiB",
        str(tmp_path / "runs" / "toy" / "supernet"),
    ):
        assert word in text


def test_a_plan_says_what_is_in_the_way_of_the_run(tmp_path: Path, capsys) -> None:
    options = toy.supernet_options(tmp_path)
    RunFolder.open(options)
    plan_supernet(options)
    assert "but       " + str(tmp_path / "toy/supernet") + " has been run before" in capsys.readouterr().out
    with pytest.raises(UserError, match="has been run before"):
        train_supernet(replace(options, data_path="/no/such/folder", dataset="imagefolder"))  # not a word of the images


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search_space": "nasbench_makro"}, "nasbench_macro"),
        (
            {"search_space": "tests.supernet.own_spaces:zoomed_to", "sample_strategy": "differentiable"},
            "image size is a decision, which no relaxation follows",
        ),
        ({"sample_strategy": "unifrom"}, r"'uniform'\? \(choices: uniform, balanced, fair, sandwich, differentiable, "),
        ({"sample_strategy": "diferentiable"}, "did you mean 'differentiable'"),
        ({"sample_strategy": "tests.training.toy:SMALL"}, "is a dict, not something to call"),
        ({"target_hc": 0.001, "info_metric": "flop"}, "needs --lookup-table .*did you mean 'flops'"),
        ({"dataset": "digitz"}, "digits"),
        ({"optimizer": "sgdd"}, "sgd"),
        ({"lr_scheduler": "cosin"}, "cosine"),
        ({"loss": "crossentropie"}, "cross_entropy"),
        ({"device": "tpu"}, "cpu"),
        ({"device": "cpu:3"}, "only cuda has a number"),
        ({"hc_loss": "sqared", "sample_strategy": "differentiable", "target_hc": 0.05}, "did you mean 'squared'"),
        ({"batch_size": 10**6}, "batch"),
    ],
)
def test_bad_options_are_found_before_anything_is_written(tmp_path: Path, changes: dict, message: str) -> None:
    if "search_space" in changes:
        changes = changes | {"widths": None}
    if "batch_size" in changes:
        options = toy.supernet_options(tmp_path, **changes)
        job = prepare_supernet(options)  # more than there are: one batch of all images
        assert job.recipe.steps_per_epoch == 1
        assert len(next(job.recipe.batches(0))[1]) == len(job.data.train)
        return
    with pytest.raises(UserError, match=message):
        train_supernet(toy.supernet_options(tmp_path, **changes))
    assert not (tmp_path / "toy").exists()


def test_validation_leaves_the_supernet_as_it_is(tmp_path: Path) -> None:
    from training.train_supernet import validate_paths

    job = prepare_supernet(toy.supernet_options(tmp_path))
    before = deepcopy(dict(job.trainer.context.supernet.state_dict()))
    random_state = torch.get_rng_state()
    first = validate_paths(job.recipe)
    assert first == validate_paths(job.recipe)
    assert torch.equal(torch.get_rng_state(), random_state)
    toy.same(dict(job.trainer.context.supernet.state_dict()), before)
    assert job.trainer.context.supernet.training
