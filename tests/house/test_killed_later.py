"""The later stages, killed in every window between two of their files; see `test_killed.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.test_killed import LATER, ends_the_same


@pytest.mark.slow
@pytest.mark.parametrize("stage", LATER)
def test_killed_in_every_window_it_ends_the_same(stage: str, tmp_path: Path) -> None:
    ends_the_same(stage, tmp_path)
