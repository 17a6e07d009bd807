"""The page of other tools' keys names flags, names and keys that there are."""

from __future__ import annotations

import re
from pathlib import Path

from config_file.fields import options_of
from config_file.options import with_registered
from config_file.stages import STAGES, options_of_stage
from search import basic
from search.foreign import mf_nas, vega
from search.foreign.neural_compressor import KEYS
from search.schedules import SCHEDULES
from search.strategies import STRATEGIES

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "coming_from.md").read_text(encoding="utf-8")
THEIRS = {"--format", *("--" + flag.replace("_", "-") for flag in mf_nas.FLAGS | mf_nas.SWITCHES)}
"""Flags of MF-NAS, and of a command that is no stage."""


def flags() -> set[str]:
    found = set()
    for stage in STAGES:
        for spec in options_of(with_registered(options_of_stage(stage))).values():
            found |= {spec.flag, *("--" + other.replace("_", "-") for other in spec.flags)}
    return found


def test_flags_exist() -> None:
    named = {flag.replace("_", "-") for flag in re.findall(r"--[a-z][a-z0-9_-]*", PAGE)}
    assert not named - flags() - THEIRS


def test_strategies_and_schedules_exist() -> None:
    for words in re.findall(r"--search-strategy ([a-z0-9_]+)", PAGE):
        assert words in STRATEGIES
    for words in re.findall(r"--schedule ([a-z]+)", PAGE):
        assert words in SCHEDULES


def words_of(tool: str) -> set[str]:
    (part,) = re.findall(rf"^## {tool}\n(.*?)(?:^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"[\w+-]+", part))


def test_every_key_of_theirs_is_on_the_page() -> None:
    assert not {key for keys in KEYS.values() for key in keys} - words_of("Neural Compressor")
    algorithms = {key for keys in mf_nas.ALGORITHMS.values() for key in keys}
    there = words_of("MF-NAS")
    assert not {*algorithms, *mf_nas.ALGORITHMS, *mf_nas.FRONTS, *mf_nas.SPACES} - there
    of_steps = {key for keys in vega.KEYS.values() for key in keys}
    assert not {*of_steps, *vega.STRATEGIES, *vega.SPACES, *vega.TRAINERS} - words_of("Vega")
    assert not {f"--{flag}" for flag in mf_nas.FLAGS | mf_nas.SWITCHES} - there


def test_names_of_search_basic_exist() -> None:
    for names in re.findall(r"from search.basic import ([\w, ]+)", PAGE):
        assert all(hasattr(basic, name.strip()) for name in names.split(","))
