"""Public files of benchmarks, made small in the documented forms, and what `convert` makes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config_file.errors import UserError
from search.tabular import Benchmark, find_benchmark
from search.tabular.cli import main
from search.tabular.nasbench_asr import cell_hash
from supernet.spaces.nasbench101 import EDGES
from tests.search.tabular.pickles import pickled

FIRST = (
    [(0, 1), (0, 4), (0, 5), (1, 2), (2, 3), (2, 6), (3, 5), (4, 5), (5, 6)],
    (0, 2, 0, 0, 1),
)
"""The first network of NAS-Bench-101's file, whose hash is published: edges, and 3x3, max pool, 3x3, 3x3, 1x1."""

HASH = "00005c142e6f48ac74fdcf73e3439874"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(content: Any, name: str = "data.p") -> str:
    Path(name).write_bytes(pickled(content))
    return name


def converted(benchmark: str, *more: str) -> Benchmark:
    main(["convert", "--benchmark", benchmark, "--output", "table.npz", *more])
    return find_benchmark(benchmark, None, "table.npz")


def curve(last: float) -> list[float]:
    return [last * (epoch + 1) / 200 for epoch in range(200)]


def of_201(**changes: Any) -> dict[str, Any]:
    entry = {"val_acc": curve(0.9), "test_acc": curve(0.92), "train_acc": curve(1.0), "train_time": 20.0, "params": 1.5,
             "FLOPs": 220.0} | changes  # fmt: skip
    return {"200": {"333333": entry, "012340": entry | {"val_acc": curve(0.5), "train_time": 8.0, "FLOPs": 30.5}}}


def test_nasbench201() -> None:
    scores = {"cifar100": {
        # skip_connect, none, 3x3, 1x1, avg_pool; edges 1-2, 1-3, 1-4, 2-3, 2-4, 3-4, counted from 1
        "(2, 2, 2, 2, 2, 2)": {"synflow": {"score": 90.0, "time": 0.5}, "val_accuracy": 70.0},
        "(1, 0, 2, 3, 4, 1)": {"synflow": {"score": 30.0, "time": 0.25}},
    }}  # fmt: skip
    Path("zc.json").write_text(json.dumps(scores))
    files = ["--file", write(of_201()), "--scores", "zc.json"]
    found = converted("nasbench201", "--table-dataset", "cifar100", *files)
    # 012340: none on 1<-0, skip on 2<-0, 1x1 on 2<-1, 3x3 on 3<-0, pool on 3<-1, none on 3<-2
    large, small = found.row((3, 3, 3, 3, 3, 3)), found.row((0, 1, 2, 3, 4, 0))
    assert found.epochs == tuple(range(1, 201))
    assert found.validation[[large, small], -1].tolist() == pytest.approx([0.9, 0.5])
    assert found.validation[large, 11] == pytest.approx(0.9 * 12 / 200)
    assert found.test[large] == pytest.approx(0.92)
    assert found.spent(small, 11) == {"epochs": 12, "seconds": pytest.approx(96)}
    assert (found.params[large], found.flops[small]) == (1_500_000, 30_500_000)
    values, seconds = found.scores["synflow"]
    # theirs: 1-2 none, 1-3 skip, 1-4 3x3, 2-3 1x1, 2-4 pool, 3-4 none
    assert (values[small], seconds[small], values[large]) == (30, 0.25, 90)


def test_the_seconds_of_cifar10_are_halved_as_mf_nas_does() -> None:
    found = converted("nasbench201", "--file", write(of_201()))
    assert found.spent(found.row((3, 3, 3, 3, 3, 3)), 199)["seconds"] == pytest.approx(2000)
    assert any("halved" in note for note in found.notes)


@pytest.mark.parametrize(
    "changes", [{"val_acc": np.array(curve(0.9))}, {"train_time": np.float64(20.0)}, {"params": np.float32(1.5)}]
)
def test_numbers_of_numpy_are_numbers(changes: dict[str, Any]) -> None:
    content = of_201()
    content["200"]["333333"] |= changes
    found = converted("nasbench201", "--table-dataset", "cifar100", "--file", write(content))
    row = found.row((3, 3, 3, 3, 3, 3))
    assert found.spent(row, 0)["seconds"] == pytest.approx(20)
    assert found.validation[row, -1] == pytest.approx(0.9)
    assert found.params[row] == 1_500_000


def test_nasbench101() -> None:
    """A cell is found by the published hash of its graph, as the published file names it."""
    other = "f" * 32
    content = {
        str(epochs): {
            key: {"val_acc": value, "test_acc": value - 0.01, "train_acc": 1.0, "train_time": 10.0 * epochs,
                  "n_params": 8_555_530, "flops": 2.4e9}
            for key, value in ((HASH, 0.5 + epochs / 400), (other, 0.4))
        }
        for epochs in (4, 12, 36, 108)
    }  # fmt: skip
    scores = write({HASH: {"synflow": 3.5, "jacob_cov": -2.0}, other: {"synflow": float("nan")}}, "zc.p")
    found = converted("nasbench101", "--file", write(content), "--scores", scores)
    edges, operations = FIRST
    architecture = (*(int(edge in edges) for edge in EDGES), *operations)
    row = found.row(architecture)
    assert found.epochs == (4, 12, 36, 108)
    assert found.validation[row].tolist() == pytest.approx([0.51, 0.53, 0.59, 0.77])
    assert found.spent(row, 2) == {"epochs": 36, "seconds": pytest.approx(360)}
    assert (found.params[row], found.flops[row]) == (8_555_530, 2.4e9)
    assert found.scores["synflow"][0].tolist() == [3.5, -np.inf]  # a score that is no number never wins
    assert found.scores["jacov"][1][row] == pytest.approx(2.5207842)
    # the same cell with its two branches into vertex 5 in the other order, and one that dangles
    isomorphic = [(0, 2), (0, 1), (0, 5), (2, 3), (3, 4), (3, 6), (4, 5), (1, 5), (5, 6)]
    assert found.row((*(int(edge in isomorphic) for edge in EDGES), 0, 0, 2, 0, 1)) == row
    with pytest.raises(KeyError):
        found.row((*(int(edge == (0, 6)) for edge in EDGES), 0, 0, 0, 0, 0))


