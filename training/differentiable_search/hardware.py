"""What an architecture costs, as the options ask for it: tables, the part of the loss, the limits of the derivation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from config_file.errors import UserError, nearest
from config_file.gradient_options import parse_constraints
from config_file.options import SearchOptions, TrainSupernetOptions
from lookup_tables import CostTable, build_table, load_tables
from supernet import Architecture, SearchSpace
from supernet.derivation import Limit, check_feasible
from training.differentiable_search.penalties import Multipliers, PenaltySettings, make_penalty

MILLION = 1e6
COUNTED = ("flops", "params")
"""Metrics that are counted from the blocks, and given in millions."""


def unit_of(metric: str) -> float:
    """How many raw units are one unit of the flags: a million for flops and params, one for others (ms)."""
    return MILLION if metric in COUNTED else 1.0


@dataclass(frozen=True)
class Hardware:
    """The hardware side of an architecture's objective.

    Attributes:
        tables: by metric.
        targets: by metric, in the unit of the flags: what is aimed at, or with multipliers the greatest cost allowed.
        penalty: (loss, cost of the only metric) -> loss; None with multipliers.
        multipliers: of hard targets.
    """

    tables: Mapping[str, CostTable]
    targets: Mapping[str, float]
    penalty: Callable[[Tensor, Tensor], Tensor] | None
    multipliers: Multipliers | None

    def expected(self, probabilities: Sequence[Tensor]) -> Tensor:
        """(K,) expected costs in the unit of the flags, of probabilities per decision; differentiable."""
        costs = [self.tables[metric].expected(probabilities) / unit_of(metric) for metric in self.targets]
        return torch.stack(costs)

    def penalised(self, loss: Tensor, costs: Tensor) -> Tensor:
        """The loss with what the expected costs (K,) add to it."""
        if self.multipliers is not None:
            return self.multipliers.penalised(loss, costs)
        assert self.penalty is not None
        return self.penalty(loss, costs[0].to(loss.dtype))

    def costs(self, architecture: Architecture) -> dict[str, float]:
        """The costs of one architecture, in the unit of the flags."""
        return {metric: float(self.tables[metric].cost([architecture])[0]) / unit_of(metric) for metric in self.targets}

    @property
    def limits(self) -> list[Limit]:
        """What a derived architecture must keep to: nothing without multipliers."""
        return [] if self.multipliers is None else limits_of(self.tables, self.targets)


def limits_of(tables: Mapping[str, CostTable], targets: Mapping[str, float]) -> list[Limit]:
    """Upper limits, given in the unit of the flags, for `supernet.derivation`."""
    return [
        Limit(metric, tables[metric].factors, target * unit_of(metric), partial(_shown, metric))
        for metric, target in targets.items()
    ]


def _shown(metric: str, value: float) -> str:
    return f"{value / unit_of(metric):,.6g}" + (" M" if metric in COUNTED else "")


def cost_range(options: Any, space: SearchSpace, resolution: int) -> str | None:
    """What --target-hc can be: the exact minimum and maximum of the space; None of a metric without a table."""
    metric = options.info_metric
    if metric not in COUNTED and not options.lookup_table:
        return None
    table = tables_of(options, space, resolution, {metric: None})[metric]
    asked = "" if options.target_hc is None else f"; --target-hc {options.target_hc:g}"
    return f"{metric} from {_shown(metric, table.minimum()[0])} to {_shown(metric, table.maximum()[0])}{asked}"


def make_hardware(
    options: TrainSupernetOptions | SearchOptions, space: SearchSpace, resolution: int, device: torch.device
) -> Hardware | None:
    """What the options ask for; None where cost does not count.

    Raises:
        UserError: a metric without a table, a penalty that does not fit, or limits that nothing is within (it says
            which one binds, and the exact minimum).
    """
    targets = parse_constraints(options.constraint)
    hard = options.hc_mode == "constrained" or bool(targets)
    if options.target_hc is not None:
        if targets.get(options.info_metric, options.target_hc) != options.target_hc:
            raise UserError(f"--target-hc and --constraint limit {options.info_metric} to different values: give one")
        targets = {options.info_metric: options.target_hc} | targets
    if not targets:
        if hard:
            raise UserError("--hc-mode constrained needs --target-hc, or --constraint METRIC<=X")
        return None
    tables = tables_of(options, space, resolution, targets)
    if hard:
        check_feasible(space.sizes, limits_of(tables, targets))
        multipliers = Multipliers(list(targets.values()), rate=options.hc_rate, fill=options.hc_fill).to(device)
        return Hardware(tables, targets, None, multipliers)
    (metric,) = targets
    settings = PenaltySettings(
        target=targets[metric],
        weight=options.hc_weight,
        alpha=options.hc_alpha,
        beta=options.hc_beta,
        scale=options.hc_scale,
    )
    minimum = tables[metric].minimum()[0] / unit_of(metric)
    return Hardware(tables, targets, make_penalty(options.hc_loss, settings, minimum), None)


def tables_of(options: Any, space: SearchSpace, resolution: int, metrics: Mapping[str, Any]) -> dict[str, CostTable]:
    """A cost table for each metric: that of a --lookup-table where one holds it, else counted from the blocks.

    Raises:
        UserError: a table is of another space or resolution, or there is none for a metric.
    """
    tables = load_tables(options.lookup_table, space, resolution)
    for metric in metrics:
        if metric not in tables:
            if metric not in COUNTED:
                raise UserError(
                    f"{metric} needs --lookup-table FILE.json with a table of it"
                    f"{nearest(metric, [*COUNTED, *tables])}; there are: {', '.join(sorted({*COUNTED, *tables}))}"
                )
            tables[metric] = build_table(space, metric, resolution, options.counter)
    return {metric: tables[metric] for metric in metrics}
