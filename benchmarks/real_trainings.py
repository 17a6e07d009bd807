"""Real trainings in two processes against one: the same trials, the same results, and how much sooner.

    python -m benchmarks.real_trainings [--networks 8] [--epochs 6] [--pairs 3]

Networks of NAS-Bench-Macro's space (8, 8, 12, 16 and 32 channels) are trained on digits at 16 px by the training
evaluator, by one process with one thread and by two of them, in turns. The processes have trained other networks before
the clock runs. Prints the seconds of each and the ratio of the medians, with a line of JSON last; the status is 1 below
1.8.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import torch

from search.evaluators.training import TrainingEvaluator
from search.evaluators.workers import in_processes
from search.result import Fidelity, Result
from search.trials.course import rungs_of
from search.trials.options import recipe_values
from supernet import Architecture, build_space
from training.data import load_data
from training.options import RetrainOptions

LIMIT = 1.8
PIXELS = 16
SPACE = build_space("nasbench_macro", resolution=PIXELS, num_classes=10, widths=(8, 8, 12, 16, 32))
WARM_UP = 2


def timed(processes: int, networks: Sequence[Architecture], epochs: int, folder: Path) -> tuple[float, list[Result]]:
    """(seconds, results) of the trials, without the start of processes."""
    options = RetrainOptions(title="benchmark", dataset="digits", resolution=PIXELS, batch_size=64, threads=1)
    rungs = rungs_of([Fidelity(epochs=epochs)], "plain")
    data = {PIXELS: load_data(options, PIXELS)}
    evaluator = TrainingEvaluator(SPACE, data, recipe_values(options), rungs, folder)
    judge = in_processes(evaluator, processes, 1)
    list(judge.evaluate(networks[:WARM_UP]))
    started = time.perf_counter()
    found = list(judge.evaluate(networks[WARM_UP:]))
    seconds = time.perf_counter() - started
    if processes > 1:
        judge.close()  # type: ignore[attr-defined]
    return seconds, found


def main(argv: Sequence[str] | None = None) -> int:
    """Print the comparison; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=8, help="trials that are timed")
    parser.add_argument("--epochs", type=int, default=6, help="of each")
    parser.add_argument("--pairs", type=int, default=3, help="times that one and two processes take turns")
    words = parser.parse_args(argv)
    torch.set_num_threads(1)
    rng, drawn = random.Random(0), dict[Architecture, None]()
    while len(drawn) < words.networks + WARM_UP:
        drawn[SPACE.sample(rng)] = None
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(words.pairs):
        metrics = []
        for processes, spent in seconds.items():
            with tempfile.TemporaryDirectory() as folder:
                took, found = timed(processes, list(drawn), words.epochs, Path(folder))
            metrics.append([(result.architecture, result.metrics) for result in found])
            spent.append(took)
        assert metrics[0] == metrics[1]
    one, two = (statistics.median(spent) for spent in seconds.values())
    for processes, spent in seconds.items():
        print(f"{processes} process{'es' if processes > 1 else ''}: {', '.join(f'{took:.1f}' for took in spent)} s")
    print(f"two are {one / two:.2f} times as fast (at least {LIMIT})")
    print(json.dumps({"one": one, "two": two, "ratio": one / two}))
    return int(one / two < LIMIT)


if __name__ == "__main__":
    sys.exit(main())