ARCHITECTURES = [(0, 0, 1, 0, 0, 2, 0, 0, 0), (3, 1, 4, 0, 1, 2, 0, 1, 0)]


def test_nasbench_asr_of_mf_nas() -> None:
    content = {
        cell_hash(architecture): {"val_per": [0.9, 1.2, 0.3], "test_per": 0.25, "FLOPs": 5e8, "params": 2e7}
        for architecture in ARCHITECTURES
    }
    found = converted("nasbench_asr", "--file", write(content))
    row = found.row(ARCHITECTURES[1])
    assert found.validation[row].tolist() == pytest.approx([0.9, 1, 0.3])
    assert found.spent(row, 2) == {"epochs": 3}
    assert (found.test[row], found.params[row], found.flops[row]) == (pytest.approx(0.25), 2e7, 5e8)


def test_nasbench_asr_of_the_benchmark_is_the_mean_of_its_seeds() -> None:
    """Files as the benchmark's own reader takes them: a header and rows, two pickles in one file."""

    def file(name: str, header: Mapping[str, Any], rows: list[list[Any]]) -> str:
        about = {"version": 2, "search_space": {"nodes": 3}} | header
        Path(name).write_bytes(pickled(about) + pickled(rows))
        return name

    hashes = [cell_hash(architecture) for architecture in ARCHITECTURES]
    columns = ["model_hash", "val_per", "test_per", "arch_vec"]
    files = [
        file(
            f"{seed}.pickle",
            {"dataset_type": "training", "seed": seed, "epochs": 2, "columns": columns},
            [[key, [0.8, 0.2 + 0.1 * seed], 0.4 + 0.1 * seed, [[0, 0]]] for key in hashes],
        )
        for seed in (0, 2)
    ]
    columns = ["model_hash", "params", "flops"]
    files.append(
        file("info.pickle", {"dataset_type": "static", "columns": columns}, [[key, 10**7, 10**9] for key in hashes])
    )
    found = converted("nasbench_asr", "--file", ",".join(files))
    row = found.row(ARCHITECTURES[0])
    assert found.validation[row].tolist() == pytest.approx([0.8, 0.3])
    assert found.test[row] == pytest.approx(0.5)
    with pytest.raises(UserError, match="no file has the numbers of parameters"):
        converted("nasbench_asr", "--file", files[0])


@pytest.mark.parametrize(
    ("benchmark", "content", "message"),
    [
        ("nasbench201", {"12": {}}, "data.p is not MF-NAS's table of NAS-Bench-201: it lacks '200'"),
        ("nasbench201", {"200": {"333": {}}}, "'333' is no network: six digits from 0 to 4"),
        ("nasbench201", {"200": {}}, "data.p is not MF-NAS's table of NAS-Bench-201"),
        ("nasbench201", of_201(test_acc=curve(92.0)), "test must be fractions, from 0 to 1"),
        ("nasbench201", of_201(val_acc=[0.1]), "data.p is not MF-NAS's table of NAS-Bench-201"),
        ("nasbench101", [1, 2], "data.p is not MF-NAS's table of NAS-Bench-101"),
        ("nasbench_asr", {"0" * 32: {"val_per": "x"}}, "data.p is not a table of NAS-Bench-ASR"),
        ("nasbench_macro", {}, "--benchmark nasbench_macro"),
    ],
)
def test_what_is_no_such_file_is_one_line(benchmark: str, content: Any, message: str) -> None:
    with pytest.raises(UserError) as error:
        converted(benchmark, "--file", write(content))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not Path("table.npz").exists()


def test_nothing_of_a_pickle_is_called() -> None:
    Path("data.p").write_bytes(b"cposix\nsystem\n(S'touch mark'\ntR.")
    with pytest.raises(UserError, match=r"it asks for posix.system"):
        converted("nasbench101", "--file", "data.p")
    assert not Path("mark").exists()


def test_what_is_no_table_of_ours_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Path("table.npz").write_text("precious")
    with pytest.raises(UserError, match="exists and is not a table of ours; it is left alone"):
        main(["generate", "--output", "table.npz"])
    assert Path("table.npz").read_text() == "precious"
    main(["generate", "--benchmark", "nasbench_macro"])
    main(["generate", "--benchmark", "nasbench_macro", "--random-seed", "1"])  # over one of ours
    assert "NAS-Bench-Macro, cifar10: 6,561 networks after 50 epochs" in capsys.readouterr().out
    assert "seed 1" in find_benchmark("nasbench_macro", None, "tables/nasbench_macro_cifar10.npz").notes[0]
    with pytest.raises(UserError, match=r"--epochs 5,3 cannot be: epochs must rise"):
        main(["generate", "--epochs", "5,3"])
    with pytest.raises(UserError, match=r"unknown command 'conver'; did you mean 'convert'"):
        main(["conver"])
