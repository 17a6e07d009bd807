"""A training step that keeps freed memory against one that gives it back (ProxylessNAS, 32 px, batch 64).

    python -m benchmarks.host_memory [--pairs 5] [--steps 8]

Processes with and without `training.host_memory.keep_freed_memory` take turns and train the same paths in one thread;
the rest of a step is as `benchmarks.supernet_step` has it. Timed in CPU seconds, which count the page faults. The last
line is JSON.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
from collections.abc import Sequence

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import torch

from benchmarks.supernet_step import SupernetSteps, make_batch
from supernet import Supernet, build_space
from training.host_memory import keep_freed_memory

VARIANTS = ("kept", "given back")
WARM_UP = 3


def steps(variant: str, count: int) -> dict[str, float]:
    """Milliseconds of CPU and page faults per step, and the peak of the process in MiB."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if variant == "kept" and not keep_freed_memory():
        raise SystemExit("host_memory: this system's allocator takes no such setting (glibc does)")
    space = build_space("proxylessnas", resolution=32, num_classes=10)
    net = Supernet(space).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    shared = SupernetSteps(net, *make_batch(32, 64, 10, channels_last=True))
    rng = random.Random(0)
    paths = [space.sample(rng) for _ in range(WARM_UP + count)]
    for path in paths[:WARM_UP]:
        shared.run(path)
    before = resource.getrusage(resource.RUSAGE_SELF)
    for path in paths[WARM_UP:]:
        shared.run(path)
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    faults = after.ru_minflt - before.ru_minflt
    return {"ms": 1e3 * seconds / count, "faults": faults / count, "peak_mib": after.ru_maxrss / 1024}


def in_a_process(variant: str, count: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.host_memory", "--variant", variant, "--steps", str(count)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    return result


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=5, help="processes of each kind (default: 5)")
    parser.add_argument("--steps", type=int, default=8, help="steps per process (default: 8)")
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.variant:
        print(json.dumps(steps(options.variant, options.steps)))
        return 0
    rows: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for pair in range(options.pairs):
        for variant in VARIANTS if pair % 2 else VARIANTS[::-1]:
            rows[variant].append(in_a_process(variant, options.steps))
    medians = {
        variant: {key: round(float(np.median([row[key] for row in measured])), 1) for key in measured[0]}
        for variant, measured in rows.items()
    }
    ratios = [kept["ms"] / given["ms"] for kept, given in zip(*(rows[variant] for variant in VARIANTS), strict=True)]
    for variant, row in medians.items():
        faults, peak = f"{row['faults']:,.0f} page faults per step", f"peak {row['peak_mib']:,.0f} MiB"
        print(f"{variant:10} {row['ms']:6.1f} ms, {faults}, {peak}")
    print(f"kept over given back: {np.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    print(json.dumps({"benchmark": "host_memory", "rows": medians, "ratio": round(float(np.median(ratios)), 3)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
