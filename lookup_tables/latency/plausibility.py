"""Doubts about times that somebody hands in: another unit, rows that moved, one number that cannot be.

Nothing is refused for them: what is odd of one device is usual on the next. Each is a line that says what was found.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import nnls

from lookup_tables.cost_table import CostTable, Key
from lookup_tables.latency.accuracy import EXACT, HUBER, MEDIAN_OF_NORMAL, REWEIGHTED, Vector
from lookup_tables.latency.fit import block_features
from lookup_tables.latency.probes import block_counts, probe_names, timed_blocks
from supernet import Architecture
from supernet.metrics import LATENCY
from supernet.space import with_sites

SLOWEST, FASTEST = 2e7, 2e12
"""Multiply-accumulates a second: fewer than a microcontroller's, and more than a large GPU's on one image."""
LEAST_SPEARMAN, MOST_MAPE = 0.5, 25.0
ODD, ODD_DEVIATIONS = 10.0, 6.0  # times as much or as little as the work of a block says, and in typical deviations
LEAST_BLOCKS = 12  # below which nothing is said of single ones
MOVED = 0.5  # rows count as moved where that makes the typical error this much smaller ...
LEAST_ERROR = 0.1  # ... and it is larger than this: a tenth of the time
SHOWN = 3


def doubts(table: CostTable) -> list[str]:
    """Lines about times that cannot be: of the whole space, and of single blocks. None of what is counted."""
    if table.metric is not LATENCY:
        return []
    lines = []
    for ms, architecture in (table.minimum(), table.maximum()):
        macs = table.space.decode(architecture).macs(table.space.input_shape)
        speed = macs / (ms / 1e3) if ms > 0 else np.inf
        if not SLOWEST <= speed <= FASTEST:
            how = "fast: hardly a device is" if speed > FASTEST else "slow: a microcontroller is faster"
            lines.append(
                f"warning: {macs / 1e6:,.4g} M multiply-accumulates in {ms:.3g} ms are implausibly {how}; "
                "is the unit right?"
            )
            break
    keys = [key for key in timed_blocks(with_sites(table.space), table.resolution) if table.entries[key].value > 0]
    return lines + _odd_blocks(keys, np.array([table.entries[key].value for key in keys]))


def doubts_of_sheet(
    table: CostTable, times: Mapping[str, Sequence[float]], networks: Sequence[Architecture]
) -> list[str]:
    """Lines about a kit's sheet: rows that moved, blocks slower than a network that holds them, sums that say nothing.

    Args:
        table: made of the sheet.
        times: by name of the probe.
    """
    keys = timed_blocks(with_sites(table.space), table.resolution)
    least = [min(times[name]) for name in probe_names(len(keys), len(networks))]
    blocks, whole = np.array(least[: len(keys)]), np.array(least[len(keys) :])
    lines = []
    if moved := _moved(keys, blocks):
        lines.append(f"warning: the blocks' times fit the files one row {moved} them better: are rows shifted by one?")
    held = block_counts(with_sites(table.space), table.resolution, networks) > 0
    slower = held & (blocks[None, :] > whole[:, None])
    if slower.any():
        network, block = (int(index) for index in np.argwhere(slower)[0])
        names = probe_names(len(keys), len(networks))
        lines.append(
            f"warning: {names[block]}.onnx takes {blocks[block]:.3g} ms, and {names[len(keys) + network]}.onnx, which "
            f"holds that block, {whole[network]:.3g} ms (of {int(slower.any(0).sum())} such blocks the first)"
        )
    check = table.self_check or {}
    if check and (check["mape_percent"] > MOST_MAPE or not check["spearman"] >= LEAST_SPEARMAN):
        lines.append(
            "warning: the blocks say little about the whole networks (rank correlation "
            f"{check['spearman']:.2f}, error {check['mape_percent']:.0f} %): were all run alike, in one unit, and are "
            "the rows in order?"
        )
    return lines


def _odd_blocks(keys: Sequence[Key], ms: Vector) -> list[str]:
    if len(keys) < LEAST_BLOCKS:
        return []
    error = np.log(ms / _by_work(keys, ms))
    error -= np.median(error)
    typical = float(np.median(np.abs(error))) / MEDIAN_OF_NORMAL
    odd: list[int] = np.flatnonzero(np.abs(error) > max(np.log(ODD), ODD_DEVIATIONS * typical)).tolist()
    if not odd:
        return []
    worst = sorted(odd, key=lambda index: -abs(error[index]))[:SHOWN]
    shown = ", ".join(
        f"{keys[index][0].label} at {'x'.join(map(str, keys[index][1]))} ({np.exp(error[index]):.2g} times)"
        for index in worst
    )
    return [f"warning: {len(odd)} of {len(keys)} blocks take far from what their work says, beside the others: {shown}"]


def _moved(keys: Sequence[Key], ms: Vector) -> str:
    """Either "above" or "below", where times fit the blocks one row up or down much better than their own; else ""."""
    if len(keys) < LEAST_BLOCKS:
        return ""
    count = len(keys)
    errors = {}
    for place, rows, given in (
        ("", range(count), range(count)),
        ("above", range(count - 1), range(1, count)),
        ("below", range(1, count), range(count - 1)),
    ):
        chosen, times = [keys[row] for row in rows], ms[np.array(given)]
        errors[place] = float(np.median(np.abs(np.log(times / _by_work(chosen, times)))))
    best = min(errors, key=lambda place: errors[place])
    return best if errors[""] > LEAST_ERROR and errors[best] < MOVED * errors[""] else ""


def _by_work(keys: Sequence[Key], ms: Vector) -> Vector:
    """(P,) milliseconds that the work, the memory traffic and the operators of blocks say, at one price for all."""
    features = block_features(keys)
    share = (features / np.maximum(features.mean(0), EXACT)).sum(1)
    predicted = share * np.median(ms / share)
    # Iteratively reweighted least squares (Huber 1981). An error is relative to the greater one of time and prediction,
    # and weighed by its logarithm: neither a time far too long nor one far too short sets a price.
    for _ in range(REWEIGHTED):
        error = np.abs(np.log(ms / predicted))
        typical = float(np.median(error)) / MEDIAN_OF_NORMAL
        if typical < EXACT:
            break
        weights = np.sqrt(np.minimum(1, HUBER * typical / np.maximum(error, EXACT))) / np.maximum(ms, predicted)
        design = features * weights[:, None]
        units = np.maximum(design.max(0), EXACT)
        prices = nnls(design / units, ms * weights)[0] / units
        predicted = np.maximum(features @ prices, EXACT)
    return predicted
