"""Latency tables fitted to few measured networks, on the nine devices of the FBNet latency data (2,500 networks each).

    python -m benchmarks.fbnet_devices [--seed 0] [--repeats 3] [--devices pixel3,raspi4] [--picture FILE.png]

Prints a Markdown table of held-out errors after 30, 100, 300 and 1,000 measurements, beside plain non-negative least
squares on one unknown per layer and option. The data is fbnet_latency.npz in the folder that NAS_SHARED_DATA names. The
last line is JSON; the exit status is 1 if plain least squares is better anywhere.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from lookup_tables.latency.accuracy import judge
from lookup_tables.latency.fit import SIZES, CurvePoint, as_problem, draw_learning_curve, learning_curve
from lookup_tables.latency.measurements import Measurements
from supernet import build_space

DATA = Path(os.environ.get("NAS_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")) / "fbnet_latency.npz"


def plain(architectures: NDArray[np.int64], ms: NDArray[np.float64], seed: int, repeats: int) -> dict[int, list[float]]:
    """Median held-out (Spearman, MAPE) of non-negative least squares, by number of measurements, on the same parts."""
    count, layers = architectures.shape
    one_hot = np.ones((count, layers * 9 + 1))
    one_hot[:, :-1] = (architectures[:, :, None] == np.arange(9)).reshape(count, -1)
    result = {}
    for size in SIZES:
        found = []
        for repeat in range(repeats):
            order = np.random.default_rng([seed, repeat]).permutation(count)
            solution, _ = nnls(one_hot[order[:size]], ms[order[:size]])
            found.append(judge(one_hot[order[size:]] @ solution, ms[order[size:]])[:2])
        result[size] = [float(value) for value in np.median(found, axis=0)]
    return result


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=0, help="of the parts (default: 0)")
    parser.add_argument("--repeats", type=int, default=3, help="random parts of each size (default: 3)")
    parser.add_argument("--devices", help="only these, with commas in between")
    parser.add_argument("--picture", type=Path, help="draw the learning curves there")
    options = parser.parse_args(argv)
    if not DATA.exists():
        print(f"skipped: no {DATA}; NAS_SHARED_DATA names the folder with fbnet_latency.npz")
        return 0
    data = np.load(DATA, allow_pickle=False)
    architectures = data["arch"].astype(np.int64)
    names = [str(name) for name in data["devices"]]
    chosen = options.devices.split(",") if options.devices else names
    space = build_space("fbnet_l", resolution=224)
    curves: dict[str, list[CurvePoint]] = {}
    baseline: dict[str, dict[int, list[float]]] = {}
    print(f"seed {options.seed}, {options.repeats} repetitions, {datetime.now(UTC):%Y-%m-%d}\n")
    print("| device |" + "".join(f" {size:,} |" for size in SIZES))
    print("|---|" + "---|" * len(SIZES))
    for device in chosen:
        ms = data["latency"][:, names.index(device)].astype(np.float64)
        problem = as_problem(space, 224, Measurements(architectures, ms))
        curves[device] = learning_curve(problem, options.seed, repeats=options.repeats)
        baseline[device] = plain(architectures, ms, options.seed, options.repeats)
        cells = [
            f" **{p.spearman:.3f}**, {p.mape:.2f} % ({baseline[device][p.measurements][0]:.2f}, "
            f"{baseline[device][p.measurements][1]:.1f} %) |"
            for p in curves[device]
        ]
        print(f"| {device} |{''.join(cells)}", flush=True)
    if options.picture:
        draw_learning_curve(options.picture, curves, "held-out error of fitted latency tables, FBNet space")
    worse = [
        f"{device} {point.measurements}"
        for device, points in curves.items()
        for point in points
        if point.spearman < baseline[device][point.measurements][0] - 0.005
    ]
    result = {
        "benchmark": "fbnet_devices",
        "fit": {device: [point._asdict() for point in points] for device, points in curves.items()},
        "plain": baseline,
        "seed": options.seed,
        "worse_than_plain": worse,
        "passed": not worse,
    }
    print()
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
