from __future__ import annotations

from pathlib import Path

import pytest

from config_file.errors import UserError
from search.reporting.finished_search import read_search
from supernet import build_space
from tests.search.reporting.test_report import make_run


def test_an_objective_that_nothing_was_asked_for_is_damage(tmp_path: Path) -> None:
    space = build_space("nasbench_macro", resolution=16, num_classes=4)
    folder = make_run(tmp_path / "run", space, 12, 0, objectives=["accuracy:max", "null:min"])
    with pytest.raises(UserError, match=r"best\.json, .* that is damaged or not of a search: .*null"):
        read_search(folder)
