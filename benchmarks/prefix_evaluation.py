"""Prefix-shared evaluation of a late generation of a real evolution over one-by-one evaluation, bit for bit the same.

    python -m benchmarks.prefix_evaluation [--folder FOLDER] [--generation 12 16 20]
    python -m benchmarks.prefix_evaluation --title NAME --root-path RUNS --target-hc X    # over a supernet of one's own

First a supernet (ProxylessNAS's 21 layers of seven options, narrow, 16 px) is trained on the embedded digits, unless
one is named, and two evolutions with 50 candidates a generation search it within a target, through `train_supernet.py`
and `search.py`. They are kept in --folder and are not run again where they are there. The population is what the search
proposed in a generation: the strategy is told the archive of its own run once more.

Operators are used as their papers use them, so that networks come up again: what the archive has of this or an earlier
generation costs a search nothing, and the tree is of the others. One-by-one evaluation computes every candidate (a copy
counts as the mean of the others). Given too are the ratio if nothing were known of earlier generations, and that over
the new ones alone. Timed in CPU seconds of one thread.
The last line is JSON; the exit status is 1 if a form's median ratio stays below its target or a result differs, also
from what the search itself had found.
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
from statistics import median
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch

from config_file.loader import parse
from search.archive import Archive
from search.cli import main as run_search
from search.evaluators.prefix_evaluation import tree_of
from search.evaluators.supernet import SupernetEvaluator
from search.options import SearchOptions
from search.preparation import prepare
from search.result import Result
from supernet import Architecture
from training.cli import main_train_supernet

Results = dict[Architecture, Result]

CANDIDATES, PARENTS = 50, 10
IMAGES, BATCH = 256, 128
TARGETS = {"osnaslib": 1.5, "spos": 2.5}
TRAINING = (
    *("--dataset", "digits", "--search-space", "proxylessnas", "--widths", "8,8,8,16,16,24,32,48,64"),
    *("--resolution", "16", "--epochs", "15", "--batch-size", "64"),
)
SEARCHING = (
    *("--search-strategy", "evolution", "--no-dedup", "--parent-num", str(PARENTS)),
    *("--calibration-images", str(IMAGES), "--eval-images", str(IMAGES), "--eval-batch-size", str(BATCH)),
)
FORMS = {
    # single-point crossover of two of ten elites, then mutation 0.1; elites stay in the population
    "osnaslib": ("--evolution-form", "osnaslib", "--population", str(CANDIDATES + PARENTS)),
    # half mutants 0.1, half uniform crossovers
    "spos": ("--evolution-form", "spos", "--population", str(CANDIDATES)),
}


def populations(
    folder: Path, form: str, run: Sequence[str], target: str, generations: Sequence[int]
) -> tuple[dict[int, list[Architecture]], Results, SupernetEvaluator]:
    """({generation: what a search of that form proposed}, all it evaluated, its evaluator); searches if needed."""
    last = str(max(generations))
    output = folder / f"{form}-{last}-{target}"
    arguments = [*run, "--output", str(output), *SEARCHING, *FORMS[form], "--generation-num", last]
    arguments += ["--target-hc", target]
    if not (output / "best.json").is_file():
        run_search([*arguments, "--overwrite"])
    search = prepare(parse(SearchOptions, arguments, "search.py", "", ()))
    archive = Archive(output / "archive.jsonl", search.evaluator.fingerprints)
    results = {result.architecture: result for result in archive}
    members = {}
    for generation in range(max(generations) + 1):
        members[generation] = search.strategy.ask(CANDIDATES + PARENTS)
        search.strategy.tell([results[architecture] for architecture in members[generation]])
    assert isinstance(search.evaluator, SupernetEvaluator)
    return members, results, search.evaluator


def timed(evaluator: SupernetEvaluator, architectures: Sequence[Architecture]) -> tuple[float, list[Result]]:
    """CPU seconds, and the results in the order of the architectures."""
    start = time.process_time()
    results = {result.architecture: replace(result, spent={}) for result in evaluator.evaluate(architectures)}
    return max(time.process_time() - start, 1e-6), [results[architecture] for architecture in architectures]


def measure(
    form: str, generation: int, members: dict[int, list[Architecture]], results: Results, evaluator: SupernetEvaluator
) -> dict[str, Any]:
    """One row of the result."""
    candidates = members[generation]
    distinct = list(dict.fromkeys(candidates))
    earlier = {architecture for number in range(generation) for architecture in members[number]}
    fresh = [architecture for architecture in distinct if architecture not in earlier]
    evaluators = [replace(evaluator, prefix_sharing=sharing) for sharing in (False, True)]
    for each in evaluators:
        timed(each, distinct[:2])  # loads the images, picks the kernels
    alone, expected = timed(evaluators[0], distinct)
    shared, found = timed(evaluators[1], fresh)
    within, again = timed(evaluators[1], distinct)
    found_by_search = [replace(results[architecture], spent={}, cost={}) for architecture in distinct]
    of_fresh = [result for result in expected if result.architecture not in earlier]
    each_alone = alone / len(distinct)
    space = evaluator.supernet.space
    tree = tree_of(space, fresh, space.input_shape)
    layers = (0, 0) if tree is None else tree.layers()
    row = {
        "form": form,
        "generation": generation,
        "candidates": len(candidates),
        "distinct": len(distinct),
        "new": len(fresh),
        "layers_shared": layers[0],
        "layers_alone": layers[1],
        "alone_seconds": round(each_alone * len(candidates), 2),
        "shared_seconds": round(shared, 2),
        "ratio": round(each_alone * len(candidates) / shared, 3),
        "ratio_within_the_generation": round(each_alone * len(candidates) / within, 3),
        "ratio_of_the_new": round(each_alone * len(fresh) / shared, 3),
        "bit_identical": found == of_fresh and again == found_by_search == expected,
    }
    print(
        f"{form:9s} generation {generation}: {len(candidates)} candidates, {len(distinct)} distinct, {len(fresh)} new; "
        f"{layers[0]} layers instead of {layers[1]}; alone {row['alone_seconds']:.1f} s, shared {shared:.1f} s: "
        f"{row['ratio']:.2f}x ({row['ratio_within_the_generation']:.2f}x if nothing were known of earlier generations, "
        f"{row['ratio_of_the_new']:.2f}x of the new ones alone), "
        f"{'the same' if row['bit_identical'] else 'DIFFERENT'} results",
        flush=True,
    )
    return row


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", help="where the supernet and the searches are kept (default: a temporary one)")
    parser.add_argument(
        "--generation", type=int, nargs="+", default=[12, 16, 20], help="of the evolution (default: 12 16 20)"
    )
    parser.add_argument("--title", help="a trained supernet instead of the one on digits")
    parser.add_argument("--root-path", default="runs", help="folder of its run (default: runs)")
    parser.add_argument("--target-hc", default="2", help="millions of multiply-accumulates (default: 2)")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.folder or temporary)
        where = (
            "--title",
            options.title or "prefix",
            "--root-path",
            options.root_path if options.title else str(folder),
        )
        run = (*where, "--threads", "1", "--no-tensorboard")
        if not options.title and not (folder / "prefix/supernet/supernet.safetensors").is_file():
            main_train_supernet([*run, *TRAINING, "--overwrite"])
        rows = []
        for form in FORMS:
            found = populations(folder, form, run, options.target_hc, options.generation)
            rows += [measure(form, generation, *found) for generation in options.generation]
    medians = {form: median(row["ratio"] for row in rows if row["form"] == form) for form in FORMS}
    passed = all(row["bit_identical"] for row in rows) and all(medians[form] >= TARGETS[form] for form in FORMS)
    print("; ".join(f"{form}: median {medians[form]:.2f}x, target {target}x" for form, target in TARGETS.items()))
    result = {
        "benchmark": "prefix_evaluation", "images": IMAGES, "populations": rows, "medians": medians, "targets": TARGETS,
        "passed": passed,
    }  # fmt: skip
    print(json.dumps(result))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
