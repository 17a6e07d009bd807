"""Two processes over one on two cores, and the overhead of a step's reduction against its bytes.

    python -m benchmarks.distributed [--steps 30] [--repeats 3] [--search-space proxylessnas]

Each process has one thread. One process trains on whole batches of 64 images at 32 px, two on halves of them, one
single path per step; they take turns. What counts on an idle machine is the clock: images per second of two over those
of one, 1.7 or more. On a busy one the clock says how busy it is; the same ratio in CPU seconds (images per second of
CPU time of the slower rank) is what the work of splitting and reducing leaves of 2, without the time that ranks wait
for each other. The reduction is timed alone, as the least of many, over loopback and gloo. The last line is JSON.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import torch

from config_file.ranks import gather, joined, number
from training.distributed import here
from training.loop import train_step
from training.options import TrainSupernetOptions
from training.train_supernet import prepare_supernet

TARGET = 1.7
BYTES = [10**4, 10**5, 10**6, 4 * 10**6, 16 * 10**6, 64 * 10**6]


def options(asked: argparse.Namespace) -> TrainSupernetOptions:
    return TrainSupernetOptions(
        title="unused", dataset="digits", resolution=32, search_space=asked.search_space, batch_size=64, threads=1,
        lr=0.01, tensorboard=False,
    )  # fmt: skip


def work(asked: argparse.Namespace) -> dict[str, Any]:
    """The findings of a rank: seconds per step by the clock and of the CPU, and the reduction by its bytes."""
    given = options(asked)
    training = prepare_supernet(given)
    recipe, state = training.recipe, training.state
    wall, cpu, done, touched = 0.0, 0.0, 0, 0
    while done < asked.steps + 3:
        for x, y in recipe.batches(done):
            gather(None)
            begun, spent = time.perf_counter(), time.process_time()
            train_step(recipe, state, x, y)
            if done >= 3:
                wall, cpu = wall + time.perf_counter() - begun, cpu + time.process_time() - spent
                touched += 4 * sum(p.numel() for p in recipe.trainer.step(state.step - 1).parameters)
            done += 1
            if done == asked.steps + 3:
                break
    found = {"wall": wall / asked.steps, "cpu": cpu / asked.steps, "bytes": touched / asked.steps}
    return found | {"reductions": reductions(here(given)) if asked.reductions else {}}


def reductions(over: Any) -> dict[str, tuple[float, float]]:
    """{bytes: (least seconds by the clock, mean seconds of the CPU)} of one sum over the ranks."""
    found = {}
    for size in BYTES:
        parts = list(torch.ones(size // 4).split(max(1, size // 400)))  # a hundred tensors, as of a path
        clocks, spent = [], time.process_time()
        for _ in range(20):
            gather(None)
            begun = time.perf_counter()
            over.sum(parts, 60.0)
            clocks.append(time.perf_counter() - begun)
        found[str(size)] = min(clocks), (time.process_time() - spent) / 20
    return found


def measure(ranks: int, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """The findings of each of so many processes."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    several = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    command = [sys.executable, "-m", "benchmarks.distributed", "--work", *arguments]
    processes = [
        subprocess.Popen(
            command,
            env={**os.environ, **(several | {"RANK": str(rank), "LOCAL_RANK": str(rank)} if ranks > 1 else {})},
            stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parent.parent,
        )
        for rank in range(ranks)
    ]
    outs = [process.communicate()[0] for process in processes]
    found: list[dict[str, Any]] = json.loads(outs[0].splitlines()[-1])
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--search-space", default="proxylessnas")
    parser.add_argument("--reductions", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.work:
        with joined():
            found = gather(work(asked))
            if number() == 0:
                print(json.dumps(found))
        return 0
    given = ["--steps", str(asked.steps), "--search-space", asked.search_space]
    walls: list[tuple[float, float]] = []
    cpus: list[tuple[float, float]] = []
    last: list[dict[str, Any]] = []
    for repeat in range(asked.repeats):
        (one,) = measure(1, given)
        last = measure(2, [*given, *(["--reductions"] if repeat == asked.repeats - 1 else [])])
        walls.append((one["wall"], max(rank["wall"] for rank in last)))
        cpus.append((one["cpu"], max(rank["cpu"] for rank in last)))
        load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
        print(
            f"load {load}: one process {64 / one['wall']:.0f} images/s ({64 / one['cpu']:.0f} of CPU time), two "
            f"{64 / walls[-1][1]:.0f} ({64 / cpus[-1][1]:.0f}); {last[0]['bytes'] / 1e6:.2f} MB of gradients a step",
            flush=True,
        )
    by_clock = min(one for one, _ in walls) / min(two for _, two in walls)
    by_cpu = sum(one for one, _ in cpus) / sum(two for _, two in cpus)
    print(f"two over one: {by_clock:.2f} by the clock (best of {asked.repeats}), {by_cpu:.2f} by CPU time")
    for size, (clock, spent) in last[0]["reductions"].items():
        print(f"reduction of {int(size) / 1e6:.2f} MB: {1e3 * clock:.2f} ms by the clock, {1e3 * spent:.2f} of the CPU")
    print(json.dumps({"by_clock": by_clock, "by_cpu": by_cpu, "reductions": last[0]["reductions"]}))
    return int(by_clock < TARGET)


if __name__ == "__main__":
    sys.exit(main())
