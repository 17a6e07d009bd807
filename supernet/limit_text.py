"""Limits on costs as text: [NUMBER<=]METRIC<=NUMBER, several with commas in between, in the unit of the flags."""

from math import inf

from config_file.errors import UserError
from supernet.metrics import metric_name


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
