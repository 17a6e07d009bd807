from __future__ import annotations

from pathlib import Path

import pytest

from config_file.errors import UserError
from config_file.loader import parse
from search.comparison.contenders import SAME_COST, line_up, table_of
from search.comparison.options import VerdictOptions
from search.reporting.finished_search import read_search
from supernet import build_space
from tests.search.reporting.test_report import make_run

WIDER = ("--widths", "8,12,16,24,48", "--resolution", "24")


def test_networks_are_those_that_retraining_with_the_same_flags_makes(tmp_path: Path) -> None:
    narrow = build_space("nasbench_macro", resolution=16, num_classes=4, widths=(4, 4, 6, 8, 16))
    search = read_search(make_run(tmp_path / "run", narrow, 12, 0))
    options = parse(VerdictOptions, ["--title", "x", *WIDER, "--random-networks", "4"], "verdict", "")
    table = table_of(options, search)
    contenders = line_up(options, [search], table)
    wide = build_space("nasbench_macro", resolution=24, num_classes=4, widths=(8, 12, 16, 24, 48))
    expected = wide.decode(search.chosen).macs((3, 24, 24))
    found, others = ([one for one in contenders if one.arm == arm] for arm in ("found", "random"))
    assert {one.spec.macs((3, 24, 24)) for one in found} == {one.cost for one in found} == {expected}
    assert len(others) == 4
    assert all(abs(one.spec.macs((3, 24, 24)) / expected - 1) <= SAME_COST for one in others)


def test_what_a_supernet_of_cells_has_for_sharing_is_not_for_networks_alone(tmp_path: Path) -> None:
    shared, alone = (
        build_space("darts", resolution=8, num_classes=4, widths=(2,), depths=(2,), affine=affine)
        for affine in (False, None)
    )
    search = read_search(make_run(tmp_path / "run", shared, 8, 0))
    options = parse(VerdictOptions, ["--title", "x", "--random-networks", "2"], "verdict", "")
    found, *_ = line_up(options, [search], table_of(options, search))
    assert found.spec.params((3, 8, 8)) == alone.decode(search.chosen).params((3, 8, 8))
    assert found.spec.params((3, 8, 8)) > shared.decode(search.chosen).params((3, 8, 8))


def test_networks_of_other_decisions_are_refused(tmp_path: Path) -> None:
    search = read_search(make_run(tmp_path / "run", build_space("spos", resolution=16, num_classes=4), 12, 0))
    options = parse(VerdictOptions, ["--title", "x", "--depths", "2,2,2,2"], "verdict", "")
    with pytest.raises(UserError, match=r"--depths .*: the network in .* is of another one"):
        table_of(options, search)
