"""The files a search leaves: `results.csv`, every evaluation in a row, `pareto_front.csv`, those that none of as little
cost beats, and `best.json`, which retraining reads.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from config_file.files import atomic_write_text, write_sealed
from lookup_tables.limits import Limits
from search.objectives import ACCURACY, Objective
from search.pareto import front_over_cost
from search.reporting.finished_search import FORMAT
from search.result import FULL, Result
from supernet import Architecture, NetworkSpace
from supernet.decisions import DecisionSpace
from supernet.genotype import genotype_of


def write_results(
    path: Path,
    results: Sequence[Result],
    constraint: Limits,
    metric: Objective = ACCURACY,
    confirmed: Mapping[Architecture, Result] = MappingProxyType({}),
    only: Sequence[int] | None = None,
) -> None:
    """One row per evaluation, in the order they were made; costs in raw units, the metric as it is (a fraction).

    `only` are the positions of the rows to write, in their order; none: all.

    An architecture has a row for each fidelity it was evaluated at, in columns named `n_images` and the like; only the
    greatest one counts for `best_so_far`; `seconds` and `epochs` are what it took beside what its architecture was
    charged before. What was confirmed has that in columns named `confirmed_...` too.
    """
    metrics = list(dict.fromkeys(name for result in results for name in result.metrics))
    others = [name for name in metrics if name != metric.name]
    costs = list(results[0].cost) if results else []
    amounts = dict.fromkeys(name for result in results for name in result.fidelity)
    trained = ["epochs"] if any("epochs" in result.spent for result in results) else []
    text = io.StringIO()
    columns = [
        *("evaluation", metric.name, "ci_low", "ci_high", *confirmed_columns(metric, confirmed)),
        *(*others, *costs, "within_limits", "best_so_far"),
        *(*map(amount_column, amounts), "seconds", *trained, "indices", "architecture"),
    ]
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    rows: list[dict[str, Any]] = []
    best, most = metric.worst, max((result.fidelity for result in results), default=FULL)
    for number, result in enumerate(results, start=1):
        allowed, value = constraint.allows(result.architecture), result.value(metric.name)
        if allowed and not result.failed and result.fidelity == most and metric.better(value, best):
            best = value
        low, high = (math.nan, math.nan) if result.failed or result.interval is None else result.interval
        rows.append(
            {
                "evaluation": number,
                **{name: _decimal(math.nan if result.failed else result.value(name)) for name in metrics},
                "ci_low": _decimal(low),
                "ci_high": _decimal(high),
                **(confirmed_cells(metric, confirmed.get(result.architecture)) if confirmed else {}),
                **{name: f"{result.cost[name]:.12g}" for name in costs},
                "within_limits": int(allowed),
                "best_so_far": _decimal(best),
                **{amount_column(name): amount for name, amount in result.fidelity.items()},
                "seconds": f"{result.seconds:.3f}",
                **{name: f"{result.spent.get(name, 0):.9g}" for name in trained},
                "indices": " ".join(map(str, result.architecture)),
                "architecture": " ".join(constraint.space.names(result.architecture)),
            }
        )
    table.writerows(rows if only is None else [rows[position] for position in only])
    atomic_write_text(path, text.getvalue())


def on_front(results: Sequence[Result], constraint: Limits, metric: Objective) -> list[int]:
    """The positions of results that none of as little cost beats in the metric, by rising cost of the first limit.

    Only results of the greatest fidelity within the limits count.
    """
    most = max((result.fidelity for result in results), default=FULL)
    sound = [
        number
        for number, result in enumerate(results)
        if result.fidelity == most and not result.failed and constraint.allows(result.architecture)
    ]
    chosen = [results[number] for number in sound]
    losses = np.array([-metric.score(result) for result in chosen])
    costs = constraint.cost([result.architecture for result in chosen])
    return [sound[position] for position in front_over_cost(costs, losses)]


def confirmed_columns(metric: Objective, confirmed: Mapping[Architecture, Result]) -> list[str]:
    """The columns for what was confirmed, none where nothing was."""
    return list(confirmed_cells(metric, None)) if confirmed else []


def confirmed_cells(metric: Objective, result: Result | None) -> dict[str, str]:
    """The content of these columns for one architecture; empty where it was not confirmed."""
    value = math.nan if result is None else metric.value(result)
    low, high = (math.nan, math.nan) if result is None or result.interval is None else result.interval
    names = (f"confirmed_{metric.name}", "confirmed_ci_low", "confirmed_ci_high")
    return dict(zip(names, map(_decimal, (value, low, high)), strict=True))


def amount_column(name: str) -> str:
    """The name under which files give an amount of a fidelity."""
    return f"n_{name}"


def _decimal(number: float) -> str:
    return f"{number:.6f}" if math.isfinite(number) else ""


def about_best(
    best: Result, space: DecisionSpace, resolution: int, about: dict[str, Any], confirmed: Result | None = None
) -> dict[str, Any]:
    """The content of `best.json`: the chosen architecture with all that is needed to build and train it.

    Args:
        about: how it was found.
        confirmed: as it was judged by what nothing was selected by: these are its metrics and its interval then, and
            what it was selected with stands beside them. Without it no interval is known: that of the evaluation does
            not know that it won.
    """
    judged = confirmed or best
    return {
        "format": FORMAT,
        "search_space": space.name,
        **({"space_options": space.describe()} if isinstance(space, NetworkSpace) else {}),
        "architecture": list(best.architecture),
        "names": space.names(best.architecture),
        **({} if (genotype := genotype_of(space, best.architecture)) is None else {"genotype": str(genotype)}),
        **_scores(judged),
        "interval": None if confirmed is None else confirmed.interval,
        "confirmed": confirmed is not None,
        **({} if confirmed is None else {"selected_with": _scores(best)}),
        "cost": dict(best.cost),
        "decisions_fingerprint": space.decisions_fingerprint,
        "resolution": resolution,
        **about,
    }


def write_best(
    path: Path,
    best: Result,
    space: DecisionSpace,
    resolution: int,
    about: dict[str, Any],
    confirmed: Result | None = None,
) -> None:
    """Write `best.json`, the last file of a search."""
    write_sealed(path, about_best(best, space, resolution, about, confirmed))


def _scores(result: Result) -> dict[str, Any]:
    return {**result.metrics, **{amount_column(name): amount for name, amount in result.fidelity.items()}}
