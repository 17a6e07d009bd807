"""Files of benchmarks: ours, an .npz with a checksum, and two published ones that are arrays already.

Ours holds arrays only: `format`, `benchmark`, `dataset`, `keying` and `notes` as text, `keys`, `epochs`, `validation`,
`test`, `seconds`, `params`, `flops`, and `score_names` with `scores` and `score_seconds`, a column for each
(`search.tabular.benchmark` has the shapes).
"""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError, choose
from config_file.files import atomic_write_bytes
from config_file.readers.arrays import MOST_BYTES, array_names, read_arrays
from config_file.readers.checksum import check_zip, seal_zip
from config_file.readers.door import read_bytes, reading
from search.tabular.benchmark import Benchmark
from search.tabular.benchmarks import BENCHMARKS

FOLDER = "NAS_SHARED_DATA"
FORMAT = "table of a benchmark 1"
_ARRAYS = ("keys", "validation", "test", "seconds", "params", "flops")
_TEXTS = ("format", "benchmark", "dataset", "keying")
_NAMED = ("epochs", "notes", "score_names", "scores", "score_seconds")

Arrays = Mapping[str, NDArray[Any]]


def find_benchmark(name: str, dataset: str | None = None, file: str | Path | None = None) -> Benchmark:
    """Read the table of a benchmark.

    Args:
        name: in `BENCHMARKS`.
        dataset: one of the benchmark's; None: the one of the file, or its first.
        file: the table; None: NAME_DATASET.npz, or the published file, in the folder that NAS_SHARED_DATA names.

    Raises:
        UserError: an unknown name or data set, no such file, or one that is of another benchmark or data set, damaged,
            or no table.
    """
    kind = BENCHMARKS[name]
    if dataset is not None:
        dataset = choose(f"data set of {kind.title}", dataset, {title: title for title in kind.datasets})
    path = _in_folder(name, dataset or next(iter(kind.datasets))) if file is None else Path(file).expanduser()
    found = read_benchmark(path, dataset)
    if found.name != name:
        raise UserError(f"{path} is a table of {found.kind.title}, not of {kind.title}")
    if dataset not in (None, found.dataset):
        raise UserError(f"{path} is of {found.dataset}, not of {dataset}")
    return found


def _in_folder(name: str, dataset: str) -> Path:
    file, folder = f"{name}_{dataset}.npz", os.environ.get(FOLDER)
    if folder is None:
        raise UserError(f"the table of {BENCHMARKS[name].title}: give --table FILE, or {FOLDER}, the folder of {file}")
    path = Path(folder) / file
    published = Path(folder) / _PUBLISHED[name][0] if name in _PUBLISHED else path
    if not path.is_file() and not published.is_file():
        raise UserError(f"the table of {BENCHMARKS[name].title}: no such file {path} (or give --table FILE)")
    return path if path.is_file() else published


