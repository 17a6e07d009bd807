"""Growth of cost: a supernet's step and memory, evaluation against population, start-up against archive; with a plot.

    python -m benchmarks.growth [--steps 5] [--plot docs/growth.png] [--data growth.json]
    python -m benchmarks.growth --bytes proxylessnas spos ofa_mbv3

A chain of 20 layers with 5 candidates each, 16 channels (32 in its second half) and 32-pixel images in batches of 16 is
varied in one size at a time. A step is one path: forward, backward, update. Every point is a process of its own, whose
memory is its peak less what the imports had taken. Times are CPU seconds of one thread, medians over the steps. The
last line is JSON.
"""

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import torch
from torch import nn

from benchmarks.supernet_step import SupernetSteps, make_batch
from search.archive import Archive
from search.result import Fidelity, Result
from supernet import SearchSpace, Supernet, build_space, extract
from supernet.spaces.chain import ChainTable
from supernet.spaces.stages import Stage

BASE = {"layers": 20, "candidates": 5, "width": 16, "resolution": 32, "batch": 16}
SIZES = {
    "layers": (10, 20, 40, 80),
    "candidates": (3, 7, 15, 31),
    "width": (8, 16, 32),
    "resolution": (16, 32, 64),
    "batch": (4, 16, 64),
    "population": (5, 10, 20, 40),
    "archive": (1_000, 10_000, 30_000),
}
WARM_UP = 2
MIB = 2**20

_CANDIDATES = tuple(f"k{kernel}e{expand}" for expand in (3, 6, 2, 4, 1.5, 5, 2.5, 8) for kernel in (3, 5, 7, 9))


def space_of(layers: int, candidates: int, width: int, resolution: int) -> SearchSpace:
    """A chain in four stages, the last three of which halve the map."""
    stages = tuple(
        Stage(width * factor, layers // 4 + (number < layers % 4), 1 if number == 0 else 2)
        for number, factor in enumerate((1, 1, 2, 2))
    )
    table = ChainTable("growth", stages, _CANDIDATES[:candidates], width, 4 * width, stem_stride=1, small_images=False)
    return table.build(resolution, 10, 3)


def resident_peak() -> float:
    """The most memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(run: Callable[[], object], times: int) -> float:
    """The median CPU seconds of a call."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def step(steps: int, layers: int, candidates: int, width: int, resolution: int, batch: int) -> dict[str, float]:
    """A step along random paths, the memory of it all, and the parameters of the supernet."""
    before = resident_peak()
    space = space_of(layers, candidates, width, resolution)
    net = Supernet(space).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    shared = SupernetSteps(net, *make_batch(resolution, batch, 10, channels_last=True))
    rng = random.Random(0)
    for _ in range(WARM_UP):
        shared.run(space.sample(rng))
    seconds = timed(lambda: shared.run(space.sample(rng)), steps)
    parameters = sum(p.numel() for p in net.parameters())
    return {"ms": 1e3 * seconds, "mib": resident_peak() - before, "parameters": parameters}


def population(size: int) -> dict[str, float]:
    """The evaluation of a population: each network extracted, calibrated on 64 images and run on 128."""
    before = resident_peak()
    space = space_of(BASE["layers"], BASE["candidates"], 8, 16)
    net, rng = Supernet(space).train(), random.Random(0)
    x, _ = make_batch(16, 64, 10, channels_last=True)

    @torch.no_grad()
    def evaluate() -> None:
        for _ in range(size):
            network: nn.Module = extract(net, space.sample(rng))
            network.train()(x)
            network.eval()(x), network(x)

    start = time.process_time()
    evaluate()
    return {"ms": 1e3 * (time.process_time() - start), "mib": resident_peak() - before}


def archive(rows: int) -> dict[str, float]:
    """The opening of an archive of random results of 21 layers."""
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "archive.jsonl"
        written = Archive(path, {"weights": "none"})
        for _ in range(rows):
            architecture = tuple(rng.randrange(7) for _ in range(21))
            written.add(Result(architecture, {"accuracy": rng.random()}, fidelity=Fidelity(images=512)))
        del written
        start = time.process_time()
        Archive(path, {"weights": "none"})
        return {"ms": 1e3 * (time.process_time() - start), "mib": path.stat().st_size / MIB}


def bytes_per_step(name: str, paths: int = 20) -> dict[str, float]:
    """The MiB of gradients that a step of one path reduces, on average, and of a supernet's weights, in float32."""
    space = build_space(name, num_classes=1000)
    with torch.device("meta"):
        net = Supernet(space)
    rng = random.Random(0)
    touched = [sum(p.numel() for p in net.parameters_of(space.sample(rng))) for _ in range(paths)]
    everything = sum(p.numel() for p in net.parameters())
    return {"path_mib": 4 * statistics.mean(touched) / MIB, "supernet_mib": 4 * everything / MIB}


def point(what: str, size: int, steps: int) -> dict[str, float]:
    """One point, in this process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if what == "population":
        return population(size)
    return archive(size) if what == "archive" else step(steps, **BASE | {what: size})


def draw(points: dict[str, list[dict[str, float]]], path: str) -> None:
    """A panel per size, both axes logarithmic: CPU milliseconds, and memory in MiB."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # where a plot is asked for

    figure = Figure(figsize=(11, 5.5), layout="constrained")
    panels = figure.subplots(2, 4).flat
    for (what, rows), axes in zip(points.items(), panels, strict=False):
        sizes = [row["size"] for row in rows]
        axes.loglog(sizes, [row["ms"] for row in rows], "o-", label="CPU ms")
        label = "file, MiB" if what == "archive" else "memory, MiB"
        axes.loglog(sizes, [max(row["mib"], 0.1) for row in rows], "s--", label=label)
        axes.set(title=what)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    for axes in panels:
        axes.axis("off")
    figure.savefig(path, dpi=110)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=5, help="timed per point (default: 5)")
    parser.add_argument("--only", nargs="*", choices=SIZES, default=list(SIZES), help="sizes that are varied")
    parser.add_argument("--plot", metavar="FILE.png", help="picture of all of it")
    parser.add_argument("--data", metavar="FILE.json", help="points, kept: what is there is not measured again")
    parser.add_argument(
        "--bytes", nargs="*", metavar="SPACE", help="print what steps of these spaces reduce, and no more"
    )
    parser.add_argument("--point", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.point:
        what, size = asked.point
        print(json.dumps(point(what, int(size), asked.steps)))
        return 0
    if asked.bytes:
        for name in asked.bytes:
            row = bytes_per_step(name)
            print(f"{name:16} {row['path_mib']:7.1f} MiB of gradients per path, {row['supernet_mib']:8.1f} of weights")
        return 0
    kept = Path(asked.data) if asked.data else None
    points: dict[str, list[dict[str, float]]] = json.loads(kept.read_text()) if kept and kept.is_file() else {}
    for what in asked.only:
        for size in SIZES[what][len(points.get(what, [])) :]:
            command = [
                sys.executable,
                "-m",
                "benchmarks.growth",
                "--steps",
                str(asked.steps),
                "--point",
                what,
                str(size),
            ]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found: dict[str, Any] = {"size": size, **json.loads(output.splitlines()[-1])}
            points.setdefault(what, []).append(found)
            print(f"{what:10} {size:8,}  {found['ms']:10.1f} ms  {found['mib']:8.1f} MiB", flush=True)
            if kept:
                kept.write_text(json.dumps(points))
    if asked.plot:
        draw(points, asked.plot)
    print(json.dumps({"benchmark": "growth", "points": points}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
