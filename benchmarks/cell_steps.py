"""Steps on DARTS's cells: all operations mixed, one per edge (GDAS), and along a single path.

    python -m benchmarks.cell_steps [--rounds 5] [--width 16] [--cells 8] [--batch-size 16] [--part steps]

A step of DARTS (first order) or GDAS is one of the architecture parameters and one of the weights: twice forward, cross
entropy and backward, and the fused SGD of what ran. What a DARTS step must run is every operation of every edge, and
what lies between, each forward and backward by itself on a map of its size, twice; the sum of their times is the least
that mixing them can cost. A step along a single path is compared with that of the same network, extracted. Variants
take turns within every round; CPU seconds of one thread; ratios are medians over rounds with bootstrap intervals. Peak
memory is that of a process of its own per variant, above what it had before its first step. The last line is JSON; the
exit status is 1 if a ratio misses its target.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.differentiable_step import highest_resident, ratio, seconds
from supernet import Network, Supernet, build_space, extract
from supernet.relaxations import Relaxation, of_logits
from training.optimizers import make_optimizer, update, zero_grad

LR, MOMENTUM, WEIGHT_DECAY = 0.025, 0.9, 3e-4  # DARTS's
RELAXATIONS = {"darts": "softmax", "gdas": "gumbel_hard"}
TARGETS = {"darts/sum": 1.10, "gdas/darts": 0.35, "memory gdas/darts": 0.35, "path/alone": 1.05}
PARTS = ("steps", "memory")


class Steps:
    """The variants' steps on one supernet."""

    def __init__(self, width: int, cells: int, batch_size: int) -> None:
        torch.manual_seed(0)
        self.space = build_space("darts", num_classes=10, widths=(width,), depths=(cells,), affine=False)
        self.net = Supernet(self.space).train()
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.parameters = of_logits(self.net, 0)
        self.relaxations = {name: Relaxation(known, self.parameters, 0) for name, known in RELAXATIONS.items()}
        self.optimizer = make_optimizer("sgd", self.net.parameters(), LR, MOMENTUM, WEIGHT_DECAY)
        self.x = torch.randn(batch_size, 3, 32, 32).contiguous(memory_format=torch.channels_last)
        self.y = torch.randint(10, (batch_size,))
        self.alone: tuple[Network, Any] | None = None

    def searched(self, name: str, number: int) -> None:
        """A step of the architecture parameters, and one of the weights."""
        relaxation = self.relaxations[name]
        loss = relaxation.objective(lambda path: self._loss(self.net, path), number)
        torch.autograd.grad(loss, self.parameters.logits)
        with torch.no_grad():
            soft = relaxation.kind.soft
            choice = relaxation.gates_at(-1 - number).gates if soft else relaxation.path(number)
        parameters = list(self.net.parameters()) if soft else self.net.parameters_of(choice)
        self._loss(self.net, choice).backward()
        self._update(self.optimizer, parameters)

    def path(self, number: int) -> None:
        architecture = self.parameters.sample(0, number)
        self._loss(self.net, architecture).backward()
        self._update(self.optimizer, self.net.parameters_of(architecture))

    def prepare(self, number: int) -> None:
        """Extract the network of a path, which is no part of its step."""
        network = extract(self.net, self.parameters.sample(0, number)).train()
        self.alone = network, make_optimizer("sgd", network.parameters(), LR, MOMENTUM, WEIGHT_DECAY)

    def network(self) -> None:
        assert self.alone is not None
        network, optimizer = self.alone
        self._loss(network).backward()
        self._update(optimizer, list(network.parameters()))

    def pieces(self) -> list[Callable[[], None]]:
        """Everything that a mixture runs, by itself: per site and operation one pass forward and backward."""
        found: list[Callable[[], None]] = []
        maps: dict[tuple[int, ...], Tensor] = {}
        for site, (_, table) in zip(self.parameters.space.sites, self.parameters.space.factors(), strict=True):
            block, shape = next(entry for entry in table.flat if entry is not None)
            for size in (shape, block.output_shape(shape)):
                if size not in maps:
                    maps[size] = torch.randn(len(self.x), *size).contiguous(memory_format=torch.channels_last)
            running = [option for option in range(len(site.options)) if option not in self.space.zeros[site.gate_name]]
            x, gradient = maps[shape].detach().requires_grad_(), maps[block.output_shape(shape)]
            weights = self.net.weights_at(site.name)
            for option in running:
                wanted = [x, *weights.weights(option)]
                found.append(partial(self._piece, weights.path(option), x, gradient, wanted))
        return found

    def _piece(self, layer: Callable[[Tensor], Tensor], x: Tensor, gradient: Tensor, wanted: Sequence[Tensor]) -> None:
        y = layer(x)
        if y is not x:
            torch.autograd.grad(y, wanted, gradient.view_as(y))

    def _loss(self, model: nn.Module, *choice: Any) -> Tensor:
        return nn.functional.cross_entropy(model(self.x, *choice), self.y)

    def _update(self, optimizer: Any, parameters: Sequence[nn.Parameter]) -> None:
        update(optimizer, parameters, LR)
        zero_grad(parameters)


