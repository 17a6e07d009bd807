"""The problem of a search: what there is to choose from, within which limits, and what is better."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lookup_tables import CostTable
from lookup_tables.limits import Limits
from search.objectives import ACCURACY, Objective
from search.result import Result
from supernet import Architecture
from supernet.controllers import Controller
from supernet.decisions import DecisionSpace
from training.differentiable_search.distribution_file import Distribution


@dataclass(frozen=True)
class Problem:
    """Everything that a strategy may know about what it searches, read from the options once.

    Attributes:
        limits: the space, and the limits that every proposal keeps.
        objectives: what is optimised; strategies that search no front take one.
        tables: cost tables by metric; what is measured has none.
        earlier: results of earlier searches (`--warm-start`), with their costs.
        trained: accuracies of networks that were trained alone (`--calibrate`).
        distribution: what was learned with the supernet or on its frozen weights, where anything was.
        controller: what was trained with the supernet to draw architectures, where it was.
        rungs: how many fidelities there are, for a strategy that chooses its own by `rung`.
        candidates: what a first stage has found, best first; strategies that start at random take these first.
    """

    limits: Limits
    objectives: tuple[Objective, ...] = (ACCURACY,)
    tables: Mapping[str, CostTable] = field(default_factory=dict)
    earlier: Sequence[Result] = ()
    trained: Mapping[Architecture, float] = field(default_factory=dict)
    distribution: Distribution | None = None
    controller: Controller | None = None
    rungs: int = 1
    candidates: Sequence[Architecture] = ()

    @property
    def space(self) -> DecisionSpace:
        """The architectures there are."""
        return self.limits.space
