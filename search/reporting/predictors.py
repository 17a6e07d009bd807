"""Predictors of a search, as `best.json` holds them and people read them: how well they predict, round by round."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from config_file.quantity import quantity
from search.objectives import Objective
from search.strategies.surrogate import Predictor

FORM = {"objective": str, "kind": str, "rows": int, **dict.fromkeys(("error", "spread", "tau"), (float, None))}
"""The form of one predictor as JSON."""


def as_rows(rounds: Sequence[Mapping[str, Predictor]]) -> list[dict[str, Any]]:
    """One JSON object for each predictor, in the order that they were fitted; a number that is not finite is null."""
    return [
        {
            "objective": name,
            "kind": fitted.kind,
            "rows": fitted.rows,
            **{what: value if isfinite(value) else None for what, value in _numbers(fitted).items()},
        }
        for predictors in rounds
        for name, fitted in predictors.items()
    ]


def in_words(row: Mapping[str, Any], objectives: Sequence[Objective], judged: str = "in cross-validation") -> str:
    """Such an object for people: the objective, and what cross-validation says of it, or else what it was judged by."""
    name = row["objective"]
    objective = next((objective for objective in objectives if objective.name == name), Objective(name))
    networks = quantity(row["rows"], "network")
    if row["tau"] is None:
        return f"{name} from {networks}: too few, or too much alike, to say how well"
    error, spread = (objective.digits(objective.shown(row[what])) for what in ("error", "spread"))
    points = " points" if objective.percent else ""
    return (
        f"{name} from {networks} by {row['kind']}: {judged} error {error}{points} (the mean alone: "
        f"{spread}), Kendall's tau {row['tau']:.3f}"
    )


def _numbers(fitted: Predictor) -> dict[str, float]:
    return {"error": fitted.error, "spread": fitted.spread, "tau": fitted.tau}
