"""What a search leaves behind: `results.csv`, every evaluation in a row, and `best.json`, which retraining reads."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from config_file.files import atomic_write_text
from search.constraints import Constraint
from search.result import Result
from supernet import SearchSpace
from tasks import CLASSIFICATION, Task

AFTER_COSTS = ("within_limits", "best_so_far", "n_images", "seconds", "indices", "architecture")


def write_results(path: Path, results: Sequence[Result], constraint: Constraint, task: Task = CLASSIFICATION) -> None:
    """One row per evaluation, in the order they were made; costs in raw units, the task's metric as a fraction.

    With successive budgets an architecture has a row for each, and only the last one counts for `best_so_far`.
    """
    scored = (task.metric, "ci_low", "ci_high", "loss")
    metrics = list(results[0].cost) if results else []
    text = io.StringIO()
    table = csv.DictWriter(text, ["evaluation", *scored, *metrics, *AFTER_COSTS], lineterminator="\n")
    table.writeheader()
    best, most = task.worst, max((result.n_images for result in results), default=0)
    for number, result in enumerate(results, start=1):
        allowed = constraint.allows(result.architecture)
        if allowed and not result.failed and result.n_images == most and task.better(result.value, best):
            best = result.value
        scores = [math.nan] * 4 if result.failed else [result.value, *result.interval, result.loss]
        table.writerow(
            {
                "evaluation": number,
                **dict(zip(scored, map(_decimal, scores), strict=True)),
                **{metric: f"{result.cost[metric]:.12g}" for metric in metrics},
                "within_limits": int(allowed),
                "best_so_far": _decimal(best),
                "n_images": result.n_images,
                "seconds": f"{result.seconds:.3f}",
                "indices": " ".join(map(str, result.architecture)),
                "architecture": " ".join(constraint.space.names(result.architecture)),
            }
        )
    atomic_write_text(path, text.getvalue())


def _decimal(number: float) -> str:
    return f"{number:.6f}" if math.isfinite(number) else ""


def write_best(
    path: Path,
    best: Result,
    space: SearchSpace,
    resolution: int,
    about: dict[str, Any],
    task: Task = CLASSIFICATION,
) -> None:
    """The chosen architecture with all that is needed to build and train it; `about`: how it was found."""
    content = {
        "search_space": space.name,
        "space_options": space.describe(),
        "architecture": list(best.architecture),
        "names": space.names(best.architecture),
        task.metric: best.value,
        "interval": list(best.interval),
        "loss": best.loss,
        "n_images": best.n_images,
        "cost": dict(best.cost),
        "decisions_fingerprint": space.decisions_fingerprint,
        "resolution": resolution,
        **about,
    }
    atomic_write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
