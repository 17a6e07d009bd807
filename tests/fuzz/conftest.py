from __future__ import annotations

from pathlib import Path

import pytest

from supernet import SearchSpace
from tests.fuzz.world import make_world

World = tuple[Path, SearchSpace]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A folder with a whole file of every kind, and the space of most of them."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder, make_world(folder)