def read_benchmark(path: str | Path, dataset: str | None = None) -> Benchmark:
    """The table in a file; `dataset` says which one of a file that has several. Raises UserError."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"--table: no such file {path}")
    names = array_names(path)
    with reading(path, "is damaged, or not a table of a benchmark"):
        if "format" in names:
            return _ours(path)
        for name, (_, needed, make) in _PUBLISHED.items():
            if names.issuperset(needed):
                return make(read_arrays(path, needed), dataset or next(iter(BENCHMARKS[name].datasets)))
    raise UserError(f"{path} is not a table of a benchmark (python -m search.tabular convert makes one)")


def _ours(path: Path) -> Benchmark:
    check_zip(read_bytes(path, MOST_BYTES), path)
    arrays = read_arrays(path, (*_TEXTS, *_ARRAYS, *_NAMED))
    texts = {name: str(arrays[name]) for name in _TEXTS}
    if texts["format"] != FORMAT:
        raise UserError(f"{path}: the format {texts['format']:.40} is not {FORMAT!r}: of a later version?")
    kind = choose("benchmark", texts["benchmark"], BENCHMARKS)
    choose("data set", texts["dataset"], {title: title for title in kind.datasets})
    curves = {name: _floats(arrays[name]) for name in ("validation", "test", "seconds", "params", "flops")}
    scores = {
        str(score): (_floats(arrays["scores"][:, column]), _floats(arrays["score_seconds"][:, column]))
        for column, score in enumerate(arrays["score_names"])
    }
    return Benchmark(
        name=texts["benchmark"],
        dataset=texts["dataset"],
        keys=arrays["keys"],
        epochs=tuple(arrays["epochs"].tolist()),
        **curves,
        scores=scores,
        keying=texts["keying"],
        notes=[str(note) for note in arrays["notes"]],
    )


def write_benchmark(path: str | Path, benchmark: Benchmark) -> None:
    """Write a table, with a checksum. Curves are kept to seven digits."""
    names = [name for name in benchmark.scores if name not in ("params", "flops")]
    columns = [np.stack([benchmark.scores[name][part] for name in names], 1) if names else None for part in (0, 1)]
    scores, seconds = (np.zeros((len(benchmark), 0)) if column is None else column for column in columns)
    arrays: dict[str, Any] = {
        "format": FORMAT,
        "benchmark": benchmark.name,
        "dataset": benchmark.dataset,
        "keying": benchmark.keying,
        "notes": np.array(list(benchmark.notes), dtype=np.str_),
        "epochs": np.array(benchmark.epochs),
        "score_names": np.array(names, dtype=np.str_),
        "scores": scores,
        "score_seconds": seconds,
        **{name: getattr(benchmark, name) for name in _ARRAYS},
    }
    for name in ("validation", "seconds", "test"):
        arrays[name] = arrays[name].astype(np.float32)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    seal_zip(file)
    atomic_write_bytes(path, file.getbuffer())


def _floats(array: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(array, dtype=np.float64)


def _nasbench201(arrays: Arrays, dataset: str) -> Benchmark:
    """NAS-Bench-201 after 12 and 200 epochs.

    `val_acc_200_naslib` is the validation accuracy after 200: the pooled columns hold test images. Trainings of 12
    epochs had a schedule of their own; that going on from 12 costs 188 more is the convention of who searches it. The
    seconds of CIFAR-10 are those of its half of the training images already.
    """
    column = [str(name) for name in arrays["datasets"]].index(dataset)
    validation = np.stack([arrays["val_acc_12"][:, column], arrays["val_acc_200_naslib"][:, column]], 1)
    seconds = _floats(arrays["train_seconds_200ep"])[:, column]
    flops = 1e6 * _floats(arrays["flops_m_convonly_unverified"])[:, column]
    zen = _floats(arrays["zen"])[:, column], _floats(arrays["zen_seconds"])[:, column]
    return Benchmark(
        "nasbench201",
        dataset,
        arrays["arch"],
        (12, 200),
        _floats(validation) / 100,
        _floats(arrays["test_acc_200"])[:, column] / 100,
        np.stack([seconds * 12 / 200, seconds], 1),
        np.round(1e6 * _floats(arrays["params_m"])[:, column]),
        np.round(flops),
        {"zen": zen},
        notes=["after 12 epochs: trainings with a schedule of their own, which later ones do not go on from"],
    )


def _nasbench_macro(arrays: Arrays, dataset: str) -> Benchmark:
    """NAS-Bench-Macro: three trainings, all judged on the test images. One is what a search sees, two judge it."""
    trainings = _floats(arrays["test_acc"]) / 100
    return Benchmark(
        "nasbench_macro",
        dataset,
        arrays["arch"],
        (50,),
        trainings[:, :1],
        trainings[:, 1:].mean(1),
        np.zeros((len(trainings), 1)),
        _floats(arrays["params"]),
        _floats(arrays["macs"]),
        notes=["selected by the first training, tested by the mean of two others: all on the same images"],
    )


_PUBLISHED = {
    "nasbench201": (
        "nb201.npz",
        ("arch", "datasets", "val_acc_12", "val_acc_200_naslib", "test_acc_200", "train_seconds_200ep", "params_m",
         "flops_m_convonly_unverified", "zen", "zen_seconds"),
        _nasbench201,
    ),
    "nasbench_macro": (
        "nasbench_macro_cifar10.npz", ("arch", "test_acc", "mean_acc", "macs", "params"), _nasbench_macro
    ),
}  # fmt: skip
"""{benchmark: (file, its arrays, what makes the table of them)}."""
