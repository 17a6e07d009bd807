"""The names that ``--help``, the README and the run folder list are those that the rooms above register and write."""

from __future__ import annotations

import re
from collections.abc import Collection
from fnmatch import fnmatch
from pathlib import Path

import pytest

from config_file.fields import options_of
from config_file.options import STAGE_OPTIONS
from config_file.run_folder import ARTEFACTS
from config_file.stages import STAGES
from deployment.handover import FILES
from search.strategies import STRATEGIES
from supernet import build_space
from supernet.relaxations import OF_WEIGHTS, RELAXATIONS
from supernet.spaces import SPACES
from tasks import TASKS
from training import checkpoint, retrain, supernet_file
from training.data.load import DATASETS
from training.differentiable_search.penalties import PENALTIES
from training.losses import LOSSES
from training.optimizers import OPTIMIZERS
from training.schedules import SCHEDULES
from training.trainers import NETWORK_TRAINERS, TRAINERS

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = {name: spec for options_class in STAGE_OPTIONS.values() for name, spec in options_of(options_class).items()}


@pytest.mark.parametrize(
    ("option", "registry"),
    [
        ("search_space", SPACES),
        ("sample_strategy", TRAINERS),
        ("trainer", NETWORK_TRAINERS),
        ("search_strategy", STRATEGIES),
        ("hc_loss", PENALTIES),
        ("dataset", DATASETS),
        ("optimizer", OPTIMIZERS),
        ("lr_scheduler", SCHEDULES),
        ("loss", LOSSES),
    ],
)
def test_known_names_are_registered(option: str, registry: Collection[str]) -> None:
    spec = OPTIONS[option]
    assert set(spec.known) == set(registry)
    assert set(spec.aliases.values()) <= set(registry)
    assert spec.default in registry or spec.default is None
    unlisted = [name for name in registry if name not in spec.meaning]
    assert not unlisted, "not in --help"


def test_the_relaxations_are_registered() -> None:
    spec = OPTIONS["relaxation"]
    assert set(spec.known) == set(RELAXATIONS | OF_WEIGHTS)
    assert all(name in spec.meaning for name in spec.known)


@pytest.mark.parametrize(
    "name",
    [
        *FILES,
        *(task.script for task in TASKS.values()),
        *(stage.result for stage in STAGES.values()),
        f"checkpoints/{checkpoint.LAST}",
        supernet_file.WEIGHTS,
        supernet_file.DESCRIPTION,
        retrain.WEIGHTS,
        retrain.RESULT,
        retrain.SAMPLES,
    ],
)
def test_overwrite_knows_every_file_a_stage_leaves(name: str) -> None:
    assert any(fnmatch(name, pattern) for pattern in ARTEFACTS)


def test_the_flags_of_the_readme_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"^## Flags\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    flags = set(re.findall(r"`--([a-z-]+)`", section))
    assert len(flags) > 10
    assert {flag for flag in flags if flag.replace("-", "_") not in OPTIONS} == set()


@pytest.mark.parametrize("path", sorted((ROOT / "config_file" / "spaces").glob("*.yml")), ids=lambda path: path.name)
def test_shipped_spaces_can_be_built(path: Path) -> None:
    space = build_space(str(path), resolution=32, num_classes=10)
    assert space.size > 1
    assert str(path.relative_to(ROOT)) in path.read_text(encoding="utf-8").splitlines()[0]
