"""Scoring candidates with a last linear layer fitted anew over scoring them with the supernet's own.

    python -m benchmarks.refit_head [--images 2000] [--networks 4] [--rounds 3]

Networks of the NAS-Bench-Macro space (1,280 features) with random weights on random images, each evaluated alone and
all as one population with shared prefixes; both heads in turn, CPU seconds of one thread, the median ratio. Weights and
images do not matter to the time. The last line is JSON; the exit status is 1 if the ratio of a population is above its
limit.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from statistics import median

os.environ["OMP_NUM_THREADS"] = "1"

import torch

from search.evaluators.supernet import SupernetEvaluator
from supernet import Architecture, Supernet, build_space
from training.data import Data
from training.data.in_memory import ImageStore, InMemorySplit
from training.data.split import Normalisation

CALIBRATION, CLASSES, RESOLUTION = 1024, 10, 32
LIMIT = 1.25


def random_data(images: int) -> Data:
    """So many images to validate on, and those that calibrate."""
    generator = torch.Generator().manual_seed(0)
    count = CALIBRATION + images
    pixels = torch.randint(0, 256, (count, RESOLUTION, RESOLUTION, 3), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, CLASSES, (count,), generator=generator)
    store = ImageStore(pixels, labels, window=RESOLUTION, resolution=RESOLUTION)
    normalisation = Normalisation((0.5,) * 3, (0.25,) * 3)
    parts = torch.arange(count).split([CALIBRATION, images])
    train, val = (InMemorySplit(store, rows, normalisation) for rows in parts)
    classes = tuple(map(str, range(CLASSES)))
    return Data("random", classes, normalisation.mean, normalisation.std, RESOLUTION, train, val, val, train)


def seconds(evaluator: SupernetEvaluator, architectures: Sequence[Architecture]) -> float:
    """CPU seconds of an evaluation."""
    start = time.process_time()
    list(evaluator.evaluate(architectures))
    return time.process_time() - start


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=2000, help="validation images (default: 2000)")
    parser.add_argument("--networks", type=int, default=4, help="candidates (default: 4)")
    parser.add_argument("--rounds", type=int, default=3, help="of both heads in turn (default: 3)")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    space = build_space("nasbench_macro", resolution=RESOLUTION, num_classes=CLASSES)
    supernet, data, rng = Supernet(space), random_data(options.images), random.Random(0)
    architectures = list(dict.fromkeys(space.sample(rng) for _ in range(options.networks)))
    ratios = {}
    for way, sharing in (("each alone", False), ("one population", True)):
        plain, refitted = (
            SupernetEvaluator(supernet, data, calibration_images=CALIBRATION, refit_head=refit, prefix_sharing=sharing)
            for refit in (False, True)
        )
        for evaluator in (plain, refitted):
            seconds(evaluator, architectures[:2])  # loads the images, picks the kernels
        found = []
        for number in range(options.rounds):
            before, after = seconds(plain, architectures), seconds(refitted, architectures)
            found.append(after / before)
            print(f"{way}, round {number + 1}: {before:.1f} s, fitted anew {after:.1f} s", flush=True)
        ratios[way] = round(median(found), 3)
    passed = ratios["one population"] <= LIMIT
    print(f"a head fitted anew takes {ratios['each alone']:.2f} times as long, in a population "
          f"{ratios['one population']:.2f} times (limit {LIMIT})")  # fmt: skip
    result = {
        "benchmark": "refit_head", "images": options.images, "networks": len(architectures), "ratios": ratios,
        "limit": LIMIT, "passed": passed,
    }  # fmt: skip
    print(json.dumps(result))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
