"""Prefix-shared evaluation of a late generation of an evolution over one-by-one evaluation, bit for bit the same.

    python -m benchmarks.prefix_evaluation [--generation 12] [--images 256] [--rounds 1]

The population is what the shipped evolution proposes in a generation, from 50 candidates (ProxylessNAS's 21 layers of
seven options, narrow, at 32 px); up to there it is told a made-up accuracy with an optimum, pairwise terms and noise.
Weights and images are random: they do not matter for the time. Operators are used as their papers use them, so that
copies occur; a copy is looked up in the archive and costs nothing. One-by-one evaluation computes it again (counted as
the mean of the others); the ratio over the distinct ones is given too. Timed in CPU seconds of one thread. The last
line is JSON; the exit status is 1 if a ratio stays below its target or a result differs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch

from search.constraints import Constraint
from search.evaluator import SupernetEvaluator
from search.result import Result
from search.strategies.evolution import Evolution
from supernet import Architecture, SearchSpace, Supernet, build_space
from training.data import Data
from training.data.in_memory import ImageStore, InMemorySplit
from training.data.split import Normalisation

RESOLUTION, CANDIDATES = 32, 50
WIDTHS = (8, 8, 8, 16, 16, 24, 32, 48, 64)
TARGETS = {"osnaslib": 1.5, "spos": 2.5}
FORMS: dict[str, dict[str, Any]] = {
    # OSNASLib: single-point crossover of two of ten elites, then mutation 0.1
    "osnaslib": {"population": 60, "generation_size": CANDIDATES},
    # SPOS: half mutants 0.1, half uniform crossovers
    "spos": {
        "population": CANDIDATES,
        "generation_size": CANDIDATES,
        "children": {"mutation": CANDIDATES // 2, "crossover": CANDIDATES // 2},
        "crossover": "uniform",
    },
}


def population(space: SearchSpace, generation: int, seed: int, settings: dict[str, Any]) -> list[Architecture]:
    """What the evolution proposes in that generation, copies included."""
    rng = np.random.default_rng(seed)
    layers, options = len(space.sizes), max(space.sizes)
    alone, pairs = rng.normal(size=(layers, options)), 0.5 * rng.normal(size=(layers - 1, options, options))

    def accuracy(a: Architecture) -> float:
        fitness = sum(alone[i, o] for i, o in enumerate(a)) + sum(pairs[i, a[i], a[i + 1]] for i in range(layers - 1))
        return float(1 / (1 + np.exp(-0.1 * fitness)) + 0.005 * Random(str(a)).gauss(0, 1))

    evolution = Evolution(
        Constraint(space), parent_num=10, generation_num=generation, dedup=False, seed=seed, **settings
    )
    members: list[Architecture] = []
    for _ in range(generation + 1):
        members = evolution.ask(10_000)
        evolution.tell([Result(a, accuracy(a)) for a in members])
    return members


def random_data(images: int) -> Data:
    """Noise with random labels: as many images to calibrate on as to validate on."""
    generator = torch.Generator().manual_seed(0)
    shape = (2 * images, RESOLUTION, RESOLUTION, 3)
    pixels = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 10, (2 * images,), generator=generator)
    store = ImageStore(pixels, labels, window=RESOLUTION, resolution=RESOLUTION)
    normalisation = Normalisation((0.5,) * 3, (0.25,) * 3)
    train, val = (InMemorySplit(store, torch.arange(start, start + images), normalisation) for start in (0, images))
    return Data(
        name="noise", classes=tuple(map(str, range(10))), mean=normalisation.mean, std=normalisation.std,
        resolution=RESOLUTION, train=train, val=val, test=val, trainval=train, split_record={},
    )  # fmt: skip


def timed(evaluator: SupernetEvaluator, architectures: Sequence[Architecture]) -> tuple[float, list[Result]]:
    """CPU seconds, and the results in the order of the architectures."""
    start = time.process_time()
    results = {result.architecture: replace(result, seconds=0.0) for result in evaluator.evaluate(architectures)}
    return time.process_time() - start, [results[architecture] for architecture in architectures]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--generation", type=int, default=12, help="of the evolution (default: 12)")
    parser.add_argument("--images", type=int, default=256, help="to calibrate on, and to validate on (default: 256)")
    parser.add_argument("--rounds", type=int, default=1, help="populations of each form (default: 1)")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    space = build_space("proxylessnas", resolution=RESOLUTION, num_classes=10, widths=WIDTHS)
    torch.manual_seed(0)
    supernet, data = Supernet(space), random_data(options.images)
    rows = []
    for form, settings in FORMS.items():
        for seed in range(options.rounds):
            members = population(space, options.generation, seed, settings)
            distinct = list(dict.fromkeys(members))
            evaluators = [
                SupernetEvaluator(
                    supernet, data, calibration_images=options.images, batch_size=options.images // 2,
                    prefix_sharing=sharing,
                )
                for sharing in (False, True)
            ]  # fmt: skip
            for evaluator in evaluators:
                timed(evaluator, distinct[:2])  # loads the images, picks the kernels
            alone, expected = timed(evaluators[0], distinct)
            shared, found = timed(evaluators[1], distinct)
            every = alone * len(members) / len(distinct)
            row = {
                "form": form,
                "seed": seed,
                "candidates": len(members),
                "distinct": len(distinct),
                "alone_seconds": round(every, 2),
                "shared_seconds": round(shared, 2),
                "ratio": round(every / shared, 3),
                "ratio_without_copies": round(alone / shared, 3),
                "bit_identical": found == expected,
                "target": TARGETS[form],
            }
            rows.append(row)
            print(
                f"{form:9s} seed {seed}: {len(members)} candidates, {len(distinct)} distinct; alone {every:.1f} s, "
                f"shared {shared:.1f} s: {row['ratio']:.2f}x ({row['ratio_without_copies']:.2f}x of the distinct ones; "
                f"target {TARGETS[form]}x), {'the same' if row['bit_identical'] else 'DIFFERENT'} results",
                flush=True,
            )
    ratios = {form: float(np.median([r["ratio"] for r in rows if r["form"] == form])) for form in FORMS}
    passed = all(r["bit_identical"] for r in rows) and all(ratios[f] >= TARGETS[f] for f in FORMS)
    result = {
        "benchmark": "prefix_evaluation", "generation": options.generation, "layers": len(space.sizes),
        "resolution": RESOLUTION, "images": options.images, "populations": rows, "ratios": ratios, "passed": passed,
    }  # fmt: skip
    print(json.dumps(result))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
