"""A measured latency table against held-out networks measured end to end on this machine.

    python -m benchmarks.latency_table [--resolution 224] [--held-out 64] [--rounds 12] [--file runs/proof.jsonl]

Distinct blocks, networks for the affine correction and uniformly drawn held-out networks are run in the same
interleaved rounds; the truth is the minimum over rounds. Reported: MAPE and Spearman of the table on the held-out
networks, the split-half ceiling (rank correlation of the minima over even and over odd rounds), MACs with an affine fit
to the same networks as the table's, and bootstrap intervals of the differences over networks. Finished rounds are kept
in --file: the same command goes on. Run it on a quiet machine. The last line is JSON; the exit status is 1 if a target
is missed: MAPE at most 3 %, Spearman within 2 % of the ceiling, and a lower MAPE than MACs by its bootstrap interval.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
from numpy.typing import NDArray

from config_file.progress import progress
from deployment.engines import ENGINES
from lookup_tables import build_table
from lookup_tables.latency.accuracy import affine, judge, spearman
from lookup_tables.latency.calibration import latency_table
from lookup_tables.latency.measure import RUNS, Rounds, timer
from lookup_tables.latency.probes import all_probes, probe_names, spread_architectures
from supernet import Architecture, build_space

MOST_MAPE, CEILING_SHARE = 3.0, 0.98
BOOTSTRAPS = 10_000

Vector = NDArray[np.float64]


def split_half(times: dict[str, list[float]], names: Sequence[str]) -> tuple[float, float]:
    """(Spearman, MAPE) between the minima of the networks over even and over odd rounds."""
    rounds = np.array([times[name] for name in names]).reshape(len(names), -1, RUNS)
    even, odd = rounds[:, ::2].min((1, 2)), rounds[:, 1::2].min((1, 2))
    return spearman(even, odd), judge(even, odd).mape


def interval(values: Vector) -> list[float]:
    """The central 95 %."""
    return [float(value) for value in np.percentile(values, [2.5, 97.5])]


def bootstrap(ours: Vector, theirs: Vector, truth: Vector) -> dict[str, list[float]]:
    """95 % intervals, over resampled networks, of what our MAPE is lower and our Spearman higher by than theirs."""
    rng = np.random.default_rng(0)
    mape, rank = [], []
    for _ in range(BOOTSTRAPS):
        rows = rng.integers(0, len(truth), len(truth))
        first, second = judge(ours[rows], truth[rows]), judge(theirs[rows], truth[rows])
        mape.append(second.mape - first.mape)
        rank.append(first.spearman - second.spearman)
    return {"mape_lower_by": interval(np.array(mape)), "spearman_higher_by": interval(np.array(rank))}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--search-space", default="proxylessnas")
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--engine", default="onnxruntime", choices=list(ENGINES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--networks", type=int, default=12, help="for the affine correction (default: 12)")
    parser.add_argument("--held-out", type=int, default=64, help="uniformly drawn networks (default: 64)")
    parser.add_argument("--file", type=Path, default=Path("runs/latency_proof.jsonl"), help="keeps finished rounds")
    options = parser.parse_args(argv)
    space, engine = build_space(options.search_space, resolution=options.resolution), ENGINES[options.engine]
    fitted = spread_architectures(space, options.resolution, options.networks, seed=0)
    drawn = np.random.default_rng(1).integers(0, space.sizes, (options.held_out, len(space.sizes)))
    held_out: list[Architecture] = [tuple(int(option) for option in row) for row in drawn]
    options.file.parent.mkdir(parents=True, exist_ok=True)
    settings = {
        "macro_fingerprint": space.macro_fingerprint,
        "resolution": options.resolution,
        "engine": engine.version(),
        "device": engine.device(),
        "threads": options.threads,
        "networks": [options.networks, options.held_out],
    }
    kept = Rounds(options.file, settings)
    if len(kept) < options.rounds:
        probes = [*all_probes(space, options.resolution, [*fitted, *held_out]).items()]
        timers = {name: timer(engine, layer, options.threads) for name, layer in progress(probes, "preparing", "probe")}
        kept.measure(timers, options.rounds, f"measuring {space.name} at {options.resolution} pixels")
    times = kept.times()
    table = latency_table(space, options.resolution, times, fitted)
    networks = probe_names(0, len(fitted) + len(held_out))
    names = networks[len(fitted) :]
    truth = np.array([min(times[name]) for name in names])
    calibration = np.array([min(times[name]) for name in networks[: len(fitted)]])
    by_macs = build_table(space, "flops", options.resolution)
    macs = by_macs.cost(drawn) / 1e6
    scale, offset = affine(by_macs.cost(fitted) / 1e6, calibration)
    ours, theirs = table.cost(drawn), scale * macs + offset
    sums = (ours - table.offset) / table.scale
    ceiling, repeat = split_half(times, names)
    rows = {"table": judge(ours, truth), "sum of blocks": judge(sums, truth), "MACs + affine": judge(theirs, truth)}
    compared = bootstrap(ours, theirs, truth)
    print(f"{len(held_out)} held-out networks, {truth.min():.3f} to {truth.max():.3f} ms, {len(kept)} rounds")
    print(f"{'':16}{'Spearman':>10}{'MAPE %':>9}")
    for name, row in rows.items():
        print(f"{name:16}{row.spearman:10.4f}{row.mape:9.2f}")
    print(f"{'split half':16}{ceiling:10.4f}{repeat:9.2f}")
    print("table over MACs, 95 % intervals: ", compared)
    passed = {
        "mape": rows["table"].mape <= MOST_MAPE,
        "spearman": rows["table"].spearman >= CEILING_SHARE * ceiling,
        "better_than_macs": compared["mape_lower_by"][0] > 0,
    }
    result = {
        "benchmark": "latency_table",
        **settings,
        "rounds": len(kept),
        "rows": {name: row._asdict() for name, row in rows.items()},
        "split_half": {"spearman": ceiling, "mape": repeat},
        "self_check": table.self_check,
        "table_over_macs": compared,
        "passed": passed,
    }
    print(json.dumps(result))
    return 0 if all(passed.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
