"""Some damaged files of every kind: each is refused in one line, or read; `make fuzz` tries many."""

from __future__ import annotations

from pathlib import Path

import pytest

from supernet import SearchSpace
from tests.fuzz.fuzz import fuzz
from tests.fuzz.kinds import KINDS
from tests.fuzz.world import make_world

FILES = 200


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SearchSpace]:
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder, make_world(folder)


@pytest.mark.parametrize("name", KINDS)
def test_damage_ends_in_one_line(
    name: str, world: tuple[Path, SearchSpace], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, space = world
    monkeypatch.chdir(folder)
    kind = KINDS[name]
    found = fuzz(kind, space, range(max(10, FILES // kind.slow)))
    assert not found.bad, "\n".join(found.bad)
    assert found.tried > 0.8 * max(10, FILES // kind.slow)
    assert found.refused > 0.2 * found.tried
