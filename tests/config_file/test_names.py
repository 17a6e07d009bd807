"""The names that ``--help``, the README and the run folder list are those that the rooms above register and write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config_file.errors import choose
from config_file.fields import convert, options_of
from config_file.stages import STAGES, options_of_stage
from supernet import build_space

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = {name: spec for stage in STAGES for name, spec in options_of(options_of_stage(stage)).items()}


@pytest.mark.parametrize(
    "option",
    [
        "search_space",
        "sample_strategy",
        "search_strategy",
        "evaluator",
        "hc_loss",
        "relaxation",
        "dataset",
        "optimizer",
        "a_optimizer",
        "lr_scheduler",
        "loss",
    ],
)
def test_names_come_from_a_registry(option: str) -> None:
    spec = OPTIONS[option]
    assert spec.names
    assert set(spec.aliases.values()) <= set(spec.names)
    assert spec.default in spec.names or spec.default is None
    unlisted = [name for name in spec.names if name not in spec.text]
    assert not unlisted, "not in --help"


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


SPELLINGS = [
    (option, name, spelt)
    for option, spec in OPTIONS.items()
    for name in (*spec.names, *spec.choices)
    for spelt in (name.upper(), name.title(), name.replace("_", "-"), name.replace("_", ""))
]


@pytest.mark.parametrize("option", sorted({option for option, _, _ in SPELLINGS}))
def test_any_spelling_of_a_name_is_taken(option: str) -> None:
    """ProxylessNAS, FBNet-S, TPE, RMSprop: case, hyphens and underscores do not count."""
    for _, name, spelt in [entry for entry in SPELLINGS if entry[0] == option]:
        assert convert(OPTIONS[option], spelt, "--here") == name


@pytest.mark.parametrize(
    ("option", "spelt", "name"),
    [
        ("search_space", "ProxylessNAS", "proxylessnas"),
        ("search_space", "FBNet-S", "fbnet_s"),
        ("search_space", "My_Space.yml", "My_Space.yml"),
        ("search_space", "My_package.Spaces:Mine", "My_package.Spaces:Mine"),
        ("search_strategy", "Random-Search", "random"),
        ("search_strategy", "RegularizedEvolution", "regularized_evolution"),
        ("search_strategy", "GridSearch", "grid"),
        ("search_strategy", "PolicyBasedRL", "rl"),
        ("sample_strategy", "Strict-Fairness", "fair"),
        ("dataset", "CIFAR-10", "cifar10"),
        ("optimizer", "RMSprop", "rmsprop"),
        ("info_metric", "FLOPs", "flops"),
        ("info_metric", "MACs", "flops"),
    ],
)
def test_spellings_of_papers_and_of_other_projects(option: str, spelt: str, name: str) -> None:
    assert convert(OPTIONS[option], spelt, "--here") == name


def test_code_calls_by_any_spelling_too() -> None:
    assert build_space("ProxylessNAS").describe() == build_space("proxylessnas").describe()
    assert choose("strategy", "Single-Path", {"single_path": 1}) == 1
