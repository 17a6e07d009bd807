"""Prefix-shared evaluation of a late generation of a real evolution over one-by-one evaluation, bit for bit the same.

    python -m benchmarks.prefix_evaluation [--folder FOLDER] [--generation 12]

First a supernet (ProxylessNAS's 21 layers of seven options, narrow, 16 px) is trained on the embedded digits, and two
evolutions with 50 candidates a generation search it within a target, through `train_supernet.py` and `search.py`. They
are kept in --folder and are not run again where they are there. The population is what the search proposed in a
generation: the strategy is told the archive of its own run once more.

Operators are used as their papers use them, so that copies occur; a copy is looked up in the archive and costs nothing.
One-by-one evaluation computes it again (counted as the mean of the others); the ratio over the distinct ones is given
too. Timed in CPU seconds of one thread. The last line is JSON; the exit status is 1 if a ratio stays below its target
or a result differs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch

from config_file.loader import parse
from config_file.options import SearchOptions
from search.archive import Archive
from search.cli import main as run_search
from search.evaluator import SupernetEvaluator
from search.prefix_evaluation import tree_of
from search.preparation import prepare
from search.result import Result
from supernet import Architecture
from training.cli import main_train_supernet

RESOLUTION, CANDIDATES, PARENTS = 16, 50, 10
IMAGES, BATCH = 256, 128
TARGETS = {"osnaslib": 1.5, "spos": 2.5}
TRAINING = (
    *("--dataset", "digits", "--search-space", "proxylessnas", "--widths", "8,8,8,16,16,24,32,48,64"),
    *("--resolution", str(RESOLUTION), "--epochs", "15", "--batch-size", "64"),
)
SEARCHING = (
    *("--search-strategy", "evolution", "--no-dedup", "--parent-num", str(PARENTS), "--target-hc", "2"),
    *("--calibration-images", "64", "--eval-images", "128", "--eval-batch-size", str(BATCH)),
)
FORMS = {
    # single-point crossover of two of ten elites, then mutation 0.1; elites stay in the population
    "osnaslib": ("--evolution-form", "osnaslib", "--population", str(CANDIDATES + PARENTS)),
    # half mutants 0.1, half uniform crossovers
    "spos": ("--evolution-form", "spos", "--population", str(CANDIDATES)),
}


def population(folder: Path, form: str, generation: int) -> tuple[list[Architecture], SupernetEvaluator]:
    """What the search of that form proposed in a generation, copies included, and its evaluator; searches if needed."""
    run = ("--title", "prefix", "--root-path", str(folder), "--threads", "1", "--no-tensorboard")
    if not (folder / "prefix/supernet/supernet.safetensors").is_file():
        main_train_supernet([*run, *TRAINING, "--overwrite"])
    arguments = [*run, "--output", str(folder / form), *SEARCHING, *FORMS[form], "--generation-num", str(generation)]
    if not (folder / form / "best.json").is_file():
        run_search([*arguments, "--overwrite"])
    search = prepare(parse(SearchOptions, arguments, "search.py", "", ()))
    archive = Archive(folder / form / "archive.jsonl", search.fingerprints)
    members: list[Architecture] = []
    for _ in range(generation + 1):
        members = search.strategy.ask(CANDIDATES + PARENTS)
        search.strategy.tell([archive[architecture] for architecture in members])
    assert len(members) == CANDIDATES
    return members, search.evaluator


def timed(evaluator: SupernetEvaluator, architectures: Sequence[Architecture]) -> tuple[float, list[Result]]:
    """CPU seconds, and the results in the order of the architectures."""
    start = time.process_time()
    results = {result.architecture: replace(result, seconds=0.0) for result in evaluator.evaluate(architectures)}
    return time.process_time() - start, [results[architecture] for architecture in architectures]


def measure(folder: Path, form: str, generation: int) -> dict[str, object]:
    """One row of the result."""
    members, evaluator = population(folder, form, generation)
    distinct = list(dict.fromkeys(members))
    evaluators = [
        SupernetEvaluator(
            **evaluator.arguments | {"calibration_images": IMAGES, "eval_images": IMAGES, "prefix_sharing": sharing}
        )
        for sharing in (False, True)
    ]
    for each in evaluators:
        timed(each, distinct[:2])  # loads the images, picks the kernels
    alone, expected = timed(evaluators[0], distinct)
    shared, found = timed(evaluators[1], distinct)
    every = alone * len(members) / len(distinct)
    tree = tree_of(evaluator.supernet.space, distinct, (3, RESOLUTION, RESOLUTION))
    assert tree is not None
    row = {
        "form": form,
        "candidates": len(members),
        "distinct": len(distinct),
        "layers_shared": tree.layers()[0],
        "layers_alone": tree.layers()[1],
        "alone_seconds": round(every, 2),
        "shared_seconds": round(shared, 2),
        "ratio": round(every / shared, 3),
        "ratio_without_copies": round(alone / shared, 3),
        "bit_identical": found == expected,
        "target": TARGETS[form],
    }
    print(
        f"{form:9s} {len(members)} candidates, {len(distinct)} distinct; {row['layers_shared']} layers instead of "
        f"{row['layers_alone']}; alone {every:.1f} s, shared {shared:.1f} s: {row['ratio']:.2f}x "
        f"({row['ratio_without_copies']:.2f}x of the distinct ones; target {TARGETS[form]}x), "
        f"{'the same' if row['bit_identical'] else 'DIFFERENT'} results",
        flush=True,
    )
    return row


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", help="where the supernet and the searches are kept (default: a temporary one)")
    parser.add_argument("--generation", type=int, default=12, help="of the evolution (default: 12)")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        rows = [measure(Path(options.folder or temporary), form, options.generation) for form in FORMS]
    passed = all(row["bit_identical"] and row["ratio"] >= row["target"] for row in rows)  # type: ignore[operator]
    result = {
        "benchmark": "prefix_evaluation", "generation": options.generation, "resolution": RESOLUTION,
        "images": IMAGES, "populations": rows, "passed": passed,
    }  # fmt: skip
    print(json.dumps(result))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
