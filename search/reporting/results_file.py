"""The files a search leaves: `results.csv`, every evaluation in a row, and `best.json`, which retraining reads."""

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from config_file.files import atomic_write_text
from lookup_tables.limits import Limits
from search.objectives import ACCURACY, Objective
from search.result import FULL, Result
from supernet import SearchSpace
from supernet.decisions import DecisionSpace


def write_results(path: Path, results: Sequence[Result], constraint: Limits, metric: Objective = ACCURACY) -> None:
    """One row per evaluation, in the order they were made; costs in raw units, the metric as it is (a fraction).

    An architecture has a row for each fidelity it was evaluated at, in columns named `n_images` and the like; only the
    greatest one counts for `best_so_far`.
    """
    metrics = list(dict.fromkeys(name for result in results for name in result.metrics))
    others = [name for name in metrics if name != metric.name]
    costs = list(results[0].cost) if results else []
    amounts = dict.fromkeys(name for result in results for name in result.fidelity)
    text = io.StringIO()
    columns = [
        *("evaluation", metric.name, "ci_low", "ci_high", *others, *costs, "within_limits", "best_so_far"),
        *(*map(amount_column, amounts), "seconds", "indices", "architecture"),
    ]
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    best, most = metric.worst, max((result.fidelity for result in results), default=FULL)
    for number, result in enumerate(results, start=1):
        allowed, value = constraint.allows(result.architecture), result.value(metric.name)
        if allowed and not result.failed and result.fidelity == most and metric.better(value, best):
            best = value
        low, high = (math.nan, math.nan) if result.failed or result.interval is None else result.interval
        table.writerow(
            {
                "evaluation": number,
                **{name: _decimal(math.nan if result.failed else result.value(name)) for name in metrics},
                "ci_low": _decimal(low),
                "ci_high": _decimal(high),
                **{name: f"{result.cost[name]:.12g}" for name in costs},
                "within_limits": int(allowed),
                "best_so_far": _decimal(best),
                **{amount_column(name): amount for name, amount in result.fidelity.items()},
                "seconds": f"{result.seconds:.3f}",
                "indices": " ".join(map(str, result.architecture)),
                "architecture": " ".join(constraint.space.names(result.architecture)),
            }
        )
    atomic_write_text(path, text.getvalue())


def amount_column(name: str) -> str:
    """The name under which files give an amount of a fidelity."""
    return f"n_{name}"


def _decimal(number: float) -> str:
    return f"{number:.6f}" if math.isfinite(number) else ""


def about_best(best: Result, space: DecisionSpace, resolution: int, about: dict[str, Any]) -> dict[str, Any]:
    """The content of `best.json`: the chosen architecture with all that is needed to build and train it.

    `about`: how it was found.
    """
    return {
        "search_space": space.name,
        **({"space_options": space.describe()} if isinstance(space, SearchSpace) else {}),
        "architecture": list(best.architecture),
        "names": space.names(best.architecture),
        **best.metrics,
        "interval": best.interval,
        **{amount_column(name): amount for name, amount in best.fidelity.items()},
        "cost": dict(best.cost),
        "decisions_fingerprint": space.decisions_fingerprint,
        "resolution": resolution,
        **about,
    }


def write_best(path: Path, best: Result, space: DecisionSpace, resolution: int, about: dict[str, Any]) -> None:
    """Write `best.json`, the last file of a search."""
    content = about_best(best, space, resolution, about)
    atomic_write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
