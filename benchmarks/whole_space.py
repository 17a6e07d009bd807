"""Seconds of one look at all 2,097,152 architectures of MobileNetV2's space by a Gaussian process, on one core.

    python -m benchmarks.whole_space [--observed 10,40,100] [--rounds 3]

What a step of mfkd2 does: fit the process to the observations, give the mean and the deviation of every architecture,
and pick the most promising one. Scikit-learn's prediction on a 64th of the space is timed beside it and multiplied.
Timed in CPU seconds. The last line is JSON; the exit status is 1 if a step with the middle number of observations takes
longer than the target.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

# Before NumPy loads its thread pool: the target is for one core.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from lookup_tables.limits import Limits
from search.strategies.mfkd import CURIOSITY, fit
from search.strategies.whole_space import Features, most_promising
from supernet import build_space

TARGET = 10.0
PART = 64


def timed(run: Callable[[], Any]) -> float:
    """CPU seconds."""
    start = time.process_time()
    run()
    return time.process_time() - start


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--observed", default="10,40,100", help="observations (default: 10,40,100)")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions (default: 3)")
    options = parser.parse_args(argv)
    space = build_space("mobilenetv2", resolution=32, num_classes=100)
    features, limits = Features(space), Limits(space)
    every = features.all()
    rows = []
    print(f"{space.size:,} architectures\n{'observed':>10}{'a step, s':>12}{'scikit-learn, s':>18}")
    for count in map(int, options.observed.split(",")):
        seen = limits.sample_distinct(Random(count), count)
        scores = np.random.default_rng(count).normal(0.6, 0.05, count)

        def step(seen: Any = seen, scores: Any = scores) -> None:
            posterior = fit(features(seen), scores, 0, normalised=True)
            most_promising(posterior, features, limits, CURIOSITY, set(seen), seen, Random(0))

        process = GaussianProcessRegressor(RBF(1.0), normalize_y=True, random_state=0).fit(features(seen), scores)
        other = timed(lambda: process.predict(every[::PART], return_std=True)) * PART  # noqa: B023
        rows.append(
            {
                "observed": count,
                "seconds": round(statistics.median(timed(step) for _ in range(options.rounds)), 3),
                "scikit_learn": round(other, 1),
            }
        )
        print(f"{count:10d}{rows[-1]['seconds']:12.2f}{other:18.1f}")
    reached = rows[len(rows) // 2]["seconds"]
    print(f"with {rows[len(rows) // 2]['observed']} observations {reached:.2f} s (target: at most {TARGET:g})")
    result = {"benchmark": "whole_space", "architectures": space.size, "rows": rows, "rounds": options.rounds}
    print(json.dumps(result | {"target": TARGET, "passed": reached <= TARGET}))
    return 0 if reached <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
