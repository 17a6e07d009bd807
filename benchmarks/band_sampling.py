"""Uniformly drawn architectures within a cost band, per second on one core (ProxylessNAS, 21 layers of 7).

    python -m benchmarks.band_sampling [--rounds 7]

Bands of 1 M MACs at several percentiles of the space's cost; beside it plain rejection: draw at random, cost all at
once, keep what is inside. Both take turns. Timed in CPU seconds: of one thread they are what a clock shows on an idle
machine, and they hold on a busy one. The last line is JSON; the exit status is 1 if a band stays below the target.
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

from lookup_tables import CostTable, build_table
from lookup_tables.distribution import CostDistribution
from supernet import build_space

DRAWS = 100_000
TRIES = 1 << 16
WIDTH = 1e6
PERCENTILES = (50.0, 1.0, 0.1, 0.001, 1e-6)
TARGET, AT = 3e5, 0.1


def rejection(table: CostTable, low: float, high: float, rng: np.random.Generator) -> int:
    """Number of TRIES random architectures that are within the band."""
    drawn = rng.integers(0, table.space.sizes, (TRIES, len(table.space.sizes)), dtype=np.uint8)
    cost = table.cost(drawn)
    return int(((cost >= low) & (cost <= high)).sum())


def timed(run: Callable[[], int]) -> float:
    """Architectures per CPU second."""
    start = time.process_time_ns()
    found = run()
    return found / (time.process_time_ns() - start) * 1e9


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7, help="turns of each (default: 7)")
    rounds = parser.parse_args(argv).rounds
    table = build_table(build_space("proxylessnas"))
    start = time.process_time()
    distribution = CostDistribution(table.space.sizes, table.factors, table.cost)
    built = time.process_time() - start
    rng = np.random.default_rng(0)
    rows = []
    print(f"counted in {built:.3f} s, {len(distribution.counts):,} bins of {distribution.unit:,.0f} MACs")
    print(f"{'percentile':>12}{'up to M MACs':>14}{'share of space':>16}{'drawn/s':>12}{'rejection/s':>13}")
    for percentile in PERCENTILES:
        high = distribution.quantile(percentile / 100)
        low = high - WIDTH
        drawn = distribution.sample(low, high, DRAWS, rng)
        costs = table.cost(drawn)
        assert costs.min() >= low
        assert costs.max() <= high
        speeds: dict[str, list[float]] = {"drawn": [], "rejection": []}
        for _ in range(rounds):
            speeds["drawn"].append(timed(lambda: len(distribution.sample(low, high, DRAWS, rng))))  # noqa: B023
            speeds["rejection"].append(timed(lambda: rejection(table, low, high, rng)))  # noqa: B023
        row = {
            "percentile": percentile,
            "high": high,
            "share": distribution.share(low, high),
            **{f"{name}_per_second": round(statistics.median(values), 1) for name, values in speeds.items()},
        }
        rows.append(row)
        print(
            f"{percentile:12g}{high / 1e6:14.1f}{row['share']:16.2e}{row['drawn_per_second']:12.3g}"
            f"{row['rejection_per_second']:13.3g}"
        )
    reached = next(row["drawn_per_second"] for row in rows if row["percentile"] == AT)
    print(f"at the {AT:g} percentile {reached:.3g} architectures/s (target: at least {TARGET:g})")
    result = {
        "benchmark": "band_sampling",
        "bands": rows,
        "build_seconds": round(built, 4),
        "layers": len(table.space.sizes),
        "options": table.space.sizes[0],
        "rounds": rounds,
        "target": TARGET,
        "passed": reached >= TARGET,
    }
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
