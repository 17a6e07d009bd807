"""Latency of one image by an engine on this machine: an impression, not a promise about another device."""

import statistics
from pathlib import Path
from typing import Any

from deployment.engines import ENGINES
from deployment.engines.engine import Floats


def measure_latency(
    path: str | Path, image: Floats, *, engine: str = "onnxruntime", threads: int = 1, runs: int = 50, warmup: int = 10
) -> dict[str, Any]:
    """Median and minimum of the milliseconds of some runs, after ``warmup`` others, as JSON.

    Args:
        path: an ONNX file.
        image: (1, C, H, W).
        engine: a name in `deployment.engines.ENGINES`.
        threads: of the engine.
    """
    chosen = ENGINES[engine]
    times = chosen.load(Path(path), threads=threads).time(image, warmup + runs)[warmup:]
    return {
        "median_ms": round(statistics.median(times), 4),
        "min_ms": round(min(times), 4),
        "runs": runs,
        "threads": threads,
        "engine": chosen.version(),
        "processor": chosen.device(),
    }
