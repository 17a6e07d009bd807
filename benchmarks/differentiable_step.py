"""A training step with architecture gradients against a plain single-path step (ProxylessNAS, 32 pixels, batch 64).

    python -m benchmarks.differentiable_step [--rounds 24] [--all-path-rounds 3] [--batch-size 64] [--part sampled]

Every step is forward, cross entropy, backward to weights and architecture parameters, and the fused SGD of what ran;
all in one supernet, channels_last, with the same kernels. The plain step runs the very path that is active in the
sampled one; they take turns within every round. Timed in CPU seconds of one thread; ratios
are medians over rounds with bootstrap intervals. Peak memory is that of a process of its own per variant, above what it
had before its first step. The last line is JSON; the exit status is 1 if a ratio misses its target.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch import nn

from supernet import Architecture, Supernet, build_space
from supernet.relaxations import Relaxation
from supernet.relaxations.parameters import ArchitectureParameters
from training.optimizers import make_optimizer, update, zero_grad

LR, MOMENTUM, WEIGHT_DECAY = 0.001, 0.9, 4e-5
SAMPLED = {"straight_through": "gumbel_hard", "two_path": "binary_two"}
TARGETS = {
    "straight_through/single": ("<=", 1.05),
    "two_path/single": ("<=", 1.35),
    "softmax/straight_through": (">=", 6.0),
    "memory softmax/straight_through": (">=", 4.0),
}
PARTS = ("sampled", "all_paths", "memory")


class Steps:
    """The variants' steps on one supernet."""

    def __init__(self, batch_size: int, recompute: bool = False) -> None:
        torch.manual_seed(0)
        space = build_space("proxylessnas", resolution=32, num_classes=10)
        self.net = Supernet(space, recompute)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.parameters = ArchitectureParameters(space)
        relaxations = {**SAMPLED, "softmax": "softmax"}
        self.relaxations = {name: Relaxation(known, self.parameters, 0) for name, known in relaxations.items()}
        self.optimizer = make_optimizer("sgd", self.net.parameters(), LR, MOMENTUM, WEIGHT_DECAY)
        self.everything = list(self.net.parameters())
        self.x = torch.randn(batch_size, 3, 32, 32).contiguous(memory_format=torch.channels_last)
        self.y = torch.randint(10, (batch_size,))

    def path(self, name: str, number: int) -> Architecture:
        """The path that is active in the draw `number` of a sampled variant."""
        gates = self.relaxations[name].gates_at(number).gates
        chosen = []
        for site in self.net.space.sites:
            if site.given:
                options, weights = gates[site.gate_name]
                chosen.append(next(o for o, w in zip(options, weights, strict=True) if w.active))  # type: ignore[union-attr]
        return tuple(chosen)

    def single(self, path: Architecture) -> None:
        parameters = self.net.parameters_of(path)
        nn.functional.cross_entropy(self.net(self.x, path), self.y).backward()
        update(self.optimizer, parameters, LR)
        zero_grad(parameters)

    def relaxed(self, name: str, number: int, path: Architecture | None) -> None:
        gates = self.relaxations[name].gates_at(number).gates
        nn.functional.cross_entropy(self.net(self.x, gates), self.y).backward()
        parameters = self.everything if path is None else self.net.parameters_of(path)
        update(self.optimizer, parameters, LR)
        zero_grad(parameters)
        self.parameters.logits.grad = None


