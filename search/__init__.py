"""The search for a network: strategies, evaluators, the loop between them, and what a search leaves behind.

The names below are what other code may rely on:

- `Problem`, `STRATEGIES`, `Strategy`: what a strategy gets, and what it has to do;
- `EVALUATORS`, `Evaluator`, `Evaluates`, `Context`, `TableEvaluator`: what scores architectures, and where;
- `Result`, `Fidelity`, `FULL`, `Objective`: what is told of an architecture, at which fidelity, and what is better;
- `run`, `Ledger`, `Stop`, `SCHEDULES`, `Archive`: the loop, its budget and its schedule, and what is kept;
- `search.testing`: the behaviour that strategies and evaluators must show, as tests to inherit.

One's own is an entry of a registry (`STRATEGIES["mine"] = Mine`, in a module of --plugins), or `module:callable`.
"""

from typing import TYPE_CHECKING

from config_file.lazy import lazy_names

if TYPE_CHECKING:
    from search.archive import Archive
    from search.engine import run
    from search.evaluators import EVALUATORS, Context, Evaluates, Evaluator, TableEvaluator
    from search.ledger import Ledger, Stop
    from search.objectives import Objective
    from search.problem import Problem
    from search.result import FULL, Fidelity, Result
    from search.schedules import SCHEDULES
    from search.strategies import STRATEGIES, Strategy
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "EVALUATORS",
    "FULL",
    "SCHEDULES",
    "STRATEGIES",
    "Archive",
    "Context",
    "Evaluates",
    "Evaluator",
    "Fidelity",
    "Ledger",
    "Objective",
    "Problem",
    "Result",
    "Stop",
    "Strategy",
    "TableEvaluator",
    "run",
]
