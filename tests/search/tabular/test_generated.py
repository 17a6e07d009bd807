from __future__ import annotations

from random import Random

import numpy as np
import pytest
from scipy.stats import kendalltau

from search.tabular.benchmarks import BENCHMARKS
from search.tabular.generated import RUNGS, generate
from search.tabular.nasbench101 import cell_features
from supernet.spaces.nasbench101 import EDGES

SIZES = {"nasbench201": 15_625, "nasbench_macro": 6561, "nasbench_asr": 8242}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_table_of_all_networks_in_which_short_trainings_tell_something(name: str) -> None:
    table, again, other = generate(name), generate(name), generate(name, seed=1)
    assert len(table) == SIZES.get(name, len(table))
    assert (table.fingerprint, table.epochs) == (again.fingerprint, RUNGS[name])
    assert other.fingerprint != table.fingerprint
    few = np.random.default_rng(0).integers(0, len(table), 1000)
    taus = [kendalltau(table.validation[few, rung], table.test[few])[0] for rung in range(len(table.epochs))]
    assert taus == sorted(taus)
    assert 0.3 < taus[0] < 0.99
    better = 1 if table.kind.maximise else -1
    assert better * kendalltau(table.scores["synflow"][0][few], table.test[few])[0] > 0.4
    assert better * (table.test[few].mean() - table.validation[few, 0].mean()) > -0.01


def test_every_cell_of_nasbench101_has_a_row() -> None:
    table, rng, met = generate("nasbench101"), Random(0), 0
    while met < 300:
        edges = tuple(int(rng.random() < 0.4) for _ in EDGES)
        architecture = (*edges, *(rng.randrange(3) for _ in range(5)))
        if 0 < cell_features(architecture)[3] <= 9:
            met += 1
            assert 0 <= table.row(architecture) < len(table)
