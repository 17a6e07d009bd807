"""Sheets that cannot be are doubted in words, those of a plausible device are not."""

from __future__ import annotations

import numpy as np
import pytest

from lookup_tables import CostTable
from lookup_tables.latency.calibration import latency_table
from lookup_tables.latency.fit import block_features
from lookup_tables.latency.plausibility import doubts, doubts_of_sheet
from lookup_tables.latency.probes import block_counts, probe_names, spread_architectures, timed_blocks
from supernet import build_space

SPACE = build_space("proxylessnas")
KEYS = timed_blocks(SPACE, 224)
NETWORKS = spread_architectures(SPACE, 224, 12, 0)
NAMES = probe_names(len(KEYS), len(NETWORKS))
# Milliseconds per M of dense, grouped and depthwise MACs, elements and parameters, and per operator.
DEVICES = {
    "a phone's CPU": (0.05, 0.1, 0.2, 1.0, 0.5, 5e3),
    "one that is slow in 7x7": (0.02, 0.1, 1.5, 0.5, 0.1, 2e3),
    "overhead above all": (0.001, 0.001, 0.001, 0.01, 0.01, 2e5),
}


def sheet(device: str, noise: float = 0.1, seed: int = 0) -> dict[str, list[float]]:
    """A filled-in sheet: networks cost the sum of their blocks and 10 % less, with noise on everything."""
    rng = np.random.default_rng(seed)
    prices = np.array(DEVICES[device]) / 1e6
    blocks = block_features(KEYS) @ prices * rng.lognormal(0, noise, len(KEYS))
    whole = 0.9 * block_counts(SPACE, 224, NETWORKS) @ blocks * rng.lognormal(0, 0.02, len(NETWORKS))
    return {name: [float(ms)] for name, ms in zip(NAMES, [*blocks, *whole], strict=True)}


def said(times: dict[str, list[float]]) -> tuple[str, CostTable]:
    table = latency_table(SPACE, 224, times, NETWORKS)
    return "\n".join([*doubts_of_sheet(table, times, NETWORKS), *doubts(table)]), table


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("noise", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("device", DEVICES)
def test_a_plausible_sheet_is_not_doubted(device: str, noise: float, seed: int) -> None:
    assert said(sheet(device, noise, seed))[0] == ""


def shifted(times: dict[str, list[float]], by: int) -> dict[str, list[float]]:
    return dict(zip(times, np.roll(np.array(list(times.values())), by, 0).tolist(), strict=True))


def factor(times: dict[str, list[float]], name: str, by: float) -> dict[str, list[float]]:
    return times | {name: [by * ms for ms in times[name]]}


@pytest.mark.parametrize("block", [3, 20, 60])
@pytest.mark.parametrize("by", [100, 1e4, 1e-2, 1e-4])
@pytest.mark.parametrize("device", DEVICES)
def test_a_block_that_cannot_be(device: str, by: float, block: int) -> None:
    text, _ = said(factor(sheet(device), NAMES[block], by))
    assert f"warning: 1 of {len(KEYS)} blocks take far from what their work says" in text
    assert f"{KEYS[block][0].label} at" in text
    assert "shifted" not in text


@pytest.mark.parametrize("device", list(DEVICES)[:2])
@pytest.mark.parametrize(("by", "words"), [(1, "one row above them"), (-1, "one row below them")])
def test_rows_shifted_by_one(device: str, by: int, words: str) -> None:
    text, _ = said(shifted(sheet(device), by))
    assert words in text


def test_networks_in_another_order() -> None:
    times = sheet("a phone's CPU")
    whole = np.random.default_rng(1).permutation(NAMES[-12:])
    times |= dict(zip(NAMES[-12:], [times[name] for name in whole], strict=True))
    text, table = said(times)
    assert table.self_check is not None
    assert table.self_check["spearman"] < 0.5
    assert "the blocks say little about the whole networks (rank correlation" in text


def test_a_block_slower_than_a_network_that_holds_it() -> None:
    times = sheet("a phone's CPU")
    held = int(np.flatnonzero(block_counts(SPACE, 224, NETWORKS)[0])[3])
    text, _ = said(times | {NAMES[held]: [2 * times[NAMES[-12]][0]]})
    assert f"{NAMES[held]}.onnx takes" in text
