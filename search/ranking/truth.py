"""The truth of a ranking: networks that were trained alone, from NAS-Bench-Macro, NAS-Bench-201 or a table."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError, choose
from config_file.readers.arrays import array_names, read_arrays
from config_file.readers.door import reading
from search.result_table import are_fractions, as_array, averaged, read_rows, small_percent
from supernet import Architecture, SearchSpace, build_space
from supernet.decisions import DecisionSpace
from supernet.metrics import counted_metrics
from supernet.spaces.nasbench201 import nasbench201

FOLDER = "NAS_SHARED_DATA"
ACCURACY = ("accuracy", "test_accuracy")
NASBENCH201 = {"cifar10": (10, 32), "cifar100": (100, 32), "ImageNet16-120": (120, 16)}
"""Classes and pixels of the data sets of NAS-Bench-201."""

FILES = {"nasbench_macro": "nasbench_macro_cifar10.npz", "nasbench201": "nb201.npz"}


@dataclass(frozen=True)
class Truth:
    """Accuracies of networks trained alone.

    Attributes:
        name: of the benchmark or file.
        accuracy: percent, mean over seeds, by architecture.
        seeds: (networks, trainings) accuracies in percent in the order of `accuracy`, NaN where a network has fewer
            trainings than others; None where they are not known apart.
        costs: {metric: (networks,)} that the table itself gives.
        space: the networks of a benchmark; None of a file.
        key_space: a smaller one of which the same architectures are the same network; None: `space`.
        notes: what was assumed of it, for people.
    """

    name: str
    accuracy: Mapping[Architecture, float]
    seeds: NDArray[np.float64] | None = None
    costs: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    space: SearchSpace | None = None
    key_space: SearchSpace | None = None
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Raise ValueError where the table cannot be one of accuracies."""
        values = np.array([*self.accuracy.values()])
        if not ((values >= 0) & (values <= 100)).all():
            raise ValueError("accuracies must be from 0 to 100")
        for rows in [] if self.seeds is None else [self.seeds, *self.costs.values()]:
            if len(rows) != len(values):
                raise ValueError(f"{len(rows)} rows for {len(values)} architectures")

    @cached_property
    def _position(self) -> dict[Architecture, int]:
        return {architecture: index for index, architecture in enumerate(self.accuracy)}

    def rows(self, architectures: Sequence[Architecture]) -> list[int]:
        """The positions of architectures in `accuracy`, `seeds` and `costs`."""
        return [self._position[architecture] for architecture in architectures]


