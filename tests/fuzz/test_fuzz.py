"""Some damaged files of every kind: each is refused in one line, or read; `make fuzz` tries many."""

from __future__ import annotations

import pytest

from tests.fuzz.conftest import World
from tests.fuzz.fuzz import fuzz
from tests.fuzz.kinds import KINDS

FILES = 200


@pytest.mark.parametrize("name", KINDS)
def test_damage_ends_in_one_line(name: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, space = world
    monkeypatch.chdir(folder)
    kind = KINDS[name]
    count = max(10, FILES // kind.slow)
    found = fuzz(kind, space, range(count))
    assert not found.bad, "\n".join(found.bad)
    assert found.tried > 0.8 * count
    assert found.refused > 0.2 * found.tried
