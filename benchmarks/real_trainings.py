"""Real trainings in two processes against one: the same trials, the same results, and how much sooner.

    python -m benchmarks.real_trainings [--networks 16] [--epochs 6] [--pairs 3]

Networks of NAS-Bench-Macro's space (8, 8, 12, 16 and 32 channels) are trained on digits at 16 px by the training
evaluator, by one process with one thread and by two of them, in turns. The processes have trained other networks before
the clock runs. Prints the seconds of each and the ratio of the medians, and the same of CPU seconds of the process that
has most to do: what two would be on a machine with nothing else to do. A line of JSON is last; the status is 1 where
the CPU ratio is below 1.8, which other work on the machine cannot change.
"""

import argparse
import json
import multiprocessing
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


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(
    processes: int, networks: Sequence[Architecture], epochs: int, folder: Path
) -> tuple[float, float, list[Result]]:
    """(seconds, CPU seconds of the busiest process, results) of the trials, without the start of processes."""
    options = RetrainOptions(title="benchmark", dataset="digits", resolution=PIXELS, batch_size=64, threads=1)
    rungs = rungs_of([Fidelity(epochs=epochs)], "plain")
    data = {PIXELS: load_data(options, PIXELS)}
    evaluator = TrainingEvaluator(SPACE, data, recipe_values(options), rungs, folder)
    judge = in_processes(evaluator, processes, 1)
    list(judge.evaluate(networks[:WARM_UP]))
    pids = [os.getpid()] if processes == 1 else [child.pid or 0 for child in multiprocessing.active_children()]
    before = [cpu_seconds(pid) for pid in pids]
    started = time.perf_counter()
    found = list(judge.evaluate(networks[WARM_UP:]))
    seconds = time.perf_counter() - started
    busiest = max(cpu_seconds(pid) - then for pid, then in zip(pids, before, strict=True))
    if processes > 1:
        judge.close()  # type: ignore[attr-defined]
    return seconds, busiest, found


def main(argv: Sequence[str] | None = None) -> int:
    """Print the comparison; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=16, help="trials that are timed")
    parser.add_argument("--epochs", type=int, default=6, help="of each")
    parser.add_argument("--pairs", type=int, default=3, help="times that one and two processes take turns")
    words = parser.parse_args(argv)
    torch.set_num_threads(1)
    rng, drawn = random.Random(0), dict[Architecture, None]()
    while len(drawn) < words.networks + WARM_UP:
        drawn[SPACE.sample(rng)] = None
    seconds: dict[int, list[float]] = {1: [], 2: []}
    cpu: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(words.pairs):
        metrics = []
        for processes, spent in seconds.items():
            with tempfile.TemporaryDirectory() as folder:
                took, busiest, found = timed(processes, list(drawn), words.epochs, Path(folder))
            metrics.append([(result.architecture, result.metrics) for result in found])
            spent.append(took)
            cpu[processes].append(busiest)
        assert metrics[0] == metrics[1]
    ratios = {}
    for what, measured in (("seconds", seconds), ("CPU seconds of the busiest", cpu)):
        one, two = (statistics.median(spent) for spent in measured.values())
        ratios[what] = one / two
        for processes, spent in measured.items():
            numbers = ", ".join(f"{took:.1f}" for took in spent)
            print(f"{processes} process{'es' if processes > 1 else ''}: {numbers} {what}")
        print(f"two are {one / two:.2f} times as fast by {what}")
    print(json.dumps(ratios))
    return int(ratios["CPU seconds of the busiest"] < LIMIT)


if __name__ == "__main__":
    sys.exit(main())
