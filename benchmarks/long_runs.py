"""Memory and files of long runs: 10,000 supernet steps, 5,000 evaluations, archives of 10^5 and 10^6 rows.

    python -m benchmarks.long_runs --folder runs/long [--steps 10000] [--evaluations 5000] [--rows 100000] [--plot FILE]

The real commands run in processes of their own, on a small space and 8-pixel digits, with all that they write. Their
resident memory is read from /proc twice a second (Linux). Flat is what grows by less than 2 % or 4 MiB from the second
tenth of a run to its last tenth; a search may grow by 4 KiB per evaluation more, as it keeps all results. Archives are
written as searches write them and opened as a resumed search does. The last line is JSON, and the exit status is 1 if a
limit is missed.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

MOST_GROWTH, MOST_MIB, KIB_PER_RESULT, SECONDS_PER_1E5 = 0.02, 4.0, 4.0, 10.0
"""Growth of memory that still counts as flat, as a share and in MiB; what a result may take; CPU seconds to open an
archive of 10^5 rows."""

_EVERY = 0.5
_TRAIN = (
    "train_supernet.py --title long --search-space nasbench_macro --widths 4,4,6,8,16 --dataset digits --resolution 8 "
    "--batch-size 32 --threads 1 --validate-every 100"
)
_SEARCH = (
    "search.py --title long --search-strategy random --calibration-images 32 --eval-images 32 --threads 1 "
    "--confirm-images 64"
)
_STEPS_PER_EPOCH = 35


def watched(command: Sequence[str]) -> list[tuple[float, float]]:
    """(CPU seconds so far, MiB resident) of a process, from its start to its end. Raises SystemExit where it fails."""
    page = resource.getpagesize() / 2**20
    ticks = os.sysconf("SC_CLK_TCK")
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    rows = []
    while process.poll() is None:
        try:
            resident = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
            times = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        except (OSError, IndexError):
            break
        if not resident:
            break  # it has ended
        rows.append(((int(times[11]) + int(times[12])) / ticks, resident * page))
        time.sleep(_EVERY)
    if process.wait():
        raise SystemExit(f"long_runs: {' '.join(command)} ended with status {process.returncode}")
    return rows


def growth(rows: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Median memory of the second and of the last tenth of a run, by its CPU seconds, and what lies between them."""
    seconds, mib = np.array(rows).T
    share = seconds / seconds[-1]
    early, late = (float(np.median(mib[(share >= a) & (share <= b)])) for a, b in ((0.1, 0.2), (0.9, 1.0)))
    return {"early_mib": round(early, 1), "late_mib": round(late, 1), "growth_mib": round(late - early, 1)}


def flat(row: dict[str, float], results: int) -> bool:
    """True where memory grows by no more than so many results take."""
    return row["growth_mib"] <= max(MOST_MIB, MOST_GROWTH * row["early_mib"]) + KIB_PER_RESULT * results / 1024


def archive_of(path: Path, rows: int, seed: int) -> None:
    """Write an archive of random results of a space of 30 layers, line by line as a search does."""
    from search.archive import Archive  # noqa: PLC0415  # the parent process stays small
    from search.result import Fidelity, Result  # noqa: PLC0415

    rng = random.Random(seed)
    archive = Archive(path, {"weights": "none"})
    for _ in range(rows):
        architecture = tuple(rng.randrange(7) for _ in range(30))
        archive.add(
            Result(architecture, {"accuracy": rng.random(), "loss": 3 * rng.random()}, fidelity=Fidelity(images=512))
        )


def open_archive(path: Path) -> dict[str, float]:
    """CPU seconds to open an archive and to find 1,000 results in it, and the peak memory of this process."""
    from search.archive import Archive  # noqa: PLC0415

    before = time.process_time()
    archive = Archive(path, {"weights": "none"})
    opened = time.process_time() - before
    known = list(archive)[:1000]
    before = time.process_time()
    assert all(archive.find(result.architecture, result.fidelity) is result for result in known)
    return {
        "rows": len(archive),
        "open_s": round(opened, 2),
        "find_us": round(1e3 * (time.process_time() - before), 2),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "file_mib": round(path.stat().st_size / 2**20, 1),
    }


def in_a_process(part: str, path: Path, rows: int) -> dict[str, float]:
    """The answer of this script's `part`, run on its own."""
    command = [sys.executable, "-m", "benchmarks.long_runs", "--part", part, "--folder", str(path), "--rows", str(rows)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1]) if output else {}
    return found


def draw(curves: dict[str, list[tuple[float, float]]], path: str) -> None:
    """A panel per run: resident memory against the CPU seconds of the run."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # where a plot is asked for

    figure = Figure(figsize=(9, 3), layout="constrained")
    for axes, (title, rows) in zip(figure.subplots(1, len(curves)), curves.items(), strict=True):
        axes.plot(*np.array(rows).T, linewidth=1)
        axes.set(title=title, xlabel="CPU seconds", ylabel="resident memory, MiB", ylim=(0, None))
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", required=True, help="of the runs and archives")
    parser.add_argument("--steps", type=int, default=10_000, help="of the supernet (default: 10,000)")
    parser.add_argument("--evaluations", type=int, default=5000, help="of the search (default: 5,000)")
    parser.add_argument("--rows", type=int, nargs="*", default=[10**5], help="of archives (default: 100,000)")
    parser.add_argument("--plot", metavar="FILE.png", help="picture of the memory")
    parser.add_argument("--part", choices=("write", "open"), help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    folder = Path(asked.folder)
    if asked.part == "write":
        archive_of(folder, asked.rows[0], seed=0)
        return 0
    if asked.part == "open":
        print(json.dumps(open_archive(folder)))
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    place = ["--root-path", str(folder), "--overwrite"]
    epochs = -(-asked.steps // _STEPS_PER_EPOCH)
    curves = {
        f"{asked.steps:,} supernet steps": watched([*_TRAIN.split(), *place, "--epochs", str(epochs)]),
        f"{asked.evaluations:,} evaluations": watched(
            [*_SEARCH.split(), *place, "--random-iteration", str(asked.evaluations)]
        ),
    }
    report: dict[str, Any] = {title: growth(rows) for title, rows in curves.items()}
    fine = all(flat(row, n) for row, n in zip(report.values(), (0, asked.evaluations), strict=True))
    for title, row in report.items():
        print(f"{title:24} {row['early_mib']:.1f} MiB, at the end {row['late_mib']:.1f} MiB")
    files = sorted(path for path in (folder / "long").rglob("*") if path.is_file())
    sizes = {str(p.relative_to(folder / "long")): round(p.stat().st_size / 2**20, 2) for p in files}
    report["files_mib"] = {name: size for name, size in sizes.items() if size >= 0.05}
    print("files from 0.05 MiB:      " + "  ".join(f"{name} {size}" for name, size in report["files_mib"].items()))
    for rows in asked.rows:
        path = folder / f"archive_{rows}.jsonl"
        path.unlink(missing_ok=True)
        in_a_process("write", path, rows)
        found = report[f"archive of {rows:,}"] = in_a_process("open", path, rows)
        fine &= found["open_s"] <= SECONDS_PER_1E5 * max(1, rows / 10**5)
        print(
            f"archive of {rows:,} rows     opens in {found['open_s']} s, finds one in {found['find_us']} us; "
            f"{found['file_mib']} MiB, {found['peak_mib']} MiB of memory"
        )
    if asked.plot:
        draw(curves, asked.plot)
    print(json.dumps(report | {"met": fine}))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