def seconds(run: Callable[[], None]) -> float:
    start = time.process_time_ns()
    run()
    return (time.process_time_ns() - start) / 1e9


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> dict[str, float]:
    """The median of paired ratios and its 95 % bootstrap interval."""
    ratios = np.array(numerator) / np.array(denominator)
    medians = np.median(np.random.default_rng(0).choice(ratios, (10_000, len(ratios))), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return {"median": round(float(np.median(ratios)), 3), "low": round(float(low), 3), "high": round(float(high), 3)}


def time_sampled(steps: Steps, rounds: int) -> dict[str, Any]:
    """Each sampled variant in turn with the plain step of the very path that it runs; -1 warms up."""
    rng = random.Random(0)
    rows: dict[str, Any] = {}
    for name in SAMPLED:
        times: dict[str, list[float]] = {"single": [], name: []}
        for number in range(-2, rounds):
            path = steps.path(name, number)
            runs: dict[str, Callable[[], None]] = {
                "single": partial(steps.single, path),
                name: partial(steps.relaxed, name, number, path),
            }
            for kind in rng.sample(list(runs), 2):
                elapsed = seconds(runs[kind])
                if number >= 0:
                    times[kind].append(elapsed)
        rows[f"{name}/single"] = ratio(times[name], times["single"])
        rows[f"{name}_ms"] = round(1e3 * float(np.median(times[name])), 1)
    return rows


def time_all_paths(steps: Steps, rounds: int) -> dict[str, Any]:
    times: dict[str, list[float]] = {"softmax": [], "straight_through": []}
    for number in range(-1, rounds):
        sampled = []
        for draw in range(4):  # paths differ in length: the mean of several
            drawn = 1000 + 4 * number + draw
            path = steps.path("straight_through", drawn)
            sampled.append(seconds(partial(steps.relaxed, "straight_through", drawn, path)))
        mixed = seconds(partial(steps.relaxed, "softmax", number, None))
        if number >= 0:
            times["softmax"].append(mixed)
            times["straight_through"].append(float(np.mean(sampled)))
    row: dict[str, Any] = {"softmax/straight_through": ratio(times["softmax"], times["straight_through"])}
    return row | {"softmax_ms": round(1e3 * float(np.median(times["softmax"])), 1)}


def peak_memory(variant: str, batch_size: int) -> float:
    """MiB that two steps of a variant add to the process; called in a process of its own."""
    steps = Steps(batch_size, recompute=variant == "recomputed")
    before = highest_resident()
    for number in range(2):
        if variant == "straight_through":
            steps.relaxed(variant, number, steps.path(variant, number))
        else:
            steps.relaxed("softmax", number, None)
    return (highest_resident() - before) / 1024


def highest_resident() -> int:
    """KiB. Not `getrusage`: its maximum is inherited from the process that started this one."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[0])


def peaks(batch_size: int) -> dict[str, Any]:
    """Peak memory of each variant, in MiB, and the ratio that has a target."""
    mib = {variant: memory_of(variant, batch_size) for variant in ("straight_through", "softmax", "recomputed")}
    ratio_of = {"median": round(mib["softmax"] / mib["straight_through"], 2)}
    return {
        "memory softmax/straight_through": ratio_of,
        "memory_mib": {name: round(peak) for name, peak in mib.items()},
    }


def memory_of(variant: str, batch_size: int) -> float:
    command = [sys.executable, "-m", "benchmarks.differentiable_step", "--memory-of", variant]
    output = subprocess.run([*command, "--batch-size", str(batch_size)], capture_output=True, text=True, check=True)
    return float(output.stdout.splitlines()[-1])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=24, help="rounds per sampled variant (default: 24)")
    parser.add_argument("--all-path-rounds", type=int, default=3, help="steps through all options (default: 3)")
    parser.add_argument("--batch-size", type=int, default=64, help="images (default: 64)")
    parser.add_argument("--part", choices=PARTS, help="measure only this (default: everything)")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    if options.memory_of:
        print(peak_memory(options.memory_of, options.batch_size))
        return 0
    parts = [options.part] if options.part else PARTS
    rows: dict[str, Any] = {}
    if "memory" in parts:
        rows |= peaks(options.batch_size)
    if parts != ["memory"]:
        steps = Steps(options.batch_size)
        if "sampled" in parts:
            rows |= time_sampled(steps, options.rounds)
        if "all_paths" in parts:
            rows |= time_all_paths(steps, options.all_path_rounds)
    passed = True
    for name, (sign, target) in TARGETS.items():
        if name not in rows:
            continue
        value = rows[name]["median"]
        met = value <= target if sign == "<=" else value >= target
        passed &= met
        interval = f" [{rows[name]['low']:.3f}, {rows[name]['high']:.3f}]" if "low" in rows[name] else ""
        print(f"{name}: {value:.3f}{interval}, target {sign} {target:g}{'' if met else ' MISSED'}")
    result = {"benchmark": "differentiable_step", "batch_size": options.batch_size, "rounds": options.rounds}
    print(json.dumps(result | {"rows": rows, "passed": passed}))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
