"""DyNAS against NSGA-II and random search at equal measured evaluations: fronts of accuracy and MACs. No training.

    python -m benchmarks.dynas_front --seeds 10 --keep FILE.json

Tables: NAS-Bench-201 (CIFAR-10; validation accuracy after 200 epochs teaches; the front that a search
would leave is judged by its test accuracy) and NAS-Bench-Macro (mean accuracy of three trainings). Populations are of
20. After 60, 100 and 200 measured networks the hypervolume of their front, as a share of the whole table's, to the
table's worst accuracy and greatest cost. DyNAS (`--search-strategy dynas`) looks costs up as it does in any search, and
predicts accuracies only; NSGA-II breeds by both as they were measured. Differences are paired by seed, with Student's
95 % interval. Tables are read from the folder of NAS_SHARED_DATA (default: ../shared/data). The exit status is 1 if
DyNAS is not shown to be better than both after 60 and 100 evaluations on both tables; after 200 little is left to find.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
from numpy.typing import NDArray

from benchmarks.tabular_strategies import FRONT, interval
from benchmarks.tabular_strategies import truth as macro
from config_file.errors import run_main
from config_file.files import atomic_write_text
from lookup_tables import build_table
from lookup_tables.limits import Limits
from search.engine import with_costs
from search.pareto import hypervolume, non_dominated
from search.problem import Problem
from search.result import Result
from search.strategies import STRATEGIES
from search.tabular import find_benchmark
from supernet import Architecture, SearchSpace

Floats = NDArray[np.float64]

FOLDER = Path(os.environ.get("NAS_SHARED_DATA", "../shared/data"))
MARKS = (60, 100, 200)
POPULATION = 20
SEARCHES: dict[str, tuple[str, dict[str, Any]]] = {
    "dynas": ("predictor", {"population": POPULATION, "inner_evaluations": 1000}),
    "nsga2": ("nsga2", {"population": POPULATION}),
    "random": ("random", {"random_iteration": MARKS[-1]}),
}


class Table(NamedTuple):
    """A problem, the result of every network as it is measured, and (accuracy, cost) as it is judged."""

    problem: Problem
    measured: dict[Architecture, Result]
    judged: dict[Architecture, tuple[float, float]]


@cache
def tables() -> dict[str, Table]:
    """The tables by name."""
    problem, found = macro()
    judged = {a: (result.metrics["accuracy"], float(result.cost["flops"])) for a, result in found.items()}
    return {"NAS-Bench-201": nasbench201(), "NAS-Bench-Macro": Table(problem, found, judged)}


def nasbench201() -> Table:
    """CIFAR-10; equal networks are one, as the space has it."""
    table = find_benchmark("nasbench201", "cifar10", FOLDER / "nb201.npz")
    space = table.space
    assert isinstance(space, SearchSpace)
    costs = {"flops": build_table(space, "flops", 32)}
    measured, judged = {}, {}
    for row, key in enumerate(table.keys.tolist()):
        architecture = tuple(key)
        if space.canonical(architecture) == architecture:
            result = with_costs(Result(architecture, {"accuracy": float(table.validation[row, -1])}), costs)
            measured[architecture] = result
            judged[architecture] = float(table.test[row]), float(result.cost["flops"])
    return Table(Problem(Limits(space), tables=costs), measured, judged)


def shares(name: str, table: Table, seed: int) -> list[float]:
    """(marks,) shares of the hypervolume that what a search would leave after so many evaluations has."""
    strategy_name, settings = SEARCHES[name]
    entry: Any = STRATEGIES[strategy_name]
    objectives = FRONT if getattr(entry, "front", False) else FRONT[:1]
    problem = Problem(table.problem.limits, objectives, table.problem.tables)
    strategy = entry(problem, entry.Options(**settings), seed)
    whole = np.array([(-accuracy, cost) for accuracy, cost in table.judged.values()])
    reference, full = whole.max(0).tolist(), hypervolume(whole, whole.max(0).tolist())
    told: list[Result] = []
    found = []
    for mark in MARKS:
        while batch := strategy.ask(mark - len(told)):
            results = [table.measured[architecture] for architecture in batch]
            strategy.tell(results)
            told += results
        seen = np.array([[-objective.score(result) for objective in FRONT] for result in told])
        left = [told[position].architecture for position in non_dominated(seen)]
        values = np.array([(-table.judged[a][0], table.judged[a][1]) for a in left])
        found.append(hypervolume(values, reference) / full)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="searches of each kind (default: 10)")
    parser.add_argument("--keep", type=Path, metavar="FILE.json", help="finished searches; continued")
    options = parser.parse_args(argv)
    kept: dict[str, list[float]] = {}
    if options.keep is not None and options.keep.is_file():
        kept = json.loads(options.keep.read_text())
    begun, passed = time.process_time(), True
    for title, table in tables().items():
        found: dict[str, Floats] = {}
        for name in SEARCHES:
            for seed in range(options.seeds):
                key = f"{title} {name} {seed}"
                kept[key] = kept.get(key) or shares(name, table, seed)
            if options.keep is not None:
                atomic_write_text(options.keep, json.dumps(kept))
            found[name] = np.array([kept[f"{title} {name} {seed}"] for seed in range(options.seeds)])
        for name, values in found.items():
            words = "".join(f"{value:9.4f}" for value in values.mean(0))
            less = found["dynas"] - values
            if name != "dynas":
                mean, half = less.mean(0), interval(less)
                words += "   dynas less it" + "".join(f"{m:+9.4f} ± {h:.4f}" for m, h in zip(mean, half, strict=True))
                passed &= bool((mean - half)[:2].min() > 0)
            print(f"{title:16}{name:8}{options.seeds:4} seeds{words}", flush=True)
    print(json.dumps({"benchmark": "dynas_front", "seconds": round(time.process_time() - begun), "passed": passed}))
    return 0 if passed else 1


if __name__ == "__main__":
    run_main(main, sys.argv[1:])
