"""The truth of a ranking: networks that were trained alone, from NAS-Bench-Macro, NAS-Bench-201 or a table."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError, choose
from config_file.readers.arrays import array_names, read_arrays
from config_file.readers.csv_text import read_csv
from config_file.readers.door import reading
from config_file.readers.numbers import number_in
from supernet import Architecture
from supernet.decisions import DecisionSpace
from supernet.saved import architecture_in

FOLDER = "NAS_SHARED_DATA"
FILES = {"nasbench_macro": "nasbench_macro_cifar10.npz", "nasbench201": "nb201.npz"}


@dataclass(frozen=True)
class Truth:
    """Accuracies of networks trained alone.

    Attributes:
        name: of the benchmark or file.
        accuracy: percent, mean over seeds, by architecture.
        seeds: (networks, seeds) accuracies in the order of `accuracy`; None where seeds are not known apart.
        costs: {metric: (networks,)} that the table itself gives.
    """

    name: str
    accuracy: Mapping[Architecture, float]
    seeds: NDArray[np.float64] | None = None
    costs: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError where the table cannot be one of accuracies."""
        values = np.array([*self.accuracy.values()])
        if not ((values >= 0) & (values <= 100)).all():
            raise ValueError("accuracies must be from 0 to 100")
        for rows in [] if self.seeds is None else [self.seeds, *self.costs.values()]:
            if len(rows) != len(values):
                raise ValueError(f"{len(rows)} rows for {len(values)} architectures")

    def rows(self, architectures: Sequence[Architecture]) -> list[int]:
        """The positions of architectures in `accuracy`, `seeds` and `costs`."""
        position = {architecture: index for index, architecture in enumerate(self.accuracy)}
        return [position[architecture] for architecture in architectures]


def load_truth(which: str, space: DecisionSpace | None = None, dataset: str = "cifar10") -> Truth:
    """Read a truth.

    Args:
        which: "nasbench_macro" or "nasbench201" (their files lie in the folder that NAS_SHARED_DATA names), such a file
            (.npz), or a CSV with the columns architecture and accuracy.
        space: what names of options in a CSV mean; without it architectures must be indices.
        dataset: of NAS-Bench-201.

    Raises:
        UserError: the file is missing, or not what it should be.
    """
    path = Path(which).expanduser()
    if path.suffix not in (".npz", ".csv"):
        file = choose("truth", which, FILES)
        if FOLDER not in os.environ:
            raise UserError(f"--truth {which}: {FOLDER} must name the folder of {file} (or give --truth FILE.npz)")
        path = Path(os.environ[FOLDER]) / file
    if not path.is_file():
        raise UserError(f"--truth: no such file {path}")
    if path.suffix == ".csv":
        with reading(path, "not a table of networks trained alone"):
            return _repeated(path.name, read_repeated(path, ("accuracy",), space))
    names = array_names(path)
    with reading(path, "it is damaged, or not a table of NAS-Bench-Macro or NAS-Bench-201"):
        if "mean_acc" in names:
            return _nasbench_macro(read_arrays(path, ("arch", "test_acc", "mean_acc", "macs", "params")))
        if "valtest_acc_200_seeds" in names:
            needed = ("arch", "datasets", "test_acc_200", "flops_m", "params_m", "valtest_acc_200_seeds")
            return _nasbench201(read_arrays(path, needed), dataset)
    raise UserError(f"{path} is not a table of NAS-Bench-Macro or NAS-Bench-201")


def _repeated(name: str, found: Mapping[Architecture, Sequence[float]]) -> Truth:
    """The means of what was trained several times, and the trainings apart if there are any."""
    seeds = np.full((len(found), max(map(len, found.values()), default=0)), np.nan)
    for row, numbers in zip(seeds, found.values(), strict=True):
        row[: len(numbers)] = numbers
    accuracy = {architecture: float(np.mean(numbers)) for architecture, numbers in found.items()}
    return Truth(name, accuracy, seeds if seeds.shape[1] > 1 else None)


def _nasbench_macro(table: Mapping[str, NDArray]) -> Truth:
    architectures = [tuple(map(int, row)) for row in table["arch"]]
    seeds = np.asarray(table["test_acc"], dtype=np.float64)
    costs = {"flops": table["macs"].astype(np.float64), "params": table["params"].astype(np.float64)}
    mean = np.asarray(table["mean_acc"], dtype=np.float64)
    return Truth("NAS-Bench-Macro", dict(zip(architectures, map(float, mean), strict=True)), seeds, costs)


def _nasbench201(table: Mapping[str, NDArray], dataset: str) -> Truth:
    """Networks trained for 200 epochs. Seeds are judged on validation (and test) images; NaN where one is missing."""
    which = [str(name) for name in table["datasets"]].index(dataset)
    architectures = [tuple(map(int, row)) for row in table["arch"]]
    mean = np.asarray(table["test_acc_200"], dtype=np.float64)[:, which]
    costs = {
        metric: 1e6 * np.asarray(table[f"{metric}_m"], dtype=np.float64)[:, which] for metric in ("flops", "params")
    }
    accuracy = dict(zip(architectures, map(float, mean), strict=True))
    seeds = np.asarray(table["valtest_acc_200_seeds"], dtype=np.float64)[:, which]
    return Truth(f"NAS-Bench-201, {dataset}", accuracy, seeds, costs)


def read_scores(path: Path, names: Sequence[str], space: DecisionSpace | None = None) -> dict[Architecture, float]:
    """The means of `read_repeated`, by architecture. Raises UserError."""
    return {row: float(np.mean(numbers)) for row, numbers in read_repeated(path, names, space).items()}


def read_repeated(
    path: Path, names: Sequence[str], space: DecisionSpace | None = None
) -> dict[Architecture, list[float]]:
    """{architecture: numbers} of a CSV file with the columns `architecture` (or `indices`) and the first of `names`.

    Rows of one architecture are repetitions, such as seeds. Rows without a number, such as those of failed evaluations,
    are left out. An architecture is written as `supernet.saved.architecture_in` takes it.

    Raises:
        UserError: the file or a column is missing, or a row is not an architecture of the space.
    """
    columns, rows = read_csv(path)
    key = "indices" if "indices" in columns else "architecture"
    column = next((name for name in names if name in columns), names[-1])
    for name in (key, column):
        if name not in columns:
            raise UserError(f"{path} has no column {name!r}: it needs architecture and {column}")
    found: dict[Architecture, list[float]] = {}
    for line, row in rows:
        if row[column] not in ("", "nan"):
            number = number_in(row[column], f"{path}, line {line}: {column}")
            found.setdefault(architecture_in(row[key], space, f"{path}, line {line}"), []).append(number)
    return found
