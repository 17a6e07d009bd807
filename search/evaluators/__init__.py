"""Evaluators: what scores architectures. The first one does it with the weights of a trained supernet.

A new one is one file with an entry in EVALUATORS, or `--evaluator package.module:callable` from outside; its interface
is `search.evaluators.evaluator.Evaluator`.
"""

from collections.abc import Mapping
from typing import Any

from config_file.errors import UserError, choose
from config_file.plugins import guarded, is_reference, load_object
from search.evaluators.benchmark import TABLES, BenchmarkEvaluator
from search.evaluators.context import Context
from search.evaluators.evaluator import Entry, Evaluates, Evaluator, Shareable
from search.evaluators.own import OwnEvaluator
from search.evaluators.supernet import SUPERNET
from search.evaluators.table import ACCURACY, Columns, TableEvaluator
from search.evaluators.training import TRAINING
from search.evaluators.zero_cost import ZERO_COST

__all__ = [
    "EVALUATORS",
    "BenchmarkEvaluator",
    "Columns",
    "Context",
    "Evaluates",
    "Evaluator",
    "Shareable",
    "TableEvaluator",
    "context_of",
    "make_evaluator",
    "measures_of",
]

EVALUATORS: dict[str, Any] = {"supernet": SUPERNET, "training": TRAINING, "zero_cost": ZERO_COST, **TABLES}
"""Each called (context); see `search.evaluators.evaluator.Evaluator` for the attributes that an entry has."""


def entry_of(name: str) -> Any:
    """A registered entry, or the user's own callable. Raises UserError for an unknown name."""
    return load_object(name) if is_reference(name) else choose("evaluator", name, EVALUATORS)


def context_of(name: str, options: Any) -> Context:
    """The context of an evaluator by its name."""
    entry = entry_of(name)
    return Context(options, bool(getattr(entry, "needs_supernet", False)), getattr(entry, "space", None))


def measures_of(name: str, context: Context) -> dict[str, bool]:
    """{metric: whether more is better}, the one that networks are picked by first; the accuracy unless an entry says.

    Raises UserError where an entry of the user's own says something else.
    """
    measures = getattr(entry_of(name), "measures", ACCURACY)
    if callable(measures):
        measures = guarded(name, measures)(context) if is_reference(name) else measures(context)
    if not isinstance(measures, Mapping) or not measures:
        raise UserError(
            f"--evaluator {name}: its measures must be {{metric: whether more is better}}, not {measures!r}"
        )
    return {str(metric): bool(maximise) for metric, maximise in measures.items()}


def make_evaluator(name: str, context: Context) -> Evaluator:
    """A shipped evaluator, or one of the user's own, `package.module:callable` or entered by one of --plugins.

    Raises UserError for an unknown name, or options or data that do not fit.
    """
    entry = entry_of(name)
    if isinstance(entry, Entry):
        return entry(context)
    return OwnEvaluator(name, entry, context, measures_of(name, context))
