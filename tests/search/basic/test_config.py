"""Settings of a search from Python and from files."""

from __future__ import annotations

import contextlib
from pathlib import Path
from random import Random
from typing import Any

import pytest

from config_file.errors import UserError
from search.basic import NAS, BasicNAS, DyNAS, NASConfig
from tests.fuzz.mutators import TEXT
from tests.search.basic import networks

# The section that Neural Compressor's own tests write.
FILE = """
model:
    name: imagenet_nas
    framework: pytorch
nas:
    search:
        search_space: {'channels': [16, 32, 64], 'dimensions': [32, 64, 128]}
        metrics: ['acc']
        max_trials: 3
train:
    start_epoch: 0
    end_epoch: 1
"""


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def from_text(text: str) -> NASConfig:
    Path("nas.yml").write_text(text, encoding="utf-8")
    return NASConfig.from_file("nas.yml")


def test_defaults_are_those_of_neural_compressor() -> None:
    config = NASConfig()
    assert (config.approach, config.strategy, config.max_trials, config.seed) == ("basic", "bayesian", 3, 42)


def test_a_file() -> None:
    config = from_text(FILE)
    assert config.search_space == {"channels": [16, 32, 64], "dimensions": [32, 64, 128]}
    assert (config.approach, config.metrics, config.max_trials) == ("basic", ["acc"], 3)
    assert config.sections["train"] == {"start_epoch": 0, "end_epoch": 1}
    made = NAS("nas.yml")
    assert isinstance(made, BasicNAS)
    assert [decision.name for decision in made.space.decisions] == ["channels", "dimensions"]


def test_a_search_by_a_file() -> None:
    Path("nas.yml").write_text(
        "nas: {approach: Basic, search: {search_space: {width: [2, 4], act: [relu]}, search_algorithm: grid, "
        "metrics: [mse], higher_is_better: [false], max_trials: 2, seed: 1}}",
        encoding="utf-8",
    )
    searched = NAS("nas.yml", model_builder=networks.build)
    assert isinstance(searched, BasicNAS)
    searched.train_func, searched.eval_func = networks.train, networks.evaluate
    searched.log = lambda line: None
    searched.search()
    assert [*searched.search_results] == [("relu", 2), ("relu", 4)]


def test_the_settings_of_the_dynamic_approach() -> None:
    config = NASConfig(approach="dynas", search_algorithm="nsga2")
    config.dynas.population = 10
    config.dynas.metrics = ["acc", "macs"]
    assert isinstance(NAS(config), DyNAS)
    nas = config.content()["nas"]
    assert nas["dynas"] == {"population": 10, "metrics": ["acc", "macs"]}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_trials": 0}, "max_trials is a number of trials, at least 1, not 0"),
        ({"max_trials": "3"}, "max_trials is a number of trials"),
        ({"higher_is_better": [True]}, "of each of metrics"),
        ({"metrics": ["a"], "higher_is_better": [True, False]}, "of each of metrics"),
        ({"options": {"epoch": 3}}, "search.py has no option 'epoch'; did you mean 'epochs'?"),
    ],
)
def test_settings_that_cannot_be_meant(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        NASConfig(**settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("search_space: spos", "nas.yml: a search from Python needs a section 'nas'"),
        ("[1, 2]", "nas.yml: a search from Python needs a section 'nas'"),
        ("nas: {serch: 1}", "nas.yml: unknown key 'serch' in nas; did you mean 'search'"),
        ("nas: {search: {max_trials: many}}", "nas.yml: nas.search.max_trials must be an integer or null, not"),
        ("nas: {search: {search_space: [1]}}", "nas.yml: nas.search.search_space must be"),
        ("nas: {search: {max_trials: 0}}", "nas.yml: max_trials is a number of trials"),
        ("nas: {search: {search_algorithm: 'mine:Strategy'}}", "no file decides which code is run"),
        ("nas: {search: {search_space: 'mine:space'}}", "no file decides which code is run"),
        ("nas: {approach: dynas, dynas: {supernet: 'mine:space'}}", "no file decides which code is run"),
    ],
)
def test_files_that_cannot_be_meant(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_text(text)


def test_damaged_files_are_refused_in_one_line_or_read() -> None:
    whole, read = FILE.encode(), 0
    for seed in range(300):
        rng = Random(seed)
        Path("nas.yml").write_bytes(rng.choice(TEXT)(whole, rng))
        with contextlib.suppress(UserError):
            NASConfig.from_file("nas.yml")
            read += 1
    assert 0 < read < 200


def test_an_approach_that_is_not_there() -> None:
    with pytest.raises(UserError, match=r"unknown approach 'bsic'; did you mean 'basic'\?"):
        NAS(NASConfig(approach="bsic"))
    with pytest.raises(UserError, match=r"absent.yml: no such file"):
        NAS("absent.yml")
