"""Scores corrected for cost, on the published supernets of NAS-Bench-201: rankings, and searches by them.

    python -m benchmarks.corrected_scores --resamples 400 --seeds 15

Rankings: tau of the raw scores, of the corrected ones and of live FLOPs over all 15,625 networks, differences from the
latter with paired bootstrap intervals over networks, and tau within tenths of equal live FLOPs. Searches: evolution
(population 20, 5 parents, 12 generations) over the scores of each supernet as a table, without a limit and within 40 %
of the range of FLOPs; what is compared is the accuracy trained alone of what each chose, paired by seed. The tables
are read from the folder that NAS_SHARED_DATA names (default: ../shared/data). The exit status is 1 if a corrected
ranking is not clearly better than that by live FLOPs.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from config_file.errors import UserError, run_main
from lookup_tables import build_table
from lookup_tables.limits import Limit, Limits
from search import engine
from search.archive import Archive
from search.corrected import CORRECTED, Correction, corrected
from search.evaluators import Columns, TableEvaluator
from search.objectives import ACCURACY
from search.problem import Problem
from search.ranking.agreement import tenths
from search.ranking.baselines import equal_networks
from search.ranking.statistics import drawn_with_replacement, estimate, kendall_tau, stratified_tau
from search.strategies.evolution import Evolution, EvolutionOptions
from supernet import SearchSpace
from supernet.liveness import live_costs
from supernet.metrics import FLOPS
from supernet.spaces.nasbench201 import nasbench201

SUPERNETS = (
    "uniform_c16_bs64_250ep",
    "uniform_c16_bs128_1000ep",
    "balanced_c5_bs128_1000ep",
    "no_bn_recalibration",
    "bn_recalibration_100x64",
)
SETTINGS = EvolutionOptions(population=20, parent_num=5, generation_num=12)
SHARE = 0.4  # of the range of FLOPs that the limit leaves

Floats = NDArray[np.float64]


def table(name: str) -> dict[str, NDArray]:
    """The arrays of a published table. Raises UserError where it is not there."""
    path = Path(os.environ.get("NAS_SHARED_DATA", "../shared/data")) / name
    if not path.is_file():
        raise UserError(f"needs {path}: NAS_SHARED_DATA must name its folder")
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def chosen(space: SearchSpace, scores: Floats, architectures: NDArray, correct: bool, limited: bool, seed: int) -> int:
    """The row of the network that a search over the scores chooses."""
    flops = build_table(space, "flops", 32)
    low, high = flops.minimum()[0], flops.maximum()[0]
    limits = Limits(space, [Limit(flops, upper=low + SHARE * (high - low))] if limited else [])
    problem = Problem(limits, tables={"flops": flops})
    correction = Correction(space, ACCURACY, 32) if correct else None
    if correction is not None:
        problem = replace(problem, objectives=correction.objectives(problem))
    evaluator = TableEvaluator(Columns(architectures, {"accuracy": scores / 100}), fingerprint="scores")
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive(Path(folder) / "archive.jsonl", {})
        results = engine.run(Evolution(problem, SETTINGS, seed), evaluator, archive, {}, correct=correction)
    judged = results if correction is None else correction(results)
    best = engine.best_of(judged, limits, ACCURACY if correction is None else CORRECTED)
    assert best is not None
    return int(np.flatnonzero((architectures == best.architecture).all(1))[0])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=20, help="searches of each kind; 0: rankings only")
    options = parser.parse_args(argv)
    published, scores = table("nb201.npz"), table("nb201_supernet_scores.npz")
    architectures, truth = published["arch"].astype(np.int64), published["test_acc_200"].astype(np.float64)
    live = live_costs(nasbench201(), architectures, FLOPS.of)
    same = equal_networks(nasbench201(widths=(1,), depths=(1,)), [tuple(a) for a in architectures.tolist()])
    samples = drawn_with_replacement(len(live), options.resamples, 0)
    passed = True
    for name in SUPERNETS:
        raw = scores[name].astype(np.float64)
        kinds = {"raw": raw, "corrected": corrected(raw, live, same), "live flops": live}
        for column, dataset in enumerate(published["datasets"]):
            of = truth[:, column]
            taus = {kind: kendall_tau(values, of) for kind, values in kinds.items()}
            within = {kind: stratified_tau(values, of, tenths(live)) for kind, values in kinds.items()}
            drawn = {kind: np.array([kendall_tau(v[s], of[s]) for s in samples]) for kind, v in kinds.items()}
            print(f"{name:26}{dataset:16}", end="")
            for kind, tau in taus.items():
                print(f"{kind} {tau:.3f}, equal cost {within[kind]:.3f}", end="")
                if kind != "live flops":
                    less = estimate(tau - taus["live flops"], drawn[kind] - drawn["live flops"])
                    print(f", less live flops {less.words(3, '+')}", end="; ")
                    passed = passed and (kind == "raw" or less.low > 0)
            print(flush=True)
    space = nasbench201(depths=(1, 1, 1))  # the same decisions, orders of cost and equal networks, decoded faster
    of = truth[:, 0]
    for name in SUPERNETS if options.seeds > 1 else ():
        for limited in (False, True):
            raw, ours = (
                of[[chosen(space, scores[name].astype(np.float64), architectures, correct, limited, seed)
                    for seed in range(options.seeds)]]
                for correct in (False, True)
            )  # fmt: skip
            gain = ours - raw
            half = student.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / np.sqrt(len(gain))
            print(
                f"{name:26}{'within 40 % of the range' if limited else 'no limit':26}chosen raw {raw.mean():.2f}, "
                f"corrected {ours.mean():.2f}, difference {gain.mean():+.2f} ± {half:.2f} points",
                flush=True,
            )
    return 0 if passed else 1


if __name__ == "__main__":
    run_main(main, sys.argv[1:])
