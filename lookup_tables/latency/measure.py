"""Measure a latency table on this machine.

python -m lookup_tables build --metric latency --search-space proxylessnas --resolution 224 --engine onnxruntime
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from config_file.errors import choose
from config_file.progress import progress
from deployment.engines import ENGINES, Engine
from lookup_tables.cost_table import CostTable
from lookup_tables.latency.calibration import latency_table
from lookup_tables.latency.probes import Probe, all_probes, spread_architectures
from lookup_tables.latency.rounds import Rounds, Timer
from supernet import SearchSpace


def measure_table(
    space: SearchSpace,
    resolution: int,
    rounds_file: Path,
    *,
    engine: str = "onnxruntime",
    threads: int = 1,
    rounds: int = 10,
    networks: int = 12,
    seed: int = 0,
) -> CostTable:
    """Measure every distinct block and some whole networks on this machine, and make the latency table of them.

    Args:
        rounds_file: where finished rounds are kept; a file of the same settings is continued.
        engine: a name in `deployment.engines.ENGINES`.
        threads: that the engine uses.
        rounds: in which everything is run, each time in another order.
        networks: whole networks that the sum of blocks is corrected by and judged on.
        seed: chooses the networks.

    Raises:
        UserError: an unknown engine, no such device, or rounds of other settings in the file.
    """
    chosen = choose("engine", engine, ENGINES)
    version, device = chosen.version(), chosen.device()
    architectures = spread_architectures(space, resolution, networks, seed)
    settings = {
        "search_space": space.name,
        "macro_fingerprint": space.macro_fingerprint,
        "resolution": resolution,
        "engine": version,
        "device": device,
        "threads": threads,
        "networks": [list(architecture) for architecture in architectures],
    }
    kept = Rounds(rounds_file, settings)
    if len(kept) < rounds:
        probes = all_probes(space, resolution, architectures)
        timers = {
            probe.name: timer(chosen, probe, threads)
            for probe in progress(probes, f"preparing {space.name} for {engine}", "probe")
        }
        kept.measure(timers, rounds, f"measuring {space.name} at {resolution} pixels")
    return latency_table(
        space,
        resolution,
        kept.times(),
        architectures,
        counter="measured",
        counter_version="1",
        device=device,
        engine=version,
        threads=threads,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
    )


def timer(engine: Engine, probe: Probe, threads: int) -> Timer:
    """Times a probe on an engine, with one image of small random numbers."""
    image = np.random.default_rng(0).standard_normal((1, *probe.layer.shape), dtype=np.float32)
    return partial(engine.load(probe.layer, threads=threads).time, image)
