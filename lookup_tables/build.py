"""Build a lookup table by counting every distinct block of a space once."""

from __future__ import annotations

from config_file.errors import UserError, choose
from config_file.progress import progress as shown
from lookup_tables.cost_table import UNITS, CostTable, distinct_blocks
from lookup_tables.counters import COUNTED, COUNTED_PARAMS, COUNTERS, count, version
from lookup_tables.table_file import Entry
from supernet import SearchSpace


def build_table(
    space: SearchSpace,
    metric: str = "flops",
    resolution: int | None = None,
    counter: str = "analytic",
    progress: bool = False,
) -> CostTable:
    """Count what the blocks of a space cost.

    Args:
        metric: "flops" (multiply-accumulates, batch 1) or "params".
        resolution: height and width of the image in pixels; default the space's own.
        counter: a name in `lookup_tables.counters.COUNTERS`.
        progress: show a bar.

    Raises:
        UserError: an unknown metric or counter, latency (which cannot be counted), or a resolution below 1.
    """
    if choose("metric", metric, UNITS) == UNITS["latency"]:
        raise UserError(
            "latency has to be measured: give --lookup-table FILE.json, from python -m lookup_tables build --metric "
            "latency (this machine), kit (another device), import or fit"
        )
    choose("counter", counter, COUNTERS)
    if resolution is None:
        resolution = space.input_shape[1]
    if resolution < 1:
        raise UserError(f"resolution must be at least 1, not {resolution}")
    blocks = distinct_blocks(space, resolution)
    entries = {}
    for block, shape in shown(blocks, f"counting {metric} of {space.name}", "block") if progress else blocks:
        counted = count(counter, block, shape)
        value = counted.macs if metric == "flops" else counted.params
        entries[block, shape] = Entry(value, value)
    words = COUNTED[counter] if metric == "flops" else COUNTED_PARAMS
    return CostTable(space, metric, resolution, entries, words, counter, version(counter))
