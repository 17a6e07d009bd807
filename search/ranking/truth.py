"""The truth of a ranking: networks that were trained alone, from NAS-Bench-Macro, NAS-Bench-201 or a table."""

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError, choose
from supernet import Architecture
from supernet.decisions import DecisionSpace

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
        return Truth(path.name, read_scores(path, ("accuracy",), space))
    try:
        with np.load(path, allow_pickle=False) as table:
            if "mean_acc" in table:
                return _nasbench_macro(table)
            if "valtest_acc_200_seeds" in table:
                return _nasbench201(table, dataset)
    except (OSError, ValueError, KeyError):
        raise UserError(f"{path} is damaged: not a table of NAS-Bench-Macro or NAS-Bench-201") from None
    raise UserError(f"{path} is not a table of NAS-Bench-Macro or NAS-Bench-201")


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
    """{architecture: number} of a CSV file with the columns `architecture` (or `indices`) and the first of `names`.

    An architecture is its options with spaces in between, as names (with a space) or indices; "-" or "," may stand in
    between as well. Rows without a number, such as those of failed evaluations, are left out.

    Raises:
        UserError: the file or a column is missing, or a row is not an architecture of the space.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise UserError(f"{path}: not a CSV file that can be read") from None
    columns = list(rows[0]) if rows else []
    key = "indices" if "indices" in columns else "architecture"
    column = next((name for name in names if name in columns), names[-1])
    for name in (key, column):
        if name not in columns:
            raise UserError(f"{path} has no column {name!r}: it needs architecture and {column}")
    found: dict[Architecture, float] = {}
    for line, row in enumerate(rows, start=2):
        text = str(row[column] or "").strip()
        if text:
            try:
                number = float(text)
            except ValueError:
                raise UserError(f"{path}, line {line}: {column} is not a number: {text!r}") from None
            if np.isfinite(number):
                found[_architecture(str(row[key]), space, f"{path}, line {line}")] = number
    return found


def _architecture(text: str, space: DecisionSpace | None, where: str) -> Architecture:
    words = text.replace(",", " ").replace("-", " ").split() if text[:1].isdigit() else text.split()
    options: list[str | int] = [int(word) if word.isdecimal() else word for word in words]
    if space is not None:
        try:
            return space.canonical(space.parse(options))
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
    indices = tuple(option for option in options if isinstance(option, int))
    if len(indices) < len(options) or not indices:
        raise UserError(f"{where}: without a search space an architecture is a list of indices, not {text!r}")
    return indices
