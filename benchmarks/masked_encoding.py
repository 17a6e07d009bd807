"""A masked encoding against DyNAS-T's one-hot: which one predicts networks of `ofa_mbv3` better. No training.

    python -m benchmarks.masked_encoding --seeds 20 --grid-seeds 5 --keep FILE.json

DyNAS-T encodes once-for-all's 45 variables as they are drawn: what stands for layers beyond the depth is noise. Here an
option that changes nothing is a row of zeros. The truth is a table of our own making, exact and the same for both:
multiply-accumulates and parameters by our counts, and latencies by the published table of once-for-all's phone, at
width 1.2 and 224 pixels. 50, 100 and 250 networks teach, drawn uniformly over all 45 variables; 1,000 others judge.
Both encodings are given to our predictor (`search.strategies.surrogate`), and, in fewer seeds, to DyNAS-T's: ridge
regression with alpha from 0.1 to 10 and support vectors with C from 1 to 100, each by five-fold cross-validated
relative error. Errors are root mean squares relative to the standard deviation of the truth; differences are paired by
seed, with Student's 95 % interval. With --keep finished rounds are kept. Tables lie in the folder of NAS_SHARED_DATA
(default: ../shared/data). The exit status is 1 if the masked encoding is not shown to be better with our predictor.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVR

from benchmarks.tabular_strategies import interval
from config_file.errors import run_main
from config_file.files import atomic_write_text
from lookup_tables import CostTable, build_table
from lookup_tables.imports import read_foreign
from search.strategies.surrogate import fit_predictor, one_hot
from supernet import Architecture, SearchSpace, build_space
from supernet.metrics import LATENCY
from supernet.space import with_sites

Floats = NDArray[np.float64]

FOLDER = Path(os.environ.get("NAS_SHARED_DATA", "../shared/data"))
PIXELS, WIDTH = 224, 1.2
ROWS, JUDGES = (50, 100, 250), 1000
TARGETS = ("flops", "params", "latency")
PREDICTORS = ("ours", "DyNAS-T's")


@cache
def world() -> tuple[SearchSpace, dict[str, CostTable]]:
    """The space, and the truth by target."""
    space = with_sites(build_space("ofa_mbv3", resolution=PIXELS, width_mult=WIDTH))
    tables = {name: build_table(space, name, PIXELS) for name in ("flops", "params")}
    entries = json.loads((FOLDER / "latency_tables.json").read_text())[f"ofa_note10_{PIXELS}"]["entries"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "note10.yaml"
        path.write_text(json.dumps({key: {"mean": mean, "count": count} for key, (mean, count) in entries.items()}))
        blocks, offset = read_foreign(path, "ofa", space)
    return space, {**tables, "latency": CostTable(space, LATENCY, PIXELS, blocks, offset=offset)}


def unmasked(space: SearchSpace, drawn: Sequence[Architecture]) -> Floats:
    """DyNAS-T's encoding: (N, sum of options) indicators of everything that was drawn."""
    codes = np.asarray(drawn)
    return np.concatenate([codes[:, [d]] == np.arange(size) for d, size in enumerate(space.sizes)], axis=1).astype(
        float
    )


def theirs(features: Floats, targets: Floats) -> Any:
    """DyNAS-T's predictor: the better of two grids by cross-validated relative error, on scaled labels."""
    scale = 10.0 ** (np.floor(np.log10(targets.max())) - 1)
    grids = [
        GridSearchCV(Ridge(), {"alpha": np.arange(0.1, 10.05, 0.1)}, scoring="neg_mean_absolute_percentage_error"),
        GridSearchCV(
            SVR(kernel="rbf", gamma="auto", epsilon=0.0),
            {"C": np.arange(1.0, 101.0)},
            scoring="neg_mean_absolute_percentage_error",
        ),
    ]
    fitted = [grid.fit(features, targets / scale) for grid in grids]
    best = max(fitted, key=lambda grid: grid.best_score_)
    return lambda encoded: best.predict(encoded) * scale


def judged(predictor: str, target: str, rows: int, seed: int) -> list[list[float]]:
    """(masked, unmasked) x (relative error, tau) on networks that did not teach."""
    space, tables = world()
    rng = random.Random(f"{seed}")
    drawn = [space.sample(rng) for _ in range(ROWS[-1] + JUDGES)]
    truth = tables[target].cost(np.asarray(drawn))
    teach, judge = slice(0, rows), slice(ROWS[-1], None)
    found = []
    for encoded in (one_hot(space, drawn), unmasked(space, drawn)):
        if predictor == "ours":
            predict: Any = fit_predictor(encoded[teach], truth[teach], seed).model.predict
        else:
            predict = theirs(encoded[teach], truth[teach])
        guess = predict(encoded[judge])
        error = np.sqrt(((guess - truth[judge]) ** 2).mean()) / truth[judge].std()
        found.append([float(error), float(kendalltau(guess, truth[judge]).statistic)])
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="draws for our predictor (default: 20)")
    parser.add_argument("--grid-seeds", type=int, default=5, help="draws for DyNAS-T's (default: 5)")
    parser.add_argument("--keep", type=Path, metavar="FILE.json", help="finished rounds; continued")
    options = parser.parse_args(argv)
    kept: dict[str, list[list[float]]] = {}
    if options.keep is not None and options.keep.is_file():
        kept = json.loads(options.keep.read_text())
    begun, passed = time.process_time(), True
    for predictor, seeds in zip(PREDICTORS, (options.seeds, options.grid_seeds), strict=True):
        for target in TARGETS:
            for rows in ROWS:
                for seed in range(seeds):
                    key = f"{predictor} {target} {rows} {seed}"
                    kept[key] = kept.get(key) or judged(predictor, target, rows, seed)
                if options.keep is not None:
                    atomic_write_text(options.keep, json.dumps(kept))
                if seeds < 2:
                    continue
                found = np.array([kept[f"{predictor} {target} {rows} {seed}"] for seed in range(seeds)])
                less = found[:, 1] - found[:, 0]
                (error, tau), (half, half_tau) = less.mean(0), interval(less)
                better = error - half > 0 and tau + half_tau < 0
                passed &= better or predictor != "ours"
                masked, plain = found.mean(0)
                print(
                    f"{predictor:10}{target:8} {rows:4} rows, {seeds} seeds: error {masked[0]:.3f} masked, "
                    f"{plain[0]:.3f} one-hot, {error:+.3f} ± {half:.3f}; tau {masked[1]:.3f}, {plain[1]:.3f}, "
                    f"{tau:+.3f} ± {half_tau:.3f}{'' if better else '  NOT SHOWN'}",
                    flush=True,
                )
    print(
        json.dumps(
            {"benchmark": "masked_encoding", "seconds": round(time.process_time() - begun), "passed": bool(passed)}
        )
    )
    return 0 if passed else 1


if __name__ == "__main__":
    run_main(main, sys.argv[1:])
