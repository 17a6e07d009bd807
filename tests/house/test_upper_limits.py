"""Numbers from a flag or a small file that would become a loop or an allocation have upper limits, refused at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from config_file.errors import UserError
from config_file.fields import options_of
from config_file.loader import parse
from config_file.options import with_registered
from deployment.options import ExportOptions
from lookup_tables.build import TableOptions
from lookup_tables.latency.fit import FitOptions
from lookup_tables.latency.kit import ImportOptions, KitOptions
from search.comparison.options import VerdictOptions
from search.options import SearchOptions
from search.pareto import reference_directions
from search.ranking.options import RankOptions
from supernet.cli import DescribeOptions
from supernet.cli import main as describe
from supernet.spaces import build_space
from training.options import RetrainOptions, TrainSupernetOptions

COMMANDS = (
    TrainSupernetOptions, SearchOptions, RetrainOptions, ExportOptions, TableOptions, KitOptions, ImportOptions,
    FitOptions, RankOptions, VerdictOptions, DescribeOptions,
)  # fmt: skip
SPACE: dict[str, Any] = {
    "name": "mine",
    "stem": 8,
    "head": 16,
    "candidates": ["k3e1", "skip"],
    "stages": [{"channels": 8, "depth": 1, "stride": 2}],
}
HUGE = 10**18


@pytest.mark.parametrize("command", COMMANDS)
def test_every_integer_of_a_command_has_an_upper_limit(command: type) -> None:
    title = ["--title", "x"] if "title" in options_of(command) else []
    tried = 0
    for spec in options_of(with_registered(command)).values():
        if spec.kind in (int, tuple):
            for text in (str(HUGE), "9" * 400):
                with pytest.raises(UserError, match=f"{spec.flag} (must be|takes)"):
                    parse(command, [*title, spec.flag, text], "prog", "")
            tried += 1
    assert tried > 2


@pytest.mark.parametrize("command", COMMANDS)
def test_no_number_of_a_command_can_become_infinite(command: type) -> None:
    title = ["--title", "x"] if "title" in options_of(command) else []
    for spec in options_of(with_registered(command)).values():
        if spec.kind is float:
            for text in ("1e300", "-1e300", "1e999", "nan"):
                with pytest.raises(UserError, match=f"{spec.flag} (must be|takes)"):
                    parse(command, [*title, f"{spec.flag}={text}"], "prog", "")


def at(path: Sequence[Any], value: Any) -> dict[str, Any]:
    content = json.loads(json.dumps(SPACE))
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return content


@pytest.mark.parametrize(
    "content",
    [
        at(["stages", 0, "depth"], 10**9),
        at(["stages", 0, "depth"], 20_000),
        at(["stages"], SPACE["stages"] * 20_000),
        at(["stages", 0, "channels"], HUGE),
        at(["stages", 0, "stride"], HUGE),
        at(["head"], 10**24),
        at(["stem"], 10**9),
        at(["first"], 10**9),
        at(["features"], 10**9),
        at(["candidates"], ["k999999999e1"]),
        at(["candidates"], ["k3e999999999"]),
        at(["candidates"], ["k3e1g999999999"]),
        at(["candidates"], ["k3e1" * 10**5]),
    ],
)
def test_a_space_is_no_larger_than_anybody_trains(content: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(json.dumps(content))
    kept = tmp_path / "kept.json"
    record = {"space_options": {"search_space": content}, "names": ["k3e1"]}
    kept.write_text(json.dumps(record))
    for attempt in (
        lambda: build_space(str(path)),
        lambda: describe(["--search-space", str(path)]),
        lambda: describe(["--architecture", str(kept)]),
    ):
        assert _seconds(attempt) < 3


@pytest.mark.parametrize(
    "settings",
    [
        {"resolution": HUGE}, {"num_classes": HUGE}, {"in_channels": HUGE}, {"widths": [HUGE, 16, 32]},
        {"widths": [2**17] * 3}, {"depths": [HUGE]}, {"depths": [20_000]}, {"strides": [HUGE, 2]},
    ],
)  # fmt: skip
def test_settings_of_a_space_have_upper_limits(settings: dict[str, Any]) -> None:
    def attempt() -> None:
        build_space({**SPACE, "candidates": ["k5e6"]}, **({"num_classes": 10**6} | settings))

    assert _seconds(attempt) < 3


def _seconds(attempt: Callable[[], object]) -> float:
    began = time.perf_counter()
    with pytest.raises(UserError) as caught:
        attempt()
    assert len(str(caught.value)) < 1000
    return time.perf_counter() - began


def test_the_largest_population_has_its_reference_directions_soon() -> None:
    began = time.perf_counter()
    for objectives in (2, 3, 4):
        found = reference_directions(objectives, 10**5)
        assert 0.9 * 10**5 < len(found) <= 10**5
    assert time.perf_counter() - began < 5
