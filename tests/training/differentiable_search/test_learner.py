"""Weights and architecture parameters together: what is left behind, resuming bit for bit, hard limits, bad input."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from config_file.errors import UserError
from config_file.files import write_sealed
from config_file.loader import parse
from config_file.readers.json_text import read_jsonl
from lookup_tables import build_table
from lookup_tables.constraint_text import parse_constraints
from supernet import build_space
from supernet.limit_text import parse_limits
from supernet.relaxations import RELAXATIONS, of_logits
from tests.training import toy
from training.architecture import choose_architecture
from training.data import load_data
from training.differentiable_search.distribution_file import load_distribution
from training.differentiable_search.learner import ArchitectureLearner
from training.differentiable_search.skipping import collapse_warning
from training.loop import train_step
from training.options import RetrainOptions, TrainSupernetOptions
from training.stage import Training
from training.supernet_file import load_supernet
from training.train_supernet import prepare_supernet, train_supernet
from training.trainers.differentiable import Differentiable

NOISY = {"loss": "tests.training.toy:noisy_loss"}

OF_LOGITS = [name for name, kind in RELAXATIONS.items() if kind.parameters is of_logits]


@pytest.fixture(autouse=True)
def _quiet_toy() -> None:
    toy.reset()


def options_of(root: Path, title: str = "toy", **changes: Any) -> TrainSupernetOptions:
    return toy.supernet_options(root, title, **({"sample_strategy": "differentiable", "batch_size": 32} | changes))


def checkpoint(root: Path, title: str = "toy") -> dict[str, Any]:
    return torch.load(root / title / "supernet" / "checkpoints" / "last.pt", weights_only=True)["state"]


def trained(options: TrainSupernetOptions, steps: int) -> Training:
    job = prepare_supernet(options)
    while job.state.step < steps:
        for x, y in job.recipe.batches(job.state.step // job.recipe.steps_per_epoch):
            train_step(job.recipe, job.state, x, y)
    return job


def learner_of(job: Training) -> ArchitectureLearner:
    assert isinstance(job.trainer, Differentiable)
    return job.trainer.learner


@pytest.mark.usefixtures("rendered")
def test_what_it_leaves_behind(tmp_path: Path) -> None:
    options = options_of(tmp_path, target_hc=0.02, hc_loss="hinge", temperature_schedule="linear", relaxation="gumbel")
    folder = train_supernet(options)
    space = load_supernet(folder).space
    learnt = load_distribution(folder, space)
    logits = checkpoint(tmp_path)["trainer"]["parameters"]["logits"]
    for row, ours in zip(learnt.log_probabilities, logits.double().log_softmax(1), strict=True):
        np.testing.assert_allclose(row, ours.numpy())
    assert learnt.derived == tuple(logits.argmax(1).tolist())
    assert learnt.about["relaxation"] == "gumbel"
    rows = [row for row in read_jsonl(folder / "metrics.jsonl") if "entropy" in row]
    assert len(rows) == options.epochs
    last = rows[-1]
    for decision, row in zip(space.decisions, learnt.log_probabilities, strict=True):
        total = sum(last[f"p/{decision.name}/{name}"] for name in decision.options)
        assert total == pytest.approx(1)
        assert last[f"entropy/{decision.name}"] == pytest.approx(-(np.exp(row) * row).sum())
    assert tuple(last[f"derived/{decision.name}"] for decision in space.decisions) == learnt.derived
    assert [row["temperature"] for row in rows] == [1.0, pytest.approx(1 - 0.67 / 2)]
    table = build_table(space, "flops", 8)
    assert last["derived_flops"] == table.cost([learnt.derived])[0] / 1e6
    p = [torch.from_numpy(np.exp(row)) for row in learnt.log_probabilities]
    assert last["expected_flops"] == pytest.approx(float(table.expected(p)) / 1e6, rel=1e-5)
    assert 0 < last["skip_share"] < 1
    assert (folder / "probabilities.png").read_bytes().startswith(b"\x89PNG")
    parts = json.loads((folder / "supernet.json").read_text())["split"]["train_parts"]
    assert abs(parts["weights"] - parts["architecture"]) <= 1
    assert "architecture parameters: gumbel" in (folder / "log.txt").read_text()


def test_every_epoch_leaves_an_architecture_that_retrain_reads(tmp_path: Path) -> None:
    folder = train_supernet(options_of(tmp_path, target_hc=0.02, widths=(4, 4, 6, 8, 12)))
    files = sorted((folder / "architectures").iterdir())
    assert [file.name for file in files] == ["epoch_0001.json", "epoch_0002.json"]
    rows = [row for row in read_jsonl(folder / "metrics.jsonl") if "entropy" in row]
    space = load_supernet(folder).space
    own = {"epoch", "order", "checksum"}
    ended, whole = (json.loads(file.read_text()) for file in (files[-1], folder / "architecture.json"))
    assert {k: v for k, v in ended.items() if k not in own} == {k: v for k, v in whole.items() if k not in own}
    for number, (file, row) in enumerate(zip(files, rows, strict=True), 1):
        content = json.loads(file.read_text())
        assert content["epoch"] == number
        assert content["costs"]["flops"] == row["derived_flops"]
        form = ["--dataset", "digits", "--resolution", "8"]  # the space and its widths are the file's
        options = parse(RetrainOptions, ["--title", "a", "--arc-checkpoint", str(file), *form], "retrain.py", "")
        chosen = choose_architecture(options, load_data(options, 8))
        assert chosen.architecture == tuple(row[f"derived/{decision.name}"] for decision in space.decisions)
        assert chosen.space.macro_fingerprint == space.macro_fingerprint
    train_supernet(options_of(tmp_path, epochs=1, overwrite=True))
    assert [file.name for file in (folder / "architectures").iterdir()] == ["epoch_0001.json"]


def test_weights_and_architecture_see_different_images(tmp_path: Path) -> None:
    job = prepare_supernet(options_of(tmp_path))
    ours, theirs = job.recipe.images, learner_of(job).images
    assert not set(ours.positions.tolist()) & set(theirs.positions.tolist())  # type: ignore[attr-defined]
    assert len(ours) + len(theirs) == len(job.data.train)
    assert torch.equal(ours.raw(range(3)), job.data.train.raw(ours.positions[:3]))  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", OF_LOGITS)
def test_every_relaxation_moves_logits_and_weights(tmp_path: Path, name: str) -> None:
    options = options_of(tmp_path, relaxation=name, a_weight_decay=0.0, epochs=1, target_hc=0.01, hc_weight=100.0)
    start = prepare_supernet(options)
    job = trained(options, 3)
    moved = (learner_of(job).parameters.logits - learner_of(start).parameters.logits).abs()
    assert moved.max() > 1e-4
    assert (moved.sum(1) > 0).all()
    changed = [
        not torch.equal(a, b)
        for a, b in zip(
            job.trainer.context.supernet.parameters(), start.trainer.context.supernet.parameters(), strict=True
        )
    ]
    assert any(changed)
    assert all(p.grad is None for p in job.trainer.context.supernet.parameters())
    assert learner_of(job).parameters.logits.grad is None


@pytest.mark.parametrize("name", OF_LOGITS)
def test_one_option_alone_learns_nothing_where_a_batch_norm_follows(tmp_path: Path, name: str) -> None:
    # What follows undoes the scale of the output, so that <dy, f(x)> = 0 for the only option that runs.
    options = options_of(tmp_path, relaxation=name, a_weight_decay=0.0, epochs=1)
    start = prepare_supernet(options)
    job = trained(options, 3)
    moved = (learner_of(job).parameters.logits - learner_of(start).parameters.logits).abs().max()
    assert moved < 1e-6 if RELAXATIONS[name].scaled else moved > 1e-5


def test_warm_up_and_fewer_architecture_steps(tmp_path: Path) -> None:
    options = options_of(tmp_path, a_warmup_epochs=1, a_every=3, epochs=2)
    start = prepare_supernet(options)
    job = trained(options, start.recipe.steps_per_epoch)
    assert torch.equal(learner_of(job).parameters.logits, learner_of(start).parameters.logits)
    first = start.recipe.steps_per_epoch
    assert [learner_of(job)._number(first + step) for step in range(7)] == [0, None, None, 1, None, None, 2]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [5.0, 5.0, 5.0]),
        ("linear", [5.0, 5 - 4.67 / 2, 5 - 4.67 / 2]),
        ("exponential", [5.0, 5 * math.exp(-0.045), 5 * math.exp(-0.045)]),
    ],
)
def test_temperature_schedules(tmp_path: Path, schedule: str, expected: list[float]) -> None:
    job = prepare_supernet(options_of(tmp_path, temperature=5.0, temperature_schedule=schedule, epochs=2))
    steps = job.recipe.steps_per_epoch
    assert [learner_of(job).temperature(step) for step in (0, steps, 2 * steps - 1)] == pytest.approx(expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"relaxation": "binary_two", "a_optimizer": "adam", "target_hc": 0.02, "hc_mode": "constrained"},
        {"relaxation": "softmax", "a_order": 2, "recompute": True, "batch_size": 64},
        {"relaxation": "reinforce", "a_paths": 3, "target_hc": 0.02},
        {"relaxation": "gumbel_hard", "a_every": 2, "a_portion": 0.3, "temperature_schedule": "exponential"},
    ],
)
def test_a_resumed_training_is_the_same_bit_for_bit(tmp_path: Path, changes: dict[str, Any]) -> None:
    train_supernet(options_of(tmp_path, "straight", **NOISY, **changes))
    calls = toy.script.calls
    toy.reset(interrupt=calls // 3)
    options = options_of(tmp_path, "broken", **NOISY, **changes)
    with pytest.raises(KeyboardInterrupt, match="--resume"):
        train_supernet(options)
    assert 0 < checkpoint(tmp_path, "broken")["step"] < checkpoint(tmp_path, "straight")["step"]
    toy.reset()
    torch.rand(5)
    train_supernet(replace(options, resume=True))
    first, second = (checkpoint(tmp_path, title) for title in ("straight", "broken"))
    for state in (first, second):
        del state["rng"]
    toy.same(first, second)
    for name in ("supernet.safetensors", "metrics.jsonl", "architecture.json"):
        a, b = ((tmp_path / title / "supernet" / name).read_bytes() for title in ("straight", "broken"))
        assert a == b, name


def test_resuming_with_other_gradient_options_is_refused(tmp_path: Path) -> None:
    toy.reset(interrupt=6)
    options = options_of(tmp_path, a_lr=0.05, **NOISY)
    with pytest.raises(KeyboardInterrupt):
        train_supernet(options)
    toy.reset()
    with pytest.raises(UserError, match=r"--a-lr 0\.05, not 0\.1"):
        train_supernet(replace(options, resume=True, a_lr=0.1))


# ---- costs


def test_several_hard_limits_are_kept(tmp_path: Path) -> None:
    options = options_of(tmp_path, constraint="flops<=0.02,params<=0.0035", epochs=1)
    job = trained(options, 4)
    costs = learner_of(job).hardware.costs(learner_of(job).derive())  # type: ignore[union-attr]
    assert costs["flops"] <= 0.02
    assert costs["params"] <= 0.0035


@pytest.mark.slow
def test_hard_targets_are_never_violated_and_nearly_used(tmp_path: Path) -> None:
    chain: dict[str, Any] = {
        "search_space": "proxylessnas", "widths": (4, 4, 4, 6, 6, 8, 8, 8, 16), "depths": (1, 2, 1, 1, 1, 1),
    }  # fmt: skip
    space = build_space(resolution=8, num_classes=10, **chain)
    table = build_table(space, "flops", 8)
    low, high = table.minimum()[0] / 1e6, table.maximum()[0] / 1e6
    gaps = []
    for share in (0.2, 0.35, 0.5, 0.65, 0.8):
        target = low + share * (high - low)
        for seed in range(3):
            options = options_of(
                tmp_path, target_hc=target, hc_mode="constrained", random_seed=seed, batch_size=16, **chain
            )
            job = trained(replace(options, a_optimizer="adam", epochs=1, train_portion=0.1), 4)
            cost = float(table.cost([learner_of(job).derive()])[0]) / 1e6
            assert cost <= target
            gaps.append(1 - cost / target)
    assert float(np.median(gaps)) <= 0.02


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"target_hc": 0.001, "hc_mode": "constrained"},
            r"no architecture has flops of 0\.001 M or less: the smallest",
        ),
        ({"constraint": "latency<=20"}, "latency needs --lookup-table"),
        ({"constraint": "flops<=0.02", "target_hc": 0.03}, "to different values"),
        ({"hc_mode": "constrained"}, "needs --target-hc"),
        ({"target_hc": 0.02, "hc_loss": "fbnet_mul"}, "takes a logarithm"),
        ({"target_hc": 0.02, "hc_loss": "squard"}, "did you mean 'squared'"),
        ({"relaxation": "binary_tow"}, "did you mean 'binary_two'"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        prepare_supernet(options_of(tmp_path, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["flops=300", "flops<=", "flops<=-1", "<=3", "flops<=nan", "flops<=1,flops<=2", "3<=flops<=2", "1<=2<=flops<=3"],
)
def test_bad_constraints(text: str) -> None:
    with pytest.raises(UserError, match="--constraint"):
        parse_constraints(text)


def test_constraints_are_read() -> None:
    assert parse_constraints("flops<=300, latency<=20.5") == {"flops": 300.0, "latency": 20.5}
    assert parse_constraints("macs<=3") == {"flops": 3.0}
    assert parse_constraints(None) == {}
    assert parse_limits("flops<=300, 5<=cpu<=20.5") == {"flops": (None, 300.0), "cpu": (5.0, 20.5)}
    with pytest.raises(UserError, match="upper limits only"):
        parse_constraints("5<=cpu<=20.5")


# ---- what is said and kept


def test_a_collapse_to_skip_is_warned_of() -> None:
    space = build_space("nasbench_macro", resolution=8, num_classes=10)
    assert "8 layers that can be skipped, 5 are" in collapse_warning(space, (0,) * 5 + (1,) * 3)
    assert collapse_warning(space, (0,) * 4 + (1,) * 4) == ""
    assert "if the limits do not ask for that" in collapse_warning(space, (0,) * 5 + (1,) * 3, held=True)


def test_a_damaged_or_foreign_distribution_is_refused(tmp_path: Path) -> None:
    folder = train_supernet(options_of(tmp_path, epochs=1))
    space = load_supernet(folder).space
    with pytest.raises(UserError, match="other decisions"):
        load_distribution(folder, build_space("spos", resolution=32))
    with pytest.raises(UserError, match="was not trained with"):
        load_distribution(tmp_path, space)
    path = folder / "architecture.json"
    content = json.loads(path.read_text())
    content["decisions"][0]["log_probabilities"][0] = 1.0
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="checksum"):
        load_distribution(folder, space)
    del content["checksum"]
    write_sealed(path, content)
    with pytest.raises(UserError, match="its probabilities"):
        load_distribution(folder, space)
    path.write_text(path.read_text()[:200])
    with pytest.raises(UserError, match="is truncated or damaged"):
        load_distribution(folder, space)
