"""Public files of benchmarks, read into tables: pickles of plain data, of which nothing is called, and JSON.

- nasbench201, MF-NAS's `[NB201][DATASET]_data.p`: {"200": {"342201": {val_acc, test_acc: 200 fractions, train_time:
  seconds of an epoch, params, FLOPs}}}; a digit for each edge, operations and edges in the order of our decisions. Its
  seconds of CIFAR-10 are those of all training images, twice those that its search trains on: they are halved.
- nasbench101, MF-NAS's `[NB101]_data.p`: {"4": {hash: {val_acc, test_acc, train_time: seconds, n_params, flops}}, "12":
  ..., "36": ..., "108": ...}; or the benchmark's own .tfrecord (`search.tabular.nasbench101_records`).
- nasbench_asr, MF-NAS's `[NBASR]_data.p`: {hash: {val_per: 40 fractions, test_per, params, FLOPs}}; or the benchmark's
  own nb-asr-e40-SEED.pickle, one or several that are averaged, and nb-asr-info.pickle.

Scores: NAS-Bench-Suite-Zero's zc_nasbench201.json, {data set: {"(0, 1, 2, 3, 4, 0)": {score: {score, time}}}}, whose
operations and edges have another order; MF-NAS's `[NB101]_zc_data.p` and `[NBASR]_zc_data.p`, {hash: {score: number}}.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from config_file.errors import UserError
from config_file.readers.door import MEBI, reading
from config_file.readers.json_text import parse_json, read_json
from search.tabular.benchmark import Benchmark, Vector
from search.tabular.nasbench101_records import nasbench101_of_records
from training.data.pickled_arrays import load_all_arrays

MOST_BYTES = 2048 * MEBI

SECONDS_OF_SCORES = {
    "synflow": 1.4356617, "params": 0.3021582, "flops": 0.3021582, "grad_norm": 2.0359460, "grasp": 5.5705468,
    "jacov": 2.5207842, "snip": 2.0287584, "fisher": 2.6102840,
}  # fmt: skip
"""Seconds of a score of NAS-Bench-101, which its file does not have: MF-NAS charges the same for every network."""

NAMES = {"jacob_cov": "jacov", "epe-nas": "epe_nas"}
"""Scores by another name."""

SUITE_OPS = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
OUR_OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
SUITE_EDGES = (0, 1, 3, 2, 4, 5)
"""Of our edges (1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2) the place of each in NAS-Bench-Suite-Zero's."""

Scores = Mapping[str, tuple[Vector, Vector]]


def nasbench201(files: Sequence[Path], dataset: str, scores: Path | None) -> Benchmark:
    """The table in MF-NAS's file. Raises UserError where it is none."""
    path, content = _only(files)
    with reading(path, "is not MF-NAS's table of NAS-Bench-201"):
        networks = content["200"]
        keys = np.array([_digits(digits) for digits in networks])
        rows = list(networks.values())
        validation = _column(rows, "val_acc")
        epochs = validation.shape[1]
        each = _column(rows, "train_time") / (2 if dataset == "cifar10" else 1)
        return Benchmark(
            "nasbench201",
            dataset,
            keys,
            tuple(range(1, epochs + 1)),
            validation,
            _column(rows, "test_acc")[:, -1],
            each[:, None] * np.arange(1, epochs + 1),
            _counts(rows, "params"),
            _counts(rows, "FLOPs"),
            _suite_scores(scores, dataset, keys) if scores else {},
            notes=["from MF-NAS's file" + (", its seconds halved" if dataset == "cifar10" else "")],
        )


def nasbench101(files: Sequence[Path], dataset: str, scores: Path | None) -> Benchmark:
    """The table in MF-NAS's file or the benchmark's own. Raises UserError where it is none."""
    if files[0].suffix == ".tfrecord":
        if len(files) > 1 or scores is not None:
            raise UserError(f"--file {files[0]}: the benchmark's records are one file, without scores")
        return nasbench101_of_records(files[0])
    path, content = _only(files)
    with reading(path, "is not MF-NAS's table of NAS-Bench-101"):
        epochs = sorted(content, key=int)
        hashes = list(content[epochs[-1]])
        rungs = [[content[number][key] for key in hashes] for number in epochs]
        return Benchmark(
            "nasbench101",
            dataset,
            np.array(hashes),
            tuple(map(int, epochs)),
            np.stack([_column(rows, "val_acc") for rows in rungs], 1),
            _column(rungs[-1], "test_acc"),
            np.maximum.accumulate(np.stack([_column(rows, "train_time") for rows in rungs], 1), axis=1),
            _counts(rungs[-1], "n_params"),
            _counts(rungs[-1], "flops"),
            _scores_by_hash(scores, hashes, SECONDS_OF_SCORES) if scores else {},
            keying="hash",
            notes=["from MF-NAS's file"],
        )


