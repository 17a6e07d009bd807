"""The published tables as benchmarks, against figures that are published and columns that are read here anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from search.tabular import find_benchmark

BEST = {"cifar10": (6111, 94.37, 0.594), "cifar100": (9930, 73.51, 0.645), "ImageNet16-120": (857, 47.31, 0.644)}
"""{data set: (best network, its test accuracy, Kendall tau of 12 epochs with it)}."""


@pytest.fixture(autouse=True)
def _folder(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_SHARED_DATA", str(shared_data))


@pytest.mark.parametrize("dataset", BEST)
def test_nasbench201(shared_data: Path, dataset: str) -> None:
    found, table = find_benchmark("nasbench201", dataset), np.load(shared_data / "nb201.npz", allow_pickle=False)
    column = table["datasets"].tolist().index(dataset)
    best, accuracy, tau = BEST[dataset]
    assert int(found.test.argmax()) == best
    assert round(100 * found.test.max(), 2) == accuracy
    assert kendalltau(found.validation[:, 0], found.test)[0] == pytest.approx(tau, abs=0.002)
    for row in (0, 857, 15_624):
        architecture = tuple(table["arch"][row].tolist())
        assert found.row(architecture) == row
        assert found.space.is_valid(architecture)
        seconds = float(table["train_seconds_200ep"][row, column])
        assert found.spent(row, 1) == {"epochs": 200, "seconds": pytest.approx(seconds)}
        assert found.spent(row, 0) == {"epochs": 12, "seconds": pytest.approx(seconds * 12 / 200)}
        assert found.validation[row, 0] == pytest.approx(float(table["val_acc_12"][row, column]) / 100)
    with pytest.raises(KeyError):
        found.row((9, 0, 0, 0, 0, 0))


def test_nasbench201_has_the_published_mean_of_seconds() -> None:
    """9.14 s per epoch of CIFAR-10's half of the training images: halved once, not twice."""
    assert find_benchmark("nasbench201", "cifar10").seconds[:, 1].mean() / 200 == pytest.approx(9.14, abs=0.01)


def test_nasbench_macro_is_tested_by_other_trainings_than_it_is_selected_by(shared_data: Path) -> None:
    found = find_benchmark("nasbench_macro")
    table = np.load(shared_data / "nasbench_macro_cifar10.npz", allow_pickle=False)
    assert np.allclose((found.validation[:, 0] + 2 * found.test) / 3, table["mean_acc"] / 100, atol=1e-6)
    assert not found.timed
    assert found.spent(0, 0) == {"epochs": 50}
    assert np.array_equal(found.scores["params"][0], table["params"])
