"""Costs of networks: counting blocks, lookup tables, exact queries over a whole search space, and limits.

The names below are what other code may rely on. A cost of one's own is an entry of `supernet.metrics.METRICS`; a way to
measure is an engine, an entry of `deployment.engines.ENGINES`.
"""

from typing import TYPE_CHECKING

from config_file.lazy import lazy_names

if TYPE_CHECKING:
    from lookup_tables.cost_table import CostTable
    from lookup_tables.counters import COUNTERS, build_table
    from lookup_tables.differences import explain_difference
    from lookup_tables.limits import Limit, Limits, limits_of
    from lookup_tables.loading import load_tables, tables_of
    from lookup_tables.table_file import Entry
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "COUNTERS",
    "CostTable",
    "Entry",
    "Limit",
    "Limits",
    "build_table",
    "explain_difference",
    "limits_of",
    "load_tables",
    "tables_of",
]
