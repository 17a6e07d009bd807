"""Elastic subnets in a supernet of ofa_mbv3: their training step, their extraction, and the costs of encodings.

    python -m benchmarks.elastic_spaces [--subnets 6] [--seed 0]

A training step is a forward and a backward pass of 16 images of 96 pixels; the best of six of a subnet in the supernet
over the best of six of the network extracted from it, in turns. Extraction is that of the largest network. Everything
is timed in CPU seconds of one thread; the last line is JSON, and the exit status is 1 if a limit is missed.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lookup_tables.counters import build_table
from supernet import Supernet, build_space, extract

MOST_STEP, MOST_EXTRACTION, LEAST_COSTS = 1.10, 0.050, 5e6
TURNS, ROWS = 6, 10**6


def seconds(run: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def step(forward: Callable[[], Tensor], parameters: Sequence[nn.Parameter]) -> float:
    """CPU seconds of a forward and a backward pass."""
    taken = seconds(lambda: forward().square().sum().backward())
    for parameter in parameters:
        parameter.grad = None
    return taken


def step_ratio(supernet: Supernet, architecture: tuple[int, ...], x: Tensor) -> float:
    """The subnet's step in the supernet over that of the extracted network."""
    alone = extract(supernet, architecture).train()
    inside: list[float] = []
    outside: list[float] = []
    for _ in range(TURNS):
        inside.append(step(lambda: supernet(x, architecture), [*supernet.parameters()]))
        outside.append(step(lambda: alone(x), [*alone.parameters()]))
    return min(inside) / min(outside)


def costs_per_second(name: str, rng: np.random.Generator, **settings: Any) -> float:
    """Look-ups per second in a table of so many encodings, column by column in bytes."""
    space = build_space(name, **settings)
    table = build_table(space, "flops", 224)
    rows = np.asfortranarray(np.stack([rng.integers(0, size, ROWS, dtype=np.int8) for size in space.sizes], 1))
    table.cost(rows[:1000])
    return ROWS / min(seconds(lambda: table.cost(rows)) for _ in range(3))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--subnets", type=int, default=6, help="random subnets whose step is timed (default: 6)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, images and subnets (default: 0)")
    asked = parser.parse_args(argv)
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    space = build_space("ofa_mbv3")
    supernet = Supernet(space).train()
    largest = tuple(size - 1 for size in space.sizes)
    extract(supernet, largest)  # what is built once is not counted
    extraction = statistics.median(seconds(lambda: extract(supernet, largest)) for _ in range(11))
    print(f"extraction of the largest network  {1e3 * extraction:.1f} ms")
    draw, x = random.Random(asked.seed), torch.randn(16, 3, 96, 96)
    ratios = [step_ratio(supernet, space.sample(draw), x) for _ in range(asked.subnets)]
    print(f"step over the extracted network's  {min(ratios):.3f} to {max(ratios):.3f}")
    rng = np.random.default_rng(asked.seed)
    rates = {
        "ofa_mbv3": costs_per_second("ofa_mbv3", rng),
        "with image sizes": costs_per_second("ofa_mbv3", rng, image_sizes="128-224:4"),
        "ofa_resnet50": costs_per_second("ofa_resnet50", rng),
    }
    print("costs per second                   " + "  ".join(f"{name} {rate:.2g}" for name, rate in rates.items()))
    fine = max(ratios) <= MOST_STEP and extraction <= MOST_EXTRACTION and min(rates.values()) >= LEAST_COSTS
    print(json.dumps({"extraction_s": extraction, "step_ratios": ratios, "costs_per_s": rates, "met": fine}))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
