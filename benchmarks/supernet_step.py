"""A training step of the supernet against the same subnet trained alone (ProxylessNAS, one path per step).

    python -m benchmarks.supernet_step [--resolution 32 --resolution 224] [--pairs 36] [--architectures 12]

Both take the same step: forward, label-smoothed cross entropy, backward, clipping, and the fused SGD of the path, in
channels_last. As in a training, the step before each timed one is of another random path for the supernet and of the
same network for the standalone. At 32 pixels a plain standalone (NCHW, torch.optim.SGD as it comes) is timed as well.
They take turns within every pair. Timed in CPU seconds of one thread: on an idle machine that is what a clock shows,
and it holds on a busy one. Intervals are bootstrapped over pairs. The last line is JSON; the exit status is 1 if a
ratio misses its target.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch import Tensor, nn

from supernet import Architecture, Supernet, build_space, extract
from training.device import prepare_device
from training.optimizers import make_optimizer, update, zero_grad

BATCH_SIZE = {32: 64, 224: 4}
TARGETS = {32: {"standalone": 1.05, "plain": 0.55}, 224: {"standalone": 1.10}}
LR, MOMENTUM, WEIGHT_DECAY, CLIP = 0.001, 0.9, 4e-5, 5.0

Step = Callable[[], None]


def make_batch(resolution: int, batch_size: int, classes: int, channels_last: bool) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch_size, 3, resolution, resolution, generator=generator)
    y = torch.randint(classes, (batch_size,), generator=generator)
    return (x.contiguous(memory_format=torch.channels_last) if channels_last else x), y


def descend(logits: Tensor, y: Tensor, parameters: Sequence[nn.Parameter]) -> None:
    nn.functional.cross_entropy(logits, y, label_smoothing=0.1).backward()
    nn.utils.clip_grad_norm_(parameters, CLIP, foreach=True)


class SupernetSteps:
    """Steps of one supernet along given paths."""

    def __init__(self, net: Supernet, x: Tensor, y: Tensor) -> None:
        self.net, self.x, self.y = net, x, y
        self.optimizer = make_optimizer("sgd", net.parameters(), LR, MOMENTUM, WEIGHT_DECAY)

    def run(self, path: Architecture) -> None:
        parameters = self.net.parameters_of(path)
        descend(self.net(self.x, path), self.y, parameters)
        update(self.optimizer, parameters, LR)
        zero_grad(parameters)


def standalone(network: nn.Module, x: Tensor, y: Tensor) -> Step:
    """A step of the network alone with the same kernels."""
    parameters = list(network.parameters())
    optimizer = make_optimizer("sgd", parameters, LR, MOMENTUM, WEIGHT_DECAY)

    def run() -> None:
        descend(network(x), y, parameters)
        update(optimizer, parameters, LR)
        zero_grad(parameters)

    return run


def plain(network: nn.Module, x: Tensor, y: Tensor) -> Step:
    """A step as everybody writes it."""
    optimizer = torch.optim.SGD(network.parameters(), LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)

    def run() -> None:
        optimizer.zero_grad()
        descend(network(x), y, list(network.parameters()))
        optimizer.step()

    return run


def seconds(before: Step, timed: Step) -> float:
    before()
    start = time.process_time_ns()
    timed()
    return (time.process_time_ns() - start) / 1e9


def median_with_interval(ratios: Sequence[float]) -> dict[str, float]:
    """The median and its 95 % bootstrap interval."""
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(np.array(ratios), (10_000, len(ratios))), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return {"median": round(float(np.median(ratios)), 3), "low": round(float(low), 3), "high": round(float(high), 3)}


def measure(resolution: int, pairs: int, architectures: int) -> dict[str, Any]:
    """All pairs of one resolution, architecture by architecture."""
    torch.manual_seed(0)
    rng = random.Random(0)
    batch_size = BATCH_SIZE.get(resolution, 4)
    space = build_space("proxylessnas", resolution=resolution, num_classes=10)
    net = Supernet(space).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x, y = make_batch(resolution, batch_size, 10, channels_last=True)
    shared = SupernetSteps(net, x, y)
    kinds = ["supernet", "standalone", *(["plain"] if "plain" in TARGETS.get(resolution, {}) else [])]
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for index in range(architectures):
        path = space.sample(rng)
        alone = standalone(extract(net, path), x, y)
        images = make_batch(resolution, batch_size, 10, channels_last=False)
        usual = plain(extract(net, path).to(memory_format=torch.contiguous_format), *images)  # type: ignore[call-overload]
        turns = pairs // architectures + (index < pairs % architectures)
        for turn in range(-1, turns):  # the first turn warms caches
            steps: dict[str, tuple[Step, Step]] = {
                "supernet": (partial(shared.run, space.sample(rng)), partial(shared.run, path)),
                "standalone": (alone, alone),
                "plain": (usual, usual),
            }
            for kind in rng.sample(kinds, len(kinds)):
                elapsed = seconds(*steps[kind])
                if turn >= 0:
                    times[kind].append(elapsed)
    row: dict[str, Any] = {"resolution": resolution, "batch_size": batch_size, "pairs": pairs}
    row |= {f"{kind}_ms": round(1e3 * float(np.median(times[kind])), 1) for kind in kinds}
    for kind in kinds[1:]:
        ratios = [a / b for a, b in zip(times["supernet"], times[kind], strict=True)]
        row[f"over_{kind}"] = median_with_interval(ratios) | {"target": TARGETS.get(resolution, {}).get(kind)}
    return row


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--resolution", type=int, action="append", help="pixels, repeatable (default: 32 and 224)")
    parser.add_argument("--pairs", type=int, default=36, help="pairs per resolution (default: 36)")
    parser.add_argument("--architectures", type=int, default=12, help="architectures they go over (default: 12)")
    options = parser.parse_args(argv)
    prepare_device(torch.device("cpu"), threads=1)
    rows, passed = [], True
    for resolution in options.resolution or sorted(BATCH_SIZE):
        row = measure(resolution, options.pairs, options.architectures)
        rows.append(row)
        print(f"{resolution} pixels, batch {row['batch_size']}: supernet {row['supernet_ms']} ms of CPU per step")
        for kind in ("standalone", "plain"):
            if (ratio := row.get(f"over_{kind}")) is not None:
                target = ratio["target"]
                passed &= target is None or ratio["median"] <= target
                wanted = "" if target is None else f", target at most {target:g}"
                interval = f"{ratio['median']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]"
                print(f"  over {kind:10} ({row[f'{kind}_ms']} ms): {interval}{wanted}")
    result = {"benchmark": "supernet_step", "space": "proxylessnas", "pairs": options.pairs}
    result |= {"architectures": options.architectures, "rows": rows, "passed": passed}
    print(json.dumps(result))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
