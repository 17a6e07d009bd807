"""From measured blocks and networks to a latency table: block minima, an affine correction, and its own error.

Blocks alone cost more than in a network: every call has its overhead, and layouts are changed at the ends. Whole
networks say by how much. The minimum over rounds is what the machine can do; medians also say what else was running.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lookup_tables.cost_table import CostTable, distinct_blocks
from lookup_tables.latency.accuracy import Vector, affine, judge, spearman
from lookup_tables.latency.probes import block_counts, probe_names, timed_blocks
from lookup_tables.table_file import Entry
from supernet import Architecture, SearchSpace
from supernet.metrics import LATENCY

LEAST = 4  # networks below which no line is fitted, only a scale, and nothing is said of its error


def latency_table(
    space: SearchSpace,
    resolution: int,
    times: Mapping[str, Sequence[float]],
    networks: Sequence[Architecture],
    batch: int = 1,
    **about: Any,
) -> CostTable:
    """A latency table from milliseconds by name of the probe, at least one each, with the networks of network probes.

    Args:
        about: `CostTable`'s device, engine, threads, date, counter and counter_version.
    """
    keys = timed_blocks(space, resolution)
    found = [entry(times[name]) for name in probe_names(len(keys), len(networks))]
    measured = dict(zip(keys, found[: len(keys)], strict=True))
    entries = {key: measured.get(key, Entry(0, 0)) for key in distinct_blocks(space, resolution)}
    sums = block_counts(space, resolution, networks) @ np.array([measured[key].value for key in keys])
    whole = np.array([network.value for network in found[len(keys) :]])
    of = "one image" if batch == 1 else f"{batch} images at once"
    counted = f"milliseconds of {of}: the minimum over rounds for each block alone, corrected by whole networks"
    table = CostTable(space, LATENCY, resolution, entries, counted, **about)
    scale, offset, check = calibrate(sums, whole, table.minimum()[0])
    return replace(table, scale=scale, offset=offset, self_check=check)


def entry(times: Sequence[float]) -> Entry:
    """Minimum, median and interquartile range of measured milliseconds."""
    low, middle, high = np.percentile(times, [25, 50, 75])
    return Entry(float(min(times)), float(middle), float(high - low), len(times))


def calibrate(sums: Vector, measured: Vector, least: float) -> tuple[float, float, dict[str, Any] | None]:
    """The affine correction from sums of blocks to networks, and what it is worth on networks left out.

    Args:
        sums: (N,) sums over the blocks of networks.
        measured: (N,) the networks.
        least: the smallest sum in the space, where the correction must not turn negative.

    Returns:
        scale, offset, and {"spearman", "mape_percent", "networks", "how"}: each network is predicted by a correction
        fitted to the others; None below LEAST networks.
    """
    if len(measured) == 0:
        return 1.0, 0.0, None
    if len(measured) < LEAST:
        return float(np.median(measured / sums)), 0.0, None
    predicted = np.empty_like(measured)
    for left_out in range(len(measured)):
        others = np.arange(len(measured)) != left_out
        scale, offset = affine(sums[others], measured[others], least)
        predicted[left_out] = scale * sums[left_out] + offset
    # A line through the sums changes no rank.
    accuracy = judge(predicted, measured)._replace(spearman=spearman(sums, measured))
    check = accuracy.self_check("each network by a correction fitted to the others")
    return *affine(sums, measured, least), check
