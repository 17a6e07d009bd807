"""The hardware side of a differentiable search: tables, the part of the loss, the limits of the derivation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from config_file.errors import UserError
from lookup_tables import CostTable
from lookup_tables.constraint_text import upper_limits
from lookup_tables.limits import Limit
from lookup_tables.loading import tables_of
from supernet import Architecture, SearchSpace
from supernet.derivation import check_feasible
from supernet.label_setting import Bound
from supernet.metrics import METRICS
from training.differentiable_search.options import MULTIPLIER_TRAVEL, LearningOptions
from training.differentiable_search.penalties import Multipliers, make_penalty


@dataclass(frozen=True)
class Hardware:
    """The hardware side of an architecture's objective.

    Attributes:
        targets: by table, in the unit of the flags: what is aimed at, or with multipliers the greatest cost allowed.
        penalised: (loss, expected costs (K,)) -> the loss with what they add to it.
        multipliers: of hard targets, None with a penalty.
    """

    tables: Mapping[str, CostTable]
    targets: Mapping[str, float]
    penalised: Callable[[Tensor, Tensor], Tensor]
    multipliers: Multipliers | None

    def expected(self, probabilities: Sequence[Tensor]) -> Tensor:
        """(K,) expected costs in the unit of the flags, of probabilities per decision; differentiable."""
        tables = [self.tables[name] for name in self.targets]
        return torch.stack([table.expected(probabilities) / table.metric.per_flag for table in tables])

    def costs(self, architecture: Architecture) -> dict[str, float]:
        """The costs of one architecture, in the unit of the flags."""
        tables = {name: self.tables[name] for name in self.targets}
        return {name: float(table.cost([architecture])[0]) / table.metric.per_flag for name, table in tables.items()}

    @property
    def bounds(self) -> list[Bound]:
        """Limits that a derived architecture must keep to: none without multipliers."""
        return [] if self.multipliers is None else bounds_of(self.tables, self.targets)


def bounds_of(tables: Mapping[str, CostTable], targets: Mapping[str, float]) -> list[Bound]:
    """Upper limits, given in the unit of the flags, for `supernet.derivation`."""
    limits = [Limit(tables[name], upper=target * tables[name].metric.per_flag) for name, target in targets.items()]
    return [bound for limit in limits for bound in limit.bounds()]


def cost_range(options: Any, space: SearchSpace, resolution: int) -> str | None:
    """The range of --target-hc: the exact minimum and maximum of the space; None of a cost without a table."""
    name = options.info_metric
    known = METRICS.get(name)
    if not options.lookup_table and (known is None or known.count is None):
        return None
    table = tables_of(options, space, resolution, [name])[name]
    low, high = (table.metric.in_flags(end[0]) for end in (table.minimum(), table.maximum()))
    asked = "" if options.target_hc is None else f"; --target-hc {options.target_hc:g}"
    return f"{name} from {low} to {high}{asked}"


def make_hardware(
    options: LearningOptions,
    space: SearchSpace,
    resolution: int,
    device: torch.device,
    steps: int,
    tables: Mapping[str, CostTable] | None = None,
) -> Hardware | None:
    """The costs that the options ask for; None where cost does not count.

    Args:
        steps: number of architecture steps of the training.
        tables: those of the space that are not given are loaded and counted here.

    Raises:
        UserError: a metric without a table, a penalty that does not fit, or limits that nothing is within (it says
            which one binds, and the exact minimum).
    """
    targets = upper_limits(options)
    hard = options.hc_mode == "constrained" or bool(options.constraint)
    if not targets:
        if hard:
            raise UserError("--hc-mode constrained needs --target-hc, or --constraint METRIC<=X")
        return None
    if tables is None:
        tables = tables_of(options, space, resolution, targets)
    if hard:
        check_feasible(space.sizes, bounds_of(tables, targets))
        rate = MULTIPLIER_TRAVEL / steps if options.hc_rate is None else options.hc_rate
        multipliers = Multipliers(list(targets.values()), rate=rate, fill=options.hc_fill, device=device)
        return Hardware(tables, targets, multipliers.penalised, multipliers)
    (name,) = targets
    minimum = tables[name].minimum()[0] / tables[name].metric.per_flag
    penalty = make_penalty(options, targets[name], minimum)
    return Hardware(tables, targets, lambda loss, costs: penalty(loss, costs[0].to(loss.dtype)), None)
