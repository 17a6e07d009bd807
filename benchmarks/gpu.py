"""All that a GPU is asked in eight minutes: its tests, images per second, mixed precision, waits, graphs, a whole run.

    python -m benchmarks.gpu --dataset cifar10 --data-path CIFAR10        # eight minutes
    python -m benchmarks.gpu --parts step,waits --minutes 2
    python -m benchmarks.gpu --small                       # tiny sizes, a minute on a CPU: does all of it run?

Parts run one after the other in processes of their own, each for its share of the time that is left. What a part has
found is printed at once and is in results.json from then on; table.txt and gpu.png follow each part. One that fails or
runs out of time costs itself only. CIFAR10 is a folder as of `train_supernet.py --data-path`, or a file of JPEGs
(`benchmarks/on_gpu/images.py`), which are decoded once; without it the images are scikit-learn's digits. The exit
status is 1 where something missed what is aimed at. docs/gpu.md says what the numbers mean.
"""

import argparse
import json
import math
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.on_gpu import graphs, parts, whole
from benchmarks.on_gpu.images import at_hand
from benchmarks.on_gpu.work import Row, Work
from config_file.environment import describe_environment
from config_file.errors import UserError, choose, run_main
from config_file.files import atomic_write_text
from training.device import choose_device, prepare_device

PARTS: dict[str, tuple[float, Callable[[Work], Iterator[Row]]]] = {
    "step": (2.0, parts.step),
    "waits": (0.7, parts.waits),
    "tests": (1.3, whole.tests),
    "loader": (1.0, parts.loader),
    "mixed": (0.7, parts.mixed),
    "graphs": (1.0, graphs.graphs),
    "population": (1.3, parts.population),
    "whole": (4.0, whole.run),
}
"""By name and in order: the share of the time, and what gives the rows."""

STARTING = 4.0  # seconds of a process before it measures anything


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts; returns the exit status.

    Raises:
        UserError: no such part or device.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/gpu"), help="for what is found (runs/gpu)")
    parser.add_argument("--minutes", type=float, default=8.0, help="for all parts together (8)")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {','.join(PARTS)} (all)")
    parser.add_argument("--dataset", default="digits", help="as of train_supernet.py (digits)")
    parser.add_argument(
        "--data-path", default="./data", metavar="FOLDER", help="of the data set, or cifar10 as FILE.npz (./data)"
    )
    parser.add_argument("--batch-size", type=int, help="images per step (128, with --small 16)")
    parser.add_argument("--device", default="auto", help="auto, cuda, cuda:1, cpu (auto)")
    parser.add_argument("--small", action="store_true", help="tiny sizes; always so where there is no GPU")
    options = parser.parse_args(argv)
    names = options.parts.split(",")
    for name in names:
        choose("part", name, PARTS)
    if not options.minutes > 0:
        raise UserError(f"--minutes {options.minutes:g} must be above 0")
    device = choose_device(options.device)
    small = options.small or device.type == "cpu"
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    batch_size = options.batch_size or (16 if small else 128)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU: tiny sizes, to see that it runs"
    print(f"{name}; PyTorch {torch.__version__}, {options.minutes:g} minutes for {', '.join(names)}", flush=True)
    ends, rows = time.monotonic() + 60 * options.minutes, []
    data_path = at_hand(options.dataset, options.data_path, folder)
    work = Work(str(device), small, 0.0, options.dataset, data_path, folder, batch_size)
    for number, part in enumerate(names):
        shares = [PARTS[later][0] for later in names[number:]]
        left = max(1.0, (ends - time.monotonic()) * shares[0] / sum(shares))
        for found in in_process(part, replace(work, seconds=max(1.0, left - STARTING)), left):
            rows.append({"part": part} | found)
            print(shown(rows[-1]), flush=True)
            keep(folder, name, options, rows)
        draw(folder, name, rows)
    print(f"wrote results.json, table.txt and gpu.png in {options.folder}")
    return int(any(missed(one) for one in rows))


# ---- processes


