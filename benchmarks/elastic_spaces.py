"""Elastic subnets in a supernet of ofa_mbv3: training steps of one and by the sandwich rule, extraction, and costs.

    python -m benchmarks.elastic_spaces [--subnets 6] [--seed 0]

A training step is a forward and a backward pass of 16 images of 96 pixels; the best of six of a subnet in the supernet
over the best of six of the network extracted from it, in turns. A step by the sandwich rule is the whole step of a
training, of the largest network, the smallest and two random ones with in-place distillation; its parts are a pass of
each of the four by the labels, alone, and one update. Extraction is that of the largest network. Everything is timed in
CPU seconds of one thread; the last line is JSON, and the exit status is 1 if a limit is missed.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from lookup_tables.counters import build_table
from supernet import Architecture, Supernet, build_space, extract
from training.loop import train_step
from training.optimizers import update, zero_grad
from training.options import TrainSupernetOptions
from training.train_supernet import prepare_supernet
from training.trainers.sandwich import Sandwich

MOST_STEP, MOST_SANDWICH, MOST_EXTRACTION, LEAST_COSTS = 1.10, 1.05, 0.050, 5e6
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


def sandwich_ratio(side: int, images: int, turns: int = TURNS) -> float:
    """The median of whole steps by the sandwich rule over the sums of their parts, in turns."""
    job = prepare_supernet(
        TrainSupernetOptions(
            title="sandwich", search_space="ofa_mbv3", resolution=side, batch_size=images, epochs=1, lr=1e-3,
            sample_strategy="sandwich", threads=1, channels_last=False, validate_every=1,
        )
    )  # fmt: skip
    recipe, state, context = job.recipe, job.state, job.trainer.context
    trainer = cast(Sandwich, job.trainer)
    x, y = next(recipe.batches(0))

    def alone(path: Architecture) -> None:
        context.task_pass(path)(x, y)[0].backward()

    def parts(number: int) -> float:
        paths = trainer.paths(number)
        taken = sum(seconds(partial(alone, path)) for path in paths)
        parameters = context.parameters_of(paths)
        taken += seconds(lambda: nn.utils.clip_grad_norm_(parameters, recipe.options.clip_grad_norm, foreach=True))
        taken += seconds(lambda: update(state.optimizer, parameters, 1e-3))
        zero_grad(parameters)
        return taken

    ratios = []
    for turn in range(-1, turns):  # the first one warms caches
        whole = seconds(lambda: train_step(recipe, state, x, y))
        ratio = whole / parts(state.step - 1)
        ratios += [ratio] if turn >= 0 else []
    return statistics.median(ratios)


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
    sandwich = sandwich_ratio(64, 16)
    print(f"sandwich step over its parts       {sandwich:.3f}")
    rng = np.random.default_rng(asked.seed)
    rates = {
        "ofa_mbv3": costs_per_second("ofa_mbv3", rng),
        "with image sizes": costs_per_second("ofa_mbv3", rng, image_sizes="128-224:4"),
        "ofa_resnet50": costs_per_second("ofa_resnet50", rng),
    }
    print("costs per second                   " + "  ".join(f"{name} {rate:.2g}" for name, rate in rates.items()))
    fine = max(ratios) <= MOST_STEP and sandwich <= MOST_SANDWICH
    fine = fine and extraction <= MOST_EXTRACTION and min(rates.values()) >= LEAST_COSTS
    found = {"extraction_s": extraction, "step_ratios": ratios, "sandwich_ratio": sandwich, "costs_per_s": rates}
    print(json.dumps(found | {"met": fine}))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
