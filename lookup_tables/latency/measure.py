"""Measure a latency table on this machine, fairly however noisy it is: in rounds, each in another order and kept."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from tqdm import tqdm

from config_file.errors import UserError, choose
from config_file.files import append_sealed
from config_file.progress import progress
from config_file.readers.form import check_form
from config_file.readers.json_text import read_sealed_jsonl
from config_file.readers.numbers import number_in
from deployment.engines import ENGINES, Engine, Layer
from lookup_tables.cost_table import CostTable
from lookup_tables.latency.calibration import latency_table
from lookup_tables.latency.probes import all_probes, spread_architectures
from supernet import SearchSpace

RUNS = 5  # timed runs of a probe per round, after one that warms up its caches

Timer = Callable[[int], list[float]]
"""(number of runs) -> milliseconds of each."""


class Rounds:
    """Measured times in a file of JSON lines: the settings, then one row per round.

    Args:
        path: of the file; it is continued if it was made with the same settings.
        settings: what the times depend on, as JSON.

    Raises:
        UserError: the file was made with other settings (it says which), or is damaged.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path, self.settings = path, settings
        rows = read_sealed_jsonl(path)
        found = rows[0].get("settings") if rows else settings
        if found != settings:
            known = found if isinstance(found, dict) else {}
            changed = [name for name in settings if known.get(name) != settings[name]]
            raise UserError(
                f"{path} was measured with another {', '.join(changed) or 'version'}; --overwrite starts anew"
            )
        for line, row in enumerate(rows[1:], start=2):
            _check_round(row, f"{path}, line {line}", rows[1])
        self._rows = rows

    def __len__(self) -> int:
        """Rounds that are finished."""
        return max(0, len(self._rows) - 1)

    def measure(self, timers: Mapping[str, Timer], rounds: int, description: str) -> None:
        """Go on until there are so many rounds; each finished one is kept, whatever happens to the next."""
        if not self._rows:
            self._keep({"settings": self.settings})
        bar: tqdm[Any]
        with progress(rounds * len(timers), description, "probe", initial=len(self) * len(timers)) as bar:
            for number in range(len(self), rounds):
                order = list(timers)
                Random(f"round {number}").shuffle(order)
                times = {}
                for name in order:
                    times[name] = [round(ms, 6) for ms in timers[name](1 + RUNS)[1:]]
                    bar.update(1)
                self._keep({"round": number, "ms": times})

    def times(self) -> dict[str, list[float]]:
        """All milliseconds by name of the probe."""
        rounds = [row["ms"] for row in self._rows[1:]]
        return {name: [ms for found in rounds for ms in found[name]] for name in (rounds[0] if rounds else ())}

    def _keep(self, row: dict[str, Any]) -> None:
        append_sealed(self.path, row)
        self._rows.append(row)


def _check_round(row: Mapping[str, Any], where: str, first: Mapping[str, Any]) -> None:
    """Raise UserError unless a row holds times above 0 of the same probes as the first one."""
    check_form(row, {"ms": {...: [float]}}, where)
    if row["ms"].keys() != first["ms"].keys() or not all(row["ms"].values()):
        raise UserError(f"{where}: it lacks times of some of the probes")
    for name, times in row["ms"].items():
        for ms in times:
            number_in(ms, f"{where}: {name}", above=0)


def measure_table(
    space: SearchSpace,
    resolution: int,
    rounds_file: Path,
    *,
    engine: str = "onnxruntime",
    threads: int = 1,
    rounds: int = 10,
    networks: int = 12,
    batch: int = 1,
    seed: int = 0,
) -> CostTable:
    """Measure every distinct block and some whole networks on this machine, and make the latency table of them.

    Args:
        rounds_file: where finished rounds are kept; a file of the same settings is continued.
        engine: a name in `deployment.engines.ENGINES`.
        rounds: in which everything is run, each time in another order.
        networks: whole networks, chosen by the seed, that the sum of blocks is corrected by and judged on.
        batch: images that are run at once; a latency is of all of them.

    Raises:
        UserError: an unknown engine, one that takes no batches, no such device, or rounds of other settings.
    """
    chosen = choose("engine", engine, ENGINES)
    if batch > 1 and not chosen.batches:
        able = ", ".join(name for name, entry in ENGINES.items() if entry.batches)
        raise UserError(f"--batch {batch}: {engine} runs one image at a time; several are run by {able}")
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
        **({"batch": batch} if batch > 1 else {}),
    }
    kept = Rounds(rounds_file, settings)
    if len(kept) < rounds:
        probes = [*all_probes(space, resolution, architectures).items()]
        preparing = progress(probes, f"preparing {space.name} for {engine}", "probe")
        timers = {name: timer(chosen, layer, threads, batch) for name, layer in preparing}
        kept.measure(timers, rounds, f"measuring {space.name} at {resolution} pixels")
    return latency_table(
        space,
        resolution,
        kept.times(),
        architectures,
        batch,
        counter="measured",
        counter_version="1",
        device=device,
        engine=version,
        threads=threads,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
    )


def timer(engine: Engine, layer: Layer, threads: int, batch: int = 1) -> Timer:
    """Times a layer on an engine, with images of small random numbers."""
    image = np.random.default_rng(0).standard_normal((batch, *layer.shape), dtype=np.float32)
    return partial(engine.load(layer, threads=threads).time, image)
