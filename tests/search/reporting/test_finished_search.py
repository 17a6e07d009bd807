from __future__ import annotations

import json
from pathlib import Path

import pytest

from config_file.errors import UserError
from config_file.files import write_sealed
from search.comparison.contenders import table_of
from search.comparison.options import VerdictOptions
from search.reporting.finished_search import read_search
from search.reporting.report import compare
from supernet import SearchSpace, build_space
from tests.search.reporting.test_report import make_run


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return build_space("nasbench_macro", resolution=16, num_classes=4)


def test_an_objective_that_nothing_was_asked_for_is_damage(space: SearchSpace, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", space, 12, 0, objectives=["accuracy:max", "null:min"])
    with pytest.raises(UserError, match=r"best\.json, .* that is damaged or not of a search: .*null"):
        read_search(folder)


def test_a_search_need_not_say_what_nothing_can_do_without(space: SearchSpace, tmp_path: Path) -> None:
    best = make_run(tmp_path / "run", space, 12, 0) / "search/best.json"
    content = json.loads(best.read_text())
    for part, name in ((content, "checksum"), (content, "dataset"), (content["search"], "strategy")):
        del part[name]
    del content["search"]["info_metric"]
    write_sealed(best, content)
    search = read_search(best.parent.parent)
    assert {row["strategy"] for row in compare([search, search])["rows"]} == {"unknown"}
    table = table_of(VerdictOptions(title="x"), search)
    (value,) = table.cost([search.chosen])
    assert (table.name, value) == (search.metrics[0], search.best["cost"][search.metrics[0]])
