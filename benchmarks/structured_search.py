"""Search by a structure of the scores on NAS-Bench-Macro, exact and noisy; and how fast exact fronts are. No training.

    python -m benchmarks.structured_search --seeds 200 --keep FILE.npz

Searches: `structured`, `bayesian` and `predictor` for accuracy, and `structured`, `predictor` and `nsga2` for accuracy
and FLOPs, on the table's mean accuracies as they are, and with noise of 0.5, 1 and 2 points, drawn once for each
network and seed, whose interval results say as evaluations on images do. After 20, 50, 100 and 200 evaluations the
network that would be chosen then (of a front: all of them) is judged by the table: regret in points, hypervolume as a
share of the true front's. `structured` chooses by its structure where that is accepted, the others by the scores.
Intervals are Student's, paired by seed. With --keep finished searches are kept, and more seeds are added to them.

Fronts: the exact one of the sums fitted to the truth against all 6,561 networks; and of random sums with pairs over
ProxylessNAS, by FLOPs, by the published latencies of a phone and by both: 5 layers against enumeration, all 21 layers.
The tables are read from the folder that NAS_SHARED_DATA names (default: ../shared/data). The exit status is 1 if an
exact front is not that of enumeration, or one of 21 layers over one cost takes more than a second.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.tabular_strategies import FRONT, interval, truth
from config_file.errors import run_main
from lookup_tables import CostTable, build_table
from lookup_tables.imports import read_foreign
from search.objectives import ACCURACY
from search.pareto import hypervolume, non_dominated
from search.result import Result
from search.strategies import STRATEGIES
from search.structure.model import FORMS, Fit, ranks
from search.structured import STRUCTURED, Structured
from supernet import SearchSpace, build_space
from supernet.elimination import Factor
from supernet.fronts import exact_front
from supernet.metrics import LATENCY

Floats = NDArray[np.float64]

FOLDER = Path(os.environ.get("NAS_SHARED_DATA", "../shared/data"))
MARKS = (20, 50, 100, 200)
NOISE = (0.0, 0.5, 1.0, 2.0)  # points
SINGLE = ("structured", "bayesian", "predictor")
FRONTS = ("structured", "predictor", "nsga2")
SETTINGS: dict[str, dict[str, Any]] = {
    "structured": {},
    "bayesian": {},
    "predictor": {"population": 20, "inner_evaluations": 1000},
    "nsga2": {"population": 20},
}
LIMIT = 1.0
"""Seconds for the front of 21 layers with 7 options."""


@cache
def flops() -> Floats:
    return np.array([result.cost["flops"] for result in truth()[1].values()], dtype=np.float64)


def search(name: str, noise: float, front: bool, seed: int) -> list[float]:
    """(marks,) what is chosen after so many evaluations: regret, or the share of the hypervolume."""
    torch.set_num_threads(1)
    problem, exact = truth()
    deviation = noise / 100
    errors = deviation * np.random.default_rng(seed).normal(size=len(exact))
    seen: dict[Any, Result] = {}
    for (architecture, result), error in zip(exact.items(), errors.tolist(), strict=True):
        accuracy = result.metrics["accuracy"] + error
        ends = (accuracy - 1.96 * deviation, accuracy + 1.96 * deviation) if noise else None
        seen[architecture] = replace(result, metrics={"accuracy": accuracy}, interval=ends)
    if front:
        problem = replace(problem, objectives=FRONT)
    strategy_class: Any = STRATEGIES[name]
    strategy = strategy_class(problem, strategy_class.Options(**SETTINGS[name]), seed)
    structured = Structured(problem.space, ACCURACY, 0.0) if name == "structured" else None
    told: list[Result] = []
    found: list[float] = []
    for mark in MARKS:
        while batch := strategy.ask(mark - len(told)):
            results = [seen[architecture] for architecture in batch]
            strategy.tell(results)
            told += results
        judged = told if structured is None else structured(told)
        by = ACCURACY if structured is None else STRUCTURED
        scores = np.array([by.score(result) for result in judged])
        found.append(_volume(judged, scores) if front else _regret(judged[int(scores.argmax())]))
    return found


def _regret(result: Result) -> float:
    exact = truth()[1]
    best = max(other.metrics["accuracy"] for other in exact.values())
    return 100 * (best - exact[result.architecture].metrics["accuracy"])


def _volume(judged: Sequence[Result], scores: Floats) -> float:
    exact = truth()[1]
    cost = np.array([result.cost["flops"] for result in judged], dtype=np.float64)
    chosen = [judged[position].architecture for position in non_dominated(np.stack([-scores, cost], axis=1))]
    whole, reference, full = _whole()
    of = {architecture: row for row, architecture in enumerate(exact)}
    return hypervolume(whole[[of[architecture] for architecture in chosen]], reference) / full


@cache
def _whole() -> tuple[Floats, list[float], float]:
    accuracy = np.array([result.metrics["accuracy"] for result in truth()[1].values()])
    whole = np.stack([-accuracy, flops()], axis=1)
    reference = whole.max(0).tolist()
    return whole, reference, hypervolume(whole, reference)


def searches(seeds: int, keep: Path | None) -> dict[str, Any]:
    """Run what is missing, print means, and differences of `structured` from the others."""
    kept: dict[str, Floats] = {}
    if keep is not None and keep.is_file():
        with np.load(keep, allow_pickle=False) as file:
            kept = dict(file.items())
    rows: dict[str, Any] = {}
    for front, noise in product((False, True), NOISE):
        kind, digits = ("front", 4) if front else ("single", 3)
        for name in FRONTS if front else SINGLE:
            key, ours = (f"{kind} {noise:g} {which}" for which in (name, "structured"))
            done, begun = kept.get(key, np.empty((0, len(MARKS)))), time.process_time()
            for seed in range(len(done), seeds):
                kept[key] = done = np.concatenate([done, [search(name, noise, front, seed)]])
                if keep and (seed % 10 == 9 or seed == seeds - 1):
                    np.savez(keep, **kept)  # type: ignore[arg-type]
            if len(done) < 2:
                continue
            values, paired = {name: done}, min(len(done), len(kept[ours]))
            if name != "structured":
                values["structured less it"] = kept[ours][:paired] - done[:paired]
            line = f"{'hypervolume' if front else 'regret':12}noise {noise:<4g}{len(done):4} seeds"
            for what, of in values.items():
                pairs = zip(of.mean(0), interval(of), strict=True)
                sign = "+" if of is not values[name] else ""
                line += f"{what:>20}" + "".join(f"{f'{m:{sign}.{digits}f} ± {h:.{digits}f}':>18}" for m, h in pairs)
                rows[f"{key}: {what}"] = [of.mean(0).round(5).tolist(), interval(of).round(5).tolist()]
            print(f"{line}{time.process_time() - begun:8.0f} s", flush=True)
    return rows


def fronts() -> bool:
    """Print exact fronts; returns whether they are those of enumeration, and those of 21 layers fast enough."""
    problem, exact = truth()
    networks, tables = list(exact), problem.tables
    targets = ranks(np.array([result.metrics["accuracy"] for result in exact.values()]))
    passed = True
    for form in FORMS:
        structure = Fit.of(problem.space, problem.space.encode(networks), targets, form, 0.1, 0.1).structure
        every = np.stack([-structure(networks), flops()], axis=1)
        over: list[Sequence[Factor]] = [tables["flops"].factors]
        passed &= front_of(f"NAS-Bench-Macro, {form}", problem.space.sizes, structure.factors(), over, every)
    space = build_space("proxylessnas", skip="identity")
    found = [build_table(space, "flops", 224), phone(space)]
    rng = np.random.default_rng(0)
    for layers in (5, len(space.sizes)):
        sizes = space.sizes[:layers]
        value: list[Factor] = [((d,), rng.normal(size=size)) for d, size in enumerate(sizes)]
        value += [((d, d + 1), 0.3 * rng.normal(size=sizes[d : d + 2])) for d in range(layers - 1)]
        rows = np.array(list(product(*map(range, sizes)))) if layers == 5 else None
        for used in (found[:1], found[1:], found):
            costs = [[factor for factor in table.factors if max(factor[0], default=0) < layers] for table in used]
            listed = None
            if rows is not None:
                sums = [sum(t[tuple(rows[:, d] for d in scope)] for scope, t in of) for of in (value, *costs)]
                listed = np.stack([-sums[0], *sums[1:]], axis=1)
            name = f"{layers} layers of ProxylessNAS, pairs, by {' and '.join(table.name for table in used)}"
            passed &= front_of(name, sizes, value, costs, listed)
    return passed


def front_of(
    name: str, sizes: Sequence[int], value: Sequence[Factor], costs: Sequence[Sequence[Factor]], every: Floats | None
) -> bool:
    """Print a front, and whether it is that of `every` network (N, 1 + K) of loss and costs.

    Returns False where it is not, or where a front over one cost takes longer than LIMIT.
    """
    begun = time.process_time()
    front = exact_front(sizes, value, costs)
    seconds = time.process_time() - begun
    line, passed = f"front       {name}: {len(front.values):,} networks, {seconds:.3f} s", True
    if every is not None:
        listed = every[non_dominated(every.round(7))]
        found = np.stack([-front.values, *front.costs.T], axis=1)
        passed = {tuple(row) for row in listed.round(6).tolist()} == {tuple(row) for row in found.round(6).tolist()}
        line += f", {'' if passed else 'NOT '}that of all {len(every):,} by enumeration"
    elif len(costs) == 1:
        passed = seconds <= LIMIT
        line += f", {seconds / LIMIT:.3f} of the limit"
    print(line, flush=True)
    return passed


def phone(space: SearchSpace) -> CostTable:
    """The published latencies of ProxylessNAS's blocks on a Pixel 1."""
    published = json.loads((FOLDER / "latency_tables.json").read_text())["proxyless_pixel1"]["entries"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pixel1.yaml"
        path.write_text(json.dumps({key: {"mean": mean, "count": count} for key, (mean, count) in published.items()}))
        entries, offset = read_foreign(path, "proxylessnas", space)
    return CostTable(space, LATENCY, 224, entries, offset=offset)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--seeds", type=int, default=20, help="searches of each kind; 0: fronts and what is kept (default: 20)"
    )
    parser.add_argument("--keep", type=Path, metavar="FILE.npz", help="finished searches; continued")
    options = parser.parse_args(argv)
    passed = fronts()
    rows = searches(options.seeds, options.keep)
    summary = {"benchmark": "structured_search", "marks": MARKS, "seeds": options.seeds, "searches": rows}
    print(json.dumps({**summary, "passed": passed}))
    return 0 if passed else 1


if __name__ == "__main__":
    run_main(main, sys.argv[1:])
