"""How long onnxruntime takes for one image on this machine's CPU: an impression, not a promise about another device."""

import statistics
import time
from pathlib import Path
from typing import Any

import onnxruntime as ort

from config_file.environment import describe_environment
from deployment.parity import Floats, open_session


def measure_latency(
    path: str | Path, image: Floats, *, threads: int = 1, runs: int = 50, warmup: int = 10
) -> dict[str, Any]:
    """Median time of one image.

    Args:
        path: an ONNX file.
        image: (1, C, H, W).
        threads: onnxruntime's.
        runs: timed runs, after ``warmup`` others.

    Returns:
        ``median_ms``, ``min_ms``, ``runs``, ``threads``, ``engine`` and ``processor``.
    """
    session = open_session(path, threads=threads)
    feed = {session.get_inputs()[0].name: image}
    for _ in range(warmup):
        session.run(None, feed)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        session.run(None, feed)
        times.append((time.perf_counter() - start) * 1e3)
    return {
        "median_ms": round(statistics.median(times), 4),
        "min_ms": round(min(times), 4),
        "runs": runs,
        "threads": threads,
        "engine": f"onnxruntime {ort.__version__}",
        "processor": describe_environment()["processor"],
    }