def in_process(part: str, work: Work, seconds: float) -> Iterator[Row]:
    """The rows of a part as it finds them, in a process that is ended after so many seconds."""
    context = multiprocessing.get_context("forkserver")
    # Imported once, in a process that never touches the device.
    context.set_forkserver_preload(["benchmarks.on_gpu.parts", "benchmarks.on_gpu.whole"])
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(part, work, there))
    ends, patience = time.monotonic() + seconds, 5.0
    process.start()
    there.close()
    try:
        while True:
            if not here.poll(max(0.0, ends - time.monotonic())):
                patience = 0.0
                yield {"what": f"{part}: cut off after {seconds:.0f} s", "value": 1, "unit": "", "cut": True}
                return
            try:
                found = here.recv()
            except EOFError:
                return
            yield found
    finally:
        _end(process, patience)


def _end(process: Any, patience: float) -> None:
    """End a process and what it has started, if it does not end by itself in so many seconds."""
    process.join(patience)
    if process.is_alive():
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.join()


def _work(part: str, work: Work, there: Any) -> None:
    os.setsid()
    try:
        prepare_device(torch.device(work.device), 1 if work.small else 0)
        for found in PARTS[part][1](work):
            there.send(found)
    except Exception as error:  # of whatever kind: the other parts go on
        with (work.folder / f"{part}.error.txt").open("w", encoding="utf-8") as out:
            traceback.print_exc(file=out)
        text = f"{type(error).__name__}: {error}".splitlines()[0][:120]
        there.send({"what": f"{part}: failed", "value": 1, "unit": "", "at_most": 0, "note": text})
    there.close()


# ---- what is found


def missed(found: Row) -> bool:
    """True where a number misses its aim; what there is no number of misses none."""
    value = found["value"]
    return bool(value < found.get("aim", -math.inf) or value > found.get("at_most", math.inf))


def shown(found: Row) -> str:
    """A row as a line."""
    text = f"{found['value']:,.6g} {found['unit']}".strip() if not math.isnan(found["value"]) else "-"
    if found.get("low") is not None:
        text += f" [{found['low']:g}, {found['high']:g}]"
    for name, words in (("aim", "aim"), ("at_most", "at most")):
        if name in found:
            text += f" ({words} {found[name]:g}{': MISSED' if missed(found) else ''})"
    return f"{found['part']:10}  {found['what']:58}  {text}{'; ' + found['note'] if found.get('note') else ''}"


def keep(folder: Path, name: str, options: argparse.Namespace, rows: Sequence[Row]) -> None:
    """Write all rows so far."""
    about = {"device": name, "minutes": options.minutes, "dataset": options.dataset}
    about |= {"environment": describe_environment()}
    finite = [{k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in rows]
    atomic_write_text(folder / "results.json", json.dumps(about | {"rows": finite}, indent=1) + "\n")
    atomic_write_text(folder / "table.txt", "\n".join([name, *map(shown, rows)]) + "\n")


def draw(folder: Path, name: str, rows: Sequence[Row]) -> None:
    """Draw ratios with their intervals and aims, and networks per second by the batch."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - takes a second

    ratios = [row for row in rows if row["unit"] == "x" and not math.isnan(row["value"])]
    networks = [row for row in rows if row["unit"] == "networks/s"]
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for place, row in enumerate(ratios):
        off = [[row["value"] - row["low"]], [row["high"] - row["value"]]]
        left.errorbar(
            [row["value"]], [place], xerr=off, fmt="o", capsize=3, color="tab:red" if missed(row) else "tab:blue"
        )
        if "aim" in row:
            left.plot([row["aim"]], [place], "k|", markersize=16)
    left.set_yticks(range(len(ratios)), [f"{row['part']}: {row['what']}" for row in ratios], fontsize=8)
    left.axvline(1.0, color="grey", linewidth=0.8)
    left.set(xlabel="times as fast (| aim)", title=name)
    left.invert_yaxis()
    for how in dict.fromkeys(row["what"].partition(", ")[2] for row in networks):
        points = [(int(row["what"].split()[0]), row["value"]) for row in networks if row["what"].endswith(how)]
        right.plot(*zip(*points, strict=True), "o-", label=how)
    right.set_visible(bool(networks))
    if networks:
        right.set_xscale("log", base=2)
        right.legend()
    right.set(xlabel="images of a validation at once", ylabel="networks per second", title="populations")
    figure.savefig(folder / "gpu.png", dpi=100)


if __name__ == "__main__":
    sys.exit(run_main(main))