def load_truth(which: str, space: DecisionSpace | None = None, dataset: str = "cifar10") -> Truth:
    """Read a truth.

    Args:
        which: "nasbench_macro" or "nasbench201" (their files lie in the folder that NAS_SHARED_DATA names), such a file
            (.npz), or a CSV with the columns architecture and accuracy (percent or fractions; several rows of a network
            are trainings of it), and costs such as flops if they are known.
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
        with reading(path, "is not a table of networks trained alone"):
            return _of_csv(path, space)
    names = array_names(path)
    with reading(path, "is damaged, or not a table of NAS-Bench-Macro or NAS-Bench-201"):
        if "mean_acc" in names:
            return _nasbench_macro(read_arrays(path, ("arch", "test_acc", "mean_acc", "macs", "params")))
        if "valtest_acc_200_seeds" in names:
            needed = ("arch", "datasets", "test_acc_200", "valtest_acc_200_seeds")
            return _nasbench201(read_arrays(path, needed), dataset)
    raise UserError(f"{path} is not a table of NAS-Bench-Macro or NAS-Bench-201")


def _of_csv(path: Path, space: DecisionSpace | None) -> Truth:
    costs = [metric.name for metric in counted_metrics()]
    rows = read_rows(path, (*ACCURACY, *costs), space)
    column = next((name for name in ACCURACY if rows and name in rows[0].numbers), None)
    if column is None:
        raise UserError(f"{path} has no column 'accuracy': it needs architecture and accuracy")
    repetitions = averaged(rows, column)
    notes = []
    all_numbers = [number for numbers in repetitions.values() for number in numbers]
    if words := small_percent(all_numbers):
        notes.append(f"{path.name}: {words}")
    if are_fractions(all_numbers):
        notes.append(f"{path.name}: no accuracy is above 1, so they are read as fractions, and shown in percent")
        repetitions = {network: [100 * number for number in numbers] for network, numbers in repetitions.items()}
    seeds = as_array(repetitions)
    if seeds.shape[1] > 1:
        many = int((np.isfinite(seeds).sum(1) > 1).sum())
        notes.append(f"{path.name}: {many:,} networks have several rows: taken for trainings of each, and averaged")
    accuracy = {network: float(np.mean(numbers)) for network, numbers in repetitions.items()}
    known = {name: averaged(rows, name) for name in costs}
    for name, values in known.items():
        if (least := min((number for numbers in values.values() for number in numbers), default=0)) < 0:
            raise UserError(f"{path}: {name} of {least:g} are less than nothing")
    return Truth(
        path.name,
        accuracy,
        seeds if seeds.shape[1] > 1 else None,
        {
            name: np.array([float(np.mean(values[network])) for network in accuracy])
            for name, values in known.items()
            if accuracy.keys() <= values.keys()
        },
        notes=notes,
    )


def _nasbench_macro(table: Mapping[str, NDArray]) -> Truth:
    space = build_space("nasbench_macro", resolution=32, num_classes=10)
    architectures = _architectures(table, space)
    seeds = np.asarray(table["test_acc"], dtype=np.float64)
    costs = {"flops": table["macs"].astype(np.float64), "params": table["params"].astype(np.float64)}
    mean = np.asarray(table["mean_acc"], dtype=np.float64)
    accuracy = dict(zip(architectures, map(float, mean), strict=True))
    return Truth("NAS-Bench-Macro", accuracy, seeds, costs, space)


def _nasbench201(table: Mapping[str, NDArray], dataset: str) -> Truth:
    """Networks trained for 200 epochs. Seeds are judged on validation (and test) images; NaN where one is missing.

    Costs are counted from the space: those of the file include batch norm and pooling.
    """
    classes, resolution = NASBENCH201[dataset]
    space = nasbench201(num_classes=classes, resolution=resolution)
    architectures = _architectures(table, space)
    which = [str(name) for name in table["datasets"]].index(dataset)
    mean = np.asarray(table["test_acc_200"], dtype=np.float64)[:, which]
    accuracy = dict(zip(architectures, map(float, mean), strict=True))
    seeds = np.asarray(table["valtest_acc_200_seeds"], dtype=np.float64)[:, which]
    key_space = nasbench201(widths=(1,), depths=(1,))
    return Truth(f"NAS-Bench-201, {dataset}", accuracy, seeds, {}, space, key_space)


def _architectures(table: Mapping[str, NDArray], space: SearchSpace) -> list[Architecture]:
    """The networks of a benchmark, each once. Raises ValueError where they are not of its space."""
    architectures = [tuple(map(int, row)) for row in table["arch"]]
    if len(set(architectures)) < len(architectures) or not all(map(space.is_valid, architectures)):
        raise ValueError(f"networks that are not of {space.name}, or one twice")
    return architectures


def read_scores(path: Path, names: Sequence[str], space: DecisionSpace | None = None) -> dict[Architecture, float]:
    """{architecture: number} of a CSV file with the columns `architecture` (or `indices`) and the first of `names`.

    Rows without a number, such as those of failed evaluations, are left out; several of one architecture are averaged.

    Raises:
        UserError: the file or a column is missing, or a row is not an architecture of the space.
    """
    rows = read_rows(path, names, space)
    column = next((name for name in names if rows and name in rows[0].numbers), None)
    if column is None:
        raise UserError(f"{path} has no column {names[-1]!r}: it needs architecture and {names[-1]}")
    return {network: float(np.mean(numbers)) for network, numbers in averaged(rows, column).items()}
