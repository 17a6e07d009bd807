"""Limits as options state them: --target-hc, --min-hc, and the grammar of --constraint, Y<=METRIC<=X.

Everything here is in the unit of the flags; `lookup_tables.limits` makes limits on tables of it.
"""

from dataclasses import replace
from math import inf
from typing import Any

from config_file.errors import UserError
from supernet.metrics import metric_name

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


def parse_limits(text: str | None) -> dict[str, tuple[float | None, float]]:
    """{metric: (lower limit or None, upper limit)} of ``--constraint``, in the unit of ``--target-hc``.

    Raises:
        UserError: an entry that is not [NUMBER<=]METRIC<=NUMBER, or a metric limited twice.
    """
    limits: dict[str, tuple[float | None, float]] = {}
    for entry in filter(None, (part.strip() for part in (text or "").split(","))):
        *low, metric, high = parts if len(parts := entry.split("<=")) > 1 else ("", "")
        metric = metric_name(metric.strip())
        try:
            lower, upper = [*map(float, low), *([] if low else [None])], float(high)
        except ValueError:
            lower, upper = [], inf
        if not metric or len(lower) != 1 or not 0 <= (lower[0] or 0) <= upper or not 0 < upper < inf:
            raise UserError(
                f"--constraint {entry!r}: write METRIC<=NUMBER or NUMBER<=METRIC<=NUMBER, such as flops<=300"
            )
        if metric in limits:
            raise UserError(f"--constraint limits {metric} twice")
        limits[metric] = (lower[0], upper)
    return limits


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