def nasbench_asr(files: Sequence[Path], dataset: str, scores: Path | None) -> Benchmark:
    """The table in MF-NAS's file, or the mean of the benchmark's own. Raises UserError where they are none."""
    contents = [load_all_arrays(path, MOST_BYTES) for path in files]
    with reading(files[0], "is not a table of NAS-Bench-ASR"):
        own = [content for content in contents if len(content) > 1]
        if own and len(own) < len(contents):
            raise ValueError("files of MF-NAS and of the benchmark do not go together")
        if not own and len(contents) > 1:
            raise ValueError("MF-NAS's table is one file")
        networks = _own_files(own) if own else contents[0][0]
        hashes, rows = list(networks), list(networks.values())
        validation = _column(rows, "val_per")
        return Benchmark(
            "nasbench_asr",
            dataset,
            np.array(hashes),
            tuple(range(1, validation.shape[1] + 1)),
            np.clip(validation, 0, 1),
            np.clip(_column(rows, "test_per"), 0, 1),
            np.zeros_like(validation),
            _counts(rows, "params"),
            _counts(rows, "FLOPs"),
            _scores_by_hash(scores, hashes, {}) if scores else {},
            keying="hash",
            notes=["from the benchmark's files" if own else "from MF-NAS's file", "error rates above 1 are 1"],
        )


PUBLIC: dict[str, Callable[[Sequence[Path], str, Path | None], Benchmark]] = {
    "nasbench101": nasbench101,
    "nasbench201": nasbench201,
    "nasbench_asr": nasbench_asr,
}
"""By benchmark: (files, data set, file of scores) -> table."""


# ---- tables


def _only(files: Sequence[Path]) -> tuple[Path, Any]:
    if len(files) > 1:
        raise UserError(f"--file: {files[1]}: this benchmark's table is one file")
    return files[0], load_all_arrays(files[0], MOST_BYTES)[0]


def _digits(text: str) -> list[int]:
    if len(text) != len(SUITE_EDGES) or not set(text) <= set("01234"):
        raise ValueError(f"{text!r:.40} is no network: six digits from 0 to 4")
    return [int(digit) for digit in text]


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> Vector:
    return np.array([row[name] for row in rows], dtype=np.float64)


def _counts(rows: Sequence[Mapping[str, Any]], name: str) -> Vector:
    """Parameters or operations, under the name in any case of letters; such small numbers are millions."""
    counts = _column(rows, next((key for key in rows[0] if key.lower() == name.lower()), name))
    return np.round(1e6 * counts) if counts.max() < 1e5 else counts


def _own_files(contents: Sequence[Sequence[Any]]) -> dict[str, dict[str, Any]]:
    """{hash: columns} of the benchmark's files, those of several seeds averaged."""
    trained: list[dict[str, dict[str, Any]]] = []
    about: dict[str, dict[str, Any]] = {}
    for header, data, *_ in contents:
        key, *columns = header["columns"]
        if key != "model_hash":
            raise ValueError(f"its first column is {key!r:.40}, not 'model_hash'")
        rows = {row[0]: dict(zip(columns, row[1:], strict=False)) for row in data}
        match header["dataset_type"]:
            case "training":
                trained.append(rows)
            case "static":
                about = rows
            case other:
                raise ValueError(f"a file of {other!r:.40} has no errors of networks")
    if not trained:
        raise ValueError("no file has trainings (nb-asr-e40-1234.pickle)")
    if not about:
        raise ValueError("no file has the numbers of parameters (nb-asr-info.pickle)")
    mean = {
        name: {key: np.mean([seed[key][name] for seed in trained], axis=0) for key in trained[0]}
        for name in ("val_per", "test_per")
    }
    return {
        key: {name: mean[name][key] for name in mean}
        | {"params": about[key]["params"], "FLOPs": about[key].get("flops", 0)}
        for key in trained[0]
    }


# ---- scores


def _suite_scores(path: Path, dataset: str, keys: np.ndarray) -> Scores:
    content = read_json(path)
    with reading(path, "is not NAS-Bench-Suite-Zero's file of NAS-Bench-201"):
        if dataset not in content:
            raise UserError(f"{path} has no scores of {dataset} (there are: {', '.join(content)})")
        translated = {}
        for text, found in content[dataset].items():
            theirs = parse_json(text.replace("(", "[").replace(")", "]"), path)
            ours = tuple(OUR_OPS.index(SUITE_OPS[theirs[place]]) for place in SUITE_EDGES)
            translated[ours] = {name: (cell["score"], cell["time"]) for name, cell in found.items()
                                if isinstance(cell, Mapping) and "score" in cell}  # fmt: skip
        return _columns([translated.get(tuple(key), {}) for key in keys.tolist()])


def _scores_by_hash(path: Path, hashes: Sequence[str], seconds: Mapping[str, float]) -> Scores:
    content = load_all_arrays(path, MOST_BYTES)[0]
    with reading(path, "is not MF-NAS's file of scores"):
        rows = [
            {name: (score, seconds.get(NAMES.get(name, name), 0)) for name, score in content.get(key, {}).items()
             if isinstance(score, float | int)}
            for key in hashes
        ]  # fmt: skip
        return _columns(rows)


def _columns(rows: Sequence[Mapping[str, tuple[float, float]]]) -> Scores:
    """A column for each score, by our names; NaN where a network has none."""
    names = dict.fromkeys(name for row in rows for name in row)
    if not names:
        raise ValueError("it has no scores of these networks")
    return {
        NAMES.get(name, name): (
            np.array([row.get(name, (np.nan, 0))[0] for row in rows], dtype=np.float64),
            np.array([row.get(name, (np.nan, 0))[1] for row in rows], dtype=np.float64),
        )
        for name in names
    }
