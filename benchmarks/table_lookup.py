"""Costs of many architectures from a lookup table, against the plain ways, on one core (ProxylessNAS, 21 layers of 7).

    python -m benchmarks.table_lookup [--rounds 15]

Plain: one NumPy gather per layer, and a Python sum over one tuple after the other. All ways take turns and must give
equal costs. Timed in CPU seconds: of one thread they are what a clock shows on an idle machine, and they hold on a busy
one. The last line is JSON; the exit status is 1 if the fastest array layout, or any of them, stays below its target.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence

# Before NumPy loads its thread pool: the target is for one core.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
from numpy.typing import NDArray

from lookup_tables import CostTable, build_table
from supernet import build_space

ARCHITECTURES, TUPLES = 300_000, 2_000
FASTEST_TARGET, SLOWEST_TARGET = 5e7, 1e7
GATHER, PYTHON = "numpy gather per layer", "python sum"


def arrays(architectures: NDArray[np.int64]) -> dict[str, NDArray[np.integer]]:
    """The same architectures in the layouts people hold them in."""
    return {
        "int64 row-major": architectures,
        "int64 column-major": np.asfortranarray(architectures),
        "int64 every second row": np.repeat(architectures, 2, axis=0)[::2],
        "int32 row-major": architectures.astype(np.int32),
        "int32 column-major": np.asfortranarray(architectures.astype(np.int32)),
        "uint8 row-major": architectures.astype(np.uint8),
        "uint8 column-major": np.asfortranarray(architectures.astype(np.uint8)),
    }


def plain_tables(table: CostTable) -> tuple[float, list[NDArray[np.float64]]]:
    """The cost that all share, and one table per layer: in a chain every factor has one decision."""
    by_scope = dict(table.factors)
    return float(by_scope[()]), [by_scope[layer,] for layer in range(len(table.space.sizes))]


def by_gather(base: float, layers: list[NDArray[np.float64]], architectures: NDArray[np.integer]) -> NDArray:
    costs = np.full(len(architectures), base)
    for layer, values in enumerate(layers):
        costs += values[architectures[:, layer]]
    return costs


def by_python(base: float, layers: list[list[float]], architectures: Sequence[Sequence[int]]) -> NDArray:
    return np.array([base + sum(layers[i][option] for i, option in enumerate(a)) for a in architectures])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each (default: 15)")
    rounds = parser.parse_args(argv).rounds
    space = build_space("proxylessnas")
    table = build_table(space)
    base, layers = plain_tables(table)
    architectures = np.random.default_rng(0).integers(0, space.sizes, (ARCHITECTURES, len(space.sizes)))
    tuples, rows = [tuple(a) for a in architectures[:TUPLES].tolist()], [layer.tolist() for layer in layers]
    layouts = arrays(architectures)
    ways: dict[str, tuple[int, Callable[[], NDArray]]] = {
        name: (ARCHITECTURES, lambda array=array: table.cost(array))  # type: ignore[misc]
        for name, array in layouts.items()
    }
    ways[GATHER] = ARCHITECTURES, lambda: by_gather(base, layers, architectures)
    ways[PYTHON] = TUPLES, lambda: by_python(base, rows, tuples)
    truth = ways[GATHER][1]()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, (count, run) in ways.items():
            start = time.process_time_ns()
            costs = run()
            elapsed = time.process_time_ns() - start
            assert np.array_equal(costs, truth[:count]), name
            if turn:  # the first turn packs the tables and warms the caches
                seconds[name].append(elapsed / 1e9 / count)

    def ratio(name: str, over: str) -> float:
        return statistics.median(a / b for a, b in zip(seconds[over], seconds[name], strict=True))

    speeds = {name: 1 / statistics.median(times) for name, times in seconds.items()}
    print(f"{'':26}{'architectures/s':>16}{'over gather':>13}{'over python':>13}")
    for name, speed in speeds.items():
        print(f"{name:26}{speed:16.3g}{ratio(name, GATHER):13.1f}{ratio(name, PYTHON):13.1f}")
    slowest, fastest = min(layouts, key=speeds.__getitem__), max(layouts, key=speeds.__getitem__)
    result = {
        "benchmark": "table_lookup",
        "architectures_per_second": {name: round(speed) for name, speed in speeds.items()},
        "fastest_layout": fastest,
        "slowest_layout": slowest,
        "over_gather": {name: round(ratio(name, GATHER), 2) for name in layouts},
        "over_python": {name: round(ratio(name, PYTHON), 1) for name in layouts},
        "architectures": ARCHITECTURES,
        "layers": len(space.sizes),
        "options": space.sizes[0],
        "rounds": rounds,
        "targets": {"fastest": FASTEST_TARGET, "slowest": SLOWEST_TARGET},
        "passed": speeds[fastest] >= FASTEST_TARGET and speeds[slowest] >= SLOWEST_TARGET,
    }
    for about, name, target in (("fastest", fastest, FASTEST_TARGET), ("slowest", slowest, SLOWEST_TARGET)):
        print(f"{about} layout: {name}, {speeds[name]:.3g} architectures/s (target: at least {target:g})")
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
