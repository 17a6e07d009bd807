from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config_file.errors import UserError
from search.tabular import Benchmark, find_benchmark, write_benchmark
from search.tabular.nasbench_asr import SPACE, cell_hash
from search.tabular.scores import with_scores

ROWS = [(0, 0, 0, 0, 0, 0), (3, 3, 3, 3, 3, 3), (3, 1, 2, 0, 4, 3)]


def small(**changes: Any) -> Benchmark:
    """Three networks of NAS-Bench-201 after 4 and 12 epochs."""
    table = Benchmark(
        "nasbench201",
        "cifar10",
        np.array(ROWS),
        (4, 12),
        np.array([[0.1, 0.1], [0.7, 0.9], [0.75, 0.8]]),
        np.array([0.1, 0.91, 0.79]),
        np.array([[10.0, 30.0], [40.0, 120.0], [20.0, 60.0]]),
        np.array([73306.0, 1531546.0, 500000.0]),
        np.array([7.8e6, 220e6, 80e6]),
        {"synflow": (np.array([np.nan, 50.0, 40.0]), np.array([0.5, 0.6, 0.7]))},
        notes=["made up"],
    )
    return replace(table, **changes)


def test_rows_and_what_they_take() -> None:
    table = small()
    assert [table.row(architecture) for architecture in ROWS] == [0, 1, 2]
    assert table.spent(1, 0) == {"epochs": 4, "seconds": 40}
    assert replace(table, seconds=np.zeros((3, 2))).spent(1, 1) == {"epochs": 12}
    with pytest.raises(UserError, match=r"NAS-Bench-201, cifar10 has no results after 25 epochs \(there are: 4, 12\)"):
        table.rung(25)


def test_a_score_that_is_no_number_is_the_worst_and_costs_are_scores() -> None:
    table = small()
    assert table.scores["synflow"][0].tolist() == [-np.inf, 50, 40]
    assert table.scores["params"][0].tolist() == table.params.tolist()
    assert not table.scores["flops"][1].any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": (12, 4)}, "epochs must rise"),
        ({"test": np.array([0.1, 0.9])}, r"test has the shape \(2,\) in a table of 3 rows"),
        ({"test": np.array([10.0, 91.0, 79.0])}, "test must be fractions"),
        ({"seconds": np.array([[2.0, 1.0]] * 3)}, "seconds must rise"),
        ({"keys": np.array([ROWS[0], *ROWS[:2]])}, "a network is there twice"),
        ({"keying": "hash"}, "known by 'hash'"),
    ],
)
def test_what_cannot_be_a_table_is_none(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**changes)


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    table = small()
    write_benchmark(tmp_path / "table.npz", table)
    found = find_benchmark("nasbench201", None, tmp_path / "table.npz")
    assert (found.dataset, found.epochs, found.notes) == (table.dataset, table.epochs, table.notes)
    for name in ("keys", "validation", "test", "seconds", "params", "flops"):
        assert np.allclose(getattr(found, name), getattr(table, name), rtol=1e-6)
    assert found.scores["synflow"][0].tolist() == table.scores["synflow"][0].tolist()
    assert list(found.scores) == ["params", "flops", "synflow"]
    write_benchmark(tmp_path / "again.npz", found)
    assert find_benchmark("nasbench201", "cifar10", tmp_path / "again.npz").fingerprint == found.fingerprint


def test_another_table_has_another_fingerprint() -> None:
    table = small()
    assert small().fingerprint == table.fingerprint
    for changes in ({"test": table.test + 0.01}, {"seconds": 2 * table.seconds}, {"keys": table.keys[::-1]}):
        assert replace(table, **changes).fingerprint != table.fingerprint


def test_the_wrong_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "nasbench201_cifar10.npz"
    write_benchmark(path, small())
    with pytest.raises(UserError, match=r"npz is a table of NAS-Bench-201, not of NAS-Bench-ASR"):
        find_benchmark("nasbench_asr", None, path)
    with pytest.raises(UserError, match=r"npz is of cifar10, not of cifar100"):
        find_benchmark("nasbench201", "cifar100", path)
    with pytest.raises(UserError, match=r"unknown data set of NAS-Bench-201 'cifar11'; did you mean"):
        find_benchmark("nasbench201", "cifar11", path)
    with pytest.raises(UserError, match="no such file"):
        find_benchmark("nasbench201", None, tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(UserError, match=r"other\.npz is not a table of a benchmark"):
        find_benchmark("nasbench201", None, tmp_path / "other.npz")
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "damaged.npz").write_bytes(damaged)
    with pytest.raises(UserError, match=r"damaged\.npz"):
        find_benchmark("nasbench201", None, tmp_path / "damaged.npz")
    monkeypatch.delenv("NAS_SHARED_DATA", raising=False)
    with pytest.raises(UserError, match=r"give --table FILE, or NAS_SHARED_DATA, the folder of nasbench201_cifar10"):
        find_benchmark("nasbench201")
    monkeypatch.setenv("NAS_SHARED_DATA", str(tmp_path))
    assert len(find_benchmark("nasbench201", "cifar10")) == 3


def test_scores_of_our_own(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(
        "place,architecture,indices,nwot,seconds,flops\n1,,3-3-3-3-3-3,7.5,0.25,220\n2,,0-0-0-0-0-0,,0.5,8\n"
    )
    values, seconds = with_scores(small(), path).scores["nwot"]
    assert values.tolist() == [-np.inf, 7.5, -np.inf]
    assert seconds.tolist() == [0.5, 0.25, 0]
    path.write_text("architecture,nwot\n1 1 1 1 1 1,3\n")
    with pytest.raises(UserError, match=r"line 2: NAS-Bench-201, cifar10 does not have this architecture"):
        with_scores(small(), path)
    path.write_text("architecture,goodness\n0 0 0 0 0 0,3\n")
    with pytest.raises(UserError, match="it has no score"):
        with_scores(small(), path)


# ---- NAS-Bench-ASR


def test_nasbench_asr_has_13824_encodings_of_8242_graphs() -> None:
    """The figures of the paper (Mehrotra et al. 2021)."""
    assert SPACE.size == 13_824
    assert len({cell_hash(architecture) for architecture in SPACE.enumerate()}) == 8242


def test_cells_of_nasbench_asr_that_are_one_graph_have_one_hash() -> None:
    zero, conv = 5, 1
    # behind a zero that nothing leads around, nothing is reached: whatever else is chosen, it is the empty graph
    assert cell_hash((zero, 0, conv, 0, 0, 2, 0, 0, 0)) == cell_hash((3, 0, zero, 0, 0, 4, 0, 0, 0))
    # a skip connection from a node that is zero adds nothing
    assert cell_hash((zero, 1, conv, 0, 0, conv, 0, 0, 0)) == cell_hash((zero, 1, conv, 0, 1, conv, 0, 1, 0))
    assert cell_hash((conv, 0, conv, 0, 0, conv, 0, 0, 0)) != cell_hash((conv, 1, conv, 0, 0, conv, 0, 0, 0))