def time_steps(steps: Steps, rounds: int) -> dict[str, Any]:
    """All variants in turn; the first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in ("darts", "sum", "gdas", "path", "alone")}
    pieces = steps.pieces()
    for number in range(-1, rounds):
        steps.prepare(1000 + number)
        single: dict[str, list[float]] = {"path": [], "alone": []}
        for _ in range(4):  # short, so several in turn
            single["path"].append(seconds(partial(steps.path, 1000 + number)))
            single["alone"].append(seconds(steps.network))
        taken = {name: min(values) for name, values in single.items()}
        taken["gdas"] = float(np.mean([seconds(partial(steps.searched, "gdas", 4 * number + n)) for n in range(4)]))
        taken["darts"] = seconds(partial(steps.searched, "darts", number))
        taken["sum"] = 2 * sum(seconds(piece) for piece in pieces)
        if number >= 0:
            for name, value in taken.items():
                times[name].append(value)
    rows: dict[str, Any] = {
        name: ratio(*(times[part] for part in name.split("/"))) for name in ("darts/sum", "gdas/darts", "path/alone")
    }
    return rows | {"ms": {name: round(1e3 * float(np.median(values)), 1) for name, values in times.items()}}


def peak_memory(name: str, options: argparse.Namespace) -> float:
    """MiB that two steps of a variant add to the process; called in a process of its own."""
    steps = Steps(options.width, options.cells, options.batch_size)
    before = highest_resident()
    for number in range(2):
        steps.searched(name, number)
    return (highest_resident() - before) / 1024


def peaks(options: argparse.Namespace) -> dict[str, Any]:
    """Peak memory of both searches in MiB, and its ratio."""
    mib = {}
    for name in RELAXATIONS:
        command = [sys.executable, "-m", "benchmarks.cell_steps", "--memory-of", name, "--width", str(options.width)]
        command += ["--cells", str(options.cells), "--batch-size", str(options.batch_size)]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        mib[name] = float(output.splitlines()[-1])
    return {"memory gdas/darts": {"median": round(mib["gdas"] / mib["darts"], 3)}, "memory_mib": mib}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--width", type=int, default=16, help="channels of the first cells (default: 16)")
    parser.add_argument("--cells", type=int, default=8, help="cells (default: 8)")
    parser.add_argument("--batch-size", type=int, default=16, help="images (default: 16)")
    parser.add_argument("--part", choices=PARTS, help="measure only this (default: everything)")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    if options.memory_of:
        print(peak_memory(options.memory_of, options))
        return 0
    parts = [options.part] if options.part else PARTS
    rows: dict[str, Any] = peaks(options) if "memory" in parts else {}
    if "steps" in parts:
        rows |= time_steps(Steps(options.width, options.cells, options.batch_size), options.rounds)
    passed = True
    for name, target in TARGETS.items():
        if name not in rows:
            continue
        value = rows[name]["median"]
        passed &= value <= target
        interval = f" [{rows[name]['low']:.3f}, {rows[name]['high']:.3f}]" if "low" in rows[name] else ""
        print(f"{name}: {value:.3f}{interval}, target <= {target:g}{'' if value <= target else ' MISSED'}")
    settings = {"width": options.width, "cells": options.cells, "batch_size": options.batch_size}
    print(json.dumps({"benchmark": "cell_steps", **settings, "rounds": options.rounds, "rows": rows, "passed": passed}))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
