"""Limits as options state them: --target-hc, --min-hc, and --constraint, Y<=METRIC<=X (`supernet.limit_text`).

Everything here is in the unit of the flags; `lookup_tables.limits` makes limits on tables of it.
"""

from dataclasses import replace
from typing import Any

from config_file.errors import UserError
from supernet.limit_text import parse_limits

Ends = tuple[float | None, float | None]
"""The least and the greatest cost that is allowed; None: no limit."""


def parse_constraints(text: str | None) -> dict[str, float]:
    """{metric: upper limit} of ``--constraint``, in the unit of ``--target-hc``, where only those can be kept.

    Raises:
        UserError: as `parse_limits`, or a lower limit.
    """
    limits = parse_limits(text)
    for metric, (lower, _) in limits.items():
        if lower is not None:
            raise UserError(f"--constraint {lower:g}<={metric}<=...: a differentiable search keeps upper limits only")
    return {metric: upper for metric, (_, upper) in limits.items()}


def limited(options: Any) -> dict[str, Ends]:
    """{name of a cost: its ends in the unit of the flags}, by --target-hc, --min-hc and --constraint.

    The cost of --info-metric is the first; what --constraint says of it replaces the other two.

    Raises:
        UserError: as `parse_limits`.
    """
    ends: dict[str, Ends] = dict(parse_limits(options.constraint))
    lower, upper = ends.pop(options.info_metric, (None, options.target_hc))
    return {options.info_metric: (options.min_hc if lower is None else lower, upper)} | ends


def with_constraints(options: Any, upper_only: bool) -> Any:
    """The options with --constraint's limits of --info-metric, if it has any, as --target-hc and --min-hc.

    Raises:
        UserError: a lower limit with `upper_only`, as in a differentiable search.
    """
    if upper_only:
        parse_constraints(options.constraint)
    lower, upper = limited(options)[options.info_metric]
    assert upper is not None, "a search has a greatest cost"
    return replace(options, target_hc=upper, min_hc=lower)


def upper_limits(options: Any) -> dict[str, float]:
    """{name of a cost: the greatest that is allowed}, as a differentiable search keeps them; none: {}.

    Raises:
        UserError: as `parse_constraints`, or two values for the cost of --info-metric.
    """
    limits = parse_constraints(options.constraint)
    if options.target_hc is None:
        return limits
    if limits.get(options.info_metric, options.target_hc) != options.target_hc:
        raise UserError(f"--target-hc and --constraint limit {options.info_metric} to different values: give one")
    return {options.info_metric: options.target_hc} | limits
