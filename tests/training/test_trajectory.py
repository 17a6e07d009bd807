"""Every option that changes what a training comes to is one that a resumed training must have alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from config_file.fields import Option, options_of
from config_file.options import deciding, in_use
from tests.training import toy
from training.data import load_data
from training.loop import train_step
from training.options import RetrainOptions, TrainSupernetOptions
from training.recipe import Recipe, trajectory
from training.retrain import prepare_network
from training.state import TrainingState
from training.train_supernet import prepare_supernet

ELSEWHERE = {
    "search_space": "the space's fingerprint is compared",
    "widths": "the same",
    "depths": "the same",
    "strides": "the same",
    "skip": "the same",
    "width_mult": "the same",
    "elastic": "the same",
    "image_sizes": "the same",
    "inner_channels": "the same",
    "affine": "the same",
    "partial_channels": "the same",
    "architecture": "the network's fingerprint is compared",
    "title": "where the run lies",
    "root_path": "the same",
    "output": "the same",
    "supernet": "the same",
    "search": "the same",
    "config": "where options come from",
    "data_path": "a data set may be moved; the fingerprint of its split is compared",
    "resume": "about this command only",
    "overwrite": "the same",
    "plan": "the same",
    "check_data": "the same",
    "accumulate": "the same gradient in other pieces, as of another number of ranks",
    "download": "the same",
    "plugins": "the same",
    "export_checkpoint": "which weights of the same training are handed in",
    "device": "a training may go on elsewhere, exact on one kind of CPU only",
    "threads": "the same",
    "amp": "the same",
    "channels_last": "the same",
}
"""Options that a resumed training may have otherwise, or that are compared in another way, and why."""

STEPS = 2

BASES: dict[str, dict[str, Any]] = {
    "uniform": {},
    "step schedule": {
        "lr_scheduler": "step",
        "decay_step": 1,
        "decay_ratio": 0.5,
        "optimizer": "rmsprop",
        "sample_strategy": "fair",
    },
    "sandwich": {"sample_strategy": "sandwich", "divergence": "alpha", "attentive": "best-up"},
    "penalty": {"sample_strategy": "differentiable_gumbel", "target_hc": 0.05, "a_optimizer": "adam"},
    "enas": {"sample_strategy": "enas", "enas_samples": 1},
    "constrained": {"sample_strategy": "differentiable", "target_hc": 0.06, "hc_mode": "constrained"},
}


def another(spec: Option, value: Any) -> Any:
    """A valid value that differs."""
    if spec.kind is bool:
        return not value
    if spec.choices or spec.names:
        return next(name for name in (spec.choices or spec.names) if name != value)
    if spec.kind in (int, float):
        fallback = 0.5 if spec.kind is float else 1
        larger = fallback if value is None else value * 2 or fallback
        return larger if spec.at_most is None or larger <= spec.at_most else spec.kind(value / 2)
    raise AssertionError(f"{spec.flag}: say in ELSEWHERE why another value does not matter, or give one here")


def outcome(recipe: Recipe, state: TrainingState) -> tuple[bytes, tuple[float, ...]]:
    """The weights (and all that is trained beside them) after a few steps, and the rates of all steps."""
    batches = recipe.batches(0)
    for _ in range(STEPS):
        train_step(recipe, state, *next(batches))
    tensors = [t for t in _tensors(state.state_dict()) if t.is_floating_point()]
    content = b"".join(t.detach().double().contiguous().numpy().tobytes() for t in tensors)
    return content, tuple(recipe.rate(step) for step in range(recipe.steps))


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [tensor for item in inner for tensor in _tensors(item)]


def unmarked(options: Any) -> list[str]:
    """Options that count and are not marked as deciding the course of a training."""
    marked = deciding(options, "training")
    specs = in_use(options)
    return [name for name, spec in specs.items() if spec.flag not in marked and name not in ELSEWHERE]


@pytest.mark.parametrize("base", BASES)
def test_what_changes_a_supernet_is_marked(base: str, tmp_path: Path) -> None:
    def train(options: TrainSupernetOptions) -> Any:
        job = prepare_supernet(options)
        return outcome(job.recipe, job.state)

    options = toy.supernet_options(tmp_path, **BASES[base])
    expected, specs = train(options), options_of(type(options))
    assert train(options) == expected
    names = unmarked(options)
    assert {"checkpoint_every", "validate_every", "memory_limit"} <= set(names)
    changed = {name: replace(options, **{name: another(specs[name], getattr(options, name))}) for name in names}
    assert [name for name, other in changed.items() if train(other) != expected] == []


def test_what_changes_a_retraining_is_marked(tmp_path: Path) -> None:
    options = toy.retrain_options(tmp_path)
    spec = toy.toy_space().decode((1,) * 8)
    data = load_data(options, options.resolution)

    def train(options: RetrainOptions) -> Any:
        job = prepare_network(spec, data, options)
        return outcome(job.recipe, job.state)

    expected, specs = train(options), options_of(type(options))
    assert train(options) == expected
    changed = {n: replace(options, **{n: another(specs[n], getattr(options, n))}) for n in unmarked(options)}
    assert [name for name, other in changed.items() if train(other) != expected] == []


def test_limits_count_only_where_there_are_some(tmp_path: Path) -> None:
    options = toy.supernet_options(tmp_path)
    assert {*deciding(options, "training")} - {*trajectory(options)} == {
        "--info-metric", "--lookup-table", "--counter", "--target-hc", "--min-hc", "--constraint",
    }  # fmt: skip
    assert {*trajectory(replace(options, target_hc=1.0))} == {*deciding(options, "training")} - {"--constraint"}


def test_another_outcome_is_seen(tmp_path: Path) -> None:
    first, second = (prepare_supernet(toy.supernet_options(tmp_path, momentum=m)) for m in (0.9, 0.5))
    assert outcome(first.recipe, first.state) != outcome(second.recipe, second.state)
