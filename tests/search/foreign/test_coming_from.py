"""The page of other tools' keys names flags, names and keys that there are."""

from __future__ import annotations

import re
from pathlib import Path

from config_file.fields import options_of
from config_file.options import with_registered
from config_file.stages import STAGES, options_of_stage
from search import basic
from search.foreign.neural_compressor import KEYS
from search.schedules import SCHEDULES
from search.strategies import STRATEGIES

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "coming_from.md").read_text(encoding="utf-8")
THEIRS = {"--ss", "--optimizer", "--n-run", "--init-seed", "--format"}
"""Flags of MF-NAS, and of a command that is no stage."""

COMING = {"--runs"}


def flags() -> set[str]:
    found = set()
    for stage in STAGES:
        for spec in options_of(with_registered(options_of_stage(stage))).values():
            found |= {spec.flag, *("--" + other.replace("_", "-") for other in spec.flags)}
    return found


def test_flags_exist() -> None:
    named = {flag.replace("_", "-") for flag in re.findall(r"--[a-z][a-z0-9_-]*", PAGE)}
    assert not named - flags() - THEIRS - COMING


def test_strategies_and_schedules_exist() -> None:
    for words in re.findall(r"--search-strategy ([a-z0-9_]+)", PAGE):
        assert words in STRATEGIES
    for words in re.findall(r"--schedule ([a-z]+)", PAGE):
        assert words in SCHEDULES


def test_every_key_of_neural_compressor_is_on_the_page() -> None:
    (part,) = re.findall(r"^## Neural Compressor\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    words = set(re.findall(r"\w+", part))
    assert not {key for keys in KEYS.values() for key in keys} - words


def test_names_of_search_basic_exist() -> None:
    for names in re.findall(r"from search.basic import ([\w, ]+)", PAGE):
        assert all(hasattr(basic, name.strip()) for name in names.split(","))
