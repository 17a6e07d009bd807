"""What a network costs: counting blocks, lookup tables, and exact queries over a whole search space."""

from lookup_tables.cost_table import CostTable
from lookup_tables.counters import COUNTERS, build_table
from lookup_tables.differences import explain_difference
from lookup_tables.loading import load_tables
from lookup_tables.table_file import Entry

__all__ = ["COUNTERS", "CostTable", "Entry", "build_table", "explain_difference", "load_tables"]
