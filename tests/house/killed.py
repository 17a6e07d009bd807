"""A stage killed in every window between two of its files, and resumed: `python -m tests.house.killed STAGE FOLDER`.

The windows are found by running the stage once and listening to what it opens for writing, renames and removes. Just
before each of these that concerns another file than the one before, or gives a file its name, all files are copied: a
kill would leave them so, and what the process has not written yet would be lost. In the first window it is killed
indeed (`os._exit`, of which no `finally` hears), and must leave what was copied. The stage is then run with --resume on
each copy; what it leaves must be what it leaves in one go. One process forks all runs: what takes seconds to import is
imported once.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock  # noqa: F401  # as the next and torch._dynamo: imported once, not by every run
import sklearn.datasets  # noqa: F401
import torch
import torch._dynamo
from matplotlib.figure import Figure

from deployment.cli import main as export
from lookup_tables.cli import main as tables
from search.cli import main as search
from search.comparison.verdict import main as verdict
from search.ranking.rank import main as rank
from search.ranking.untrained import main as zero_cost
from search.reporting.report import template
from search.tabular.files import write_benchmark
from search.tabular.generated import generate
from tests import disk, pictures
from training import train_supernet
from training.cli import main_retrain, main_train_supernet
from training.data.digits import load_digits

Figure.savefig = pictures.blank  # type: ignore[method-assign]
os.fsync = disk.written  # type: ignore[assignment]

KILLED = 9
TITLE = ["--title", "t", "--threads", "1", "--no-tensorboard"]
SPACE = ["--search-space", "nasbench_macro", "--widths", "4,4,6,8,16"]
DATA = ["--dataset", "digits", "--resolution", "8", "--train-portion", "0.2", "--batch-size", "128"]
TRAINING = [*TITLE, *SPACE, *DATA, "--epochs", "3", "--lr", "0.1"]
JUDGED = [*TITLE, "--calibration-images", "64", "--eval-images", "60"]
QUICK = [*JUDGED, "--confirm-images", "20", "--target-hc", "0.06"]
TABLE = ["--search-space", "small.yml", "--resolution", "16", "--networks", "1"]
STAGES = [{"channels": 4, "depth": 1, "stride": 2}]
SMALL = {"name": "small", "stem": 4, "stages": STAGES, "candidates": ["k3e1", "k3e3"], "head": 8}
"""A space of few layers: each is a file of a kit."""

Main = Callable[[list[str]], Any]
COMMANDS: dict[str, tuple[Main, list[str], str, tuple[str, ...]]] = {
    "supernet": (main_train_supernet, TRAINING, "supernet", ()),
    "differentiable": (
        main_train_supernet, [*TRAINING, "--sample-strategy", "differentiable"], "supernet", (),
    ),
    "search": (search, [*QUICK, "--search-strategy", "random", "--random-iteration", "3"], "search", ("supernet",)),
    "first": (
        search,
        [*QUICK, "--search-strategy", "mf_nas", "--first-evaluations", "3", "--first-best", "2"],
        "search",
        ("supernet",),
    ),
    "front": (
        search, [*QUICK, "--search-strategy", "nsga2", "--population", "4", "--evaluations", "6"], "search",
        ("supernet",),
    ),
    "learning": (
        search, [*QUICK, "--search-strategy", "differentiable", "--a-epochs", "2", "--a-samples", "2"], "search",
        ("supernet",),
    ),
    "training": (
        search,
        [
            *TRAINING[:-4], "--lr", "0.1", "--evaluator", "training", "--fidelities", "1,2",
            "--search-strategy", "random", "--random-iteration", "2", "--target-hc", "0.06", "--confirm-images", "20",
        ],
        "search",
        (),
    ),
    "runs": (
        search,
        [
            *TITLE, "--evaluator", "nasbench_macro", "--table", "table.npz", "--search-strategy", "random",
            "--random-iteration", "2", "--runs", "2",
        ],
        "search",
        (),
    ),
    "retrain": (
        main_retrain,
        [*TITLE, "--epochs", "3", "--lr", "0.1", "--train-on", "train", "--export-checkpoint", "best"],
        "retrain",
        ("supernet", "search"),
    ),
    "export": (export, ["--title", "t", "--threads", "1"], "export", ("supernet", "search", "retrain")),
    "rank": (rank, [*JUDGED, "--truth", "truth.csv", "--resamples", "20"], "rank", ("supernet", "search")),
    "zero_cost": (
        zero_cost, [*TITLE, *SPACE, *DATA[:4], "--zero-cost", "snip", "--architectures", "3"], "zero_cost", (),
    ),
    "verdict": (
        verdict,
        [
            *TITLE, "--epochs", "1", "--lr", "0.1", "--train-on", "train", "--seeds", "2", "--random-networks", "2",
        ],
        "verdict",
        ("supernet", "search"),
    ),
    "kit": (tables, ["kit", *TABLE, "--output", "runs/t/kit"], "kit", ()),
    "table": (
        tables, ["build", "--metric", "latency", *TABLE, "--rounds", "3", "--output", "runs/t/table/t.json"], "table",
        (),
    ),
}  # fmt: skip
"""By name: the command, its arguments, the folder that it leaves, and the stages it needs."""

ANEW = ("kit", "table")
"""Commands that go on without being told to."""

VOLATILE = {
    *("seconds", "time", "checksum", "resumed", "date", "latency", "median_ms", "made", "value", "median", "spread"),
    *("scale", "offset", "self_check", "ms", "sha256", "bytes", "commit", "rng"),
}
"""Fields of measured times, of what contains them, and generators that nobody seeds: any two runs differ there."""


class Watch:
    """Hears of every file that this process is about to write, name or remove in a folder.

    Then it copies `place` to `copies`/NUMBER, where that is asked for, the first time that it comes by or `every` time;
    in window `kill_at` it kills the process.
    """

    def __init__(
        self, folder: Path, place: Path, kill_at: int = 0, copies: Path | None = None, every: bool = False
    ) -> None:
        self.folder, self.place, self.kill_at, self.copies = f"{folder}{os.sep}", place, kill_at, copies
        self.every, self.windows = every, list[tuple[str, str]]()
        self._before = "nothing"
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            path, what = arguments[0], ""
        elif event in ("os.rename", "os.link"):
            path, what = arguments[1], " gets its name"
        elif event == "os.remove":
            path, what = arguments[0], " goes"
        else:
            return
        if isinstance(path, int) or not (full := os.path.abspath(os.fsdecode(path))).startswith(self.folder):  # noqa: PTH100
            return
        name = re.sub(r"\.([^/]+)\.partial-[^./]+", r"\1", full.removeprefix(self.folder))
        now = re.sub(r"trainings/[^/]+|trials/[-\d]+", "trainings/ONE", name) + what
        if name.endswith(".lock") or now == self._before:
            return
        self.windows.append((self._before, now))
        self._before = now
        number = len(self.windows)
        if number == self.kill_at:
            os._exit(KILLED)
        if self.copies is not None and (self.every or self.windows.index(self.windows[-1]) == number - 1):
            shutil.copytree(self.place, self.copies / str(number))


def forked(place: Path, stage: str, extra: list[str], *watched: Any) -> int:
    """Run a stage in a process of its own, which works in `place`; its exit status. The windows are left in a file."""
    main, arguments, folder, _ = COMMANDS[stage]
    child = os.fork()
    if not child:
        status = 1
        try:
            os.chdir(place)
            with (place / "out.txt").open("a") as out:
                os.dup2(out.fileno(), 1)
                os.dup2(out.fileno(), 2)
            watch = Watch(place / "runs/t" / folder, place, *watched)
            main([*arguments, *extra])
            (place / "windows.json").write_text(json.dumps(watch.windows))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def prepared(work: Path, name: str, stage: str) -> Path:
    """A new working folder with what the stage builds upon."""
    place = work / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for needed in COMMANDS[stage][3]:
        shutil.copytree(work / "base/runs/t" / needed, place / "runs/t" / needed)
    rows = [
        f"{' '.join(f'{(7 * number + site * site) % 3}' for site in range(8))},{60 + 3 * number}" for number in range(5)
    ]
    (place / "truth.csv").write_text("\n".join(["architecture,accuracy", *rows]) + "\n")
    (place / "small.yml").write_text(json.dumps(SMALL))
    if "--table" in COMMANDS[stage][1]:
        write_benchmark(place / "table.npz", generate("nasbench_macro"))
    return place


def content_of(folder: Path) -> dict[str, Any]:
    """Everything that a stage leaves, without times."""
    found: dict[str, Any] = {}
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        name, data = re.sub(r"partial-[^./]+", "partial", str(path.relative_to(folder))), path.read_bytes()
        if path.name in ("log.txt", "env.json", "report.html", "card.md") or path.suffix == ".log":
            found[name] = "is there"
        elif path.suffix == ".json":
            found[name] = plain(json.loads(data))
        elif path.suffix == ".jsonl":
            found[name] = [plain(json.loads(line)) for line in data.splitlines()]
        elif path.suffix == ".csv":
            rows = csv.DictReader(io.StringIO(data.decode()))
            found[name] = [{key: cell for key, cell in row.items() if key != "seconds"} for row in rows]
        elif path.suffix == ".pt":
            found[name] = plain(torch.load(io.BytesIO(data), weights_only=True))
        elif path.suffix == ".safetensors":
            length = int.from_bytes(data[:8], "little")
            metadata = json.loads(data[8 : 8 + length])["__metadata__"]
            about = {
                key: plain(json.loads(text)) for key, text in metadata.items() if key not in ("format", "checksum")
            }
            found[name] = about, data[8 + length :]
        else:
            found[name] = data
    return found


def plain(content: Any) -> Any:
    """Nested content that can be compared, without what is measured in time."""
    if isinstance(content, dict):
        return {key: plain(value) for key, value in content.items() if key not in VOLATILE}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    return content.numpy().tobytes() if isinstance(content, torch.Tensor) else content


def began(folder: Path) -> bool:
    """True where the first file of a stage is there whole; before that, nothing has begun that could go on."""
    return any(path.is_file() and ".partial-" not in path.name for path in folder.rglob("*"))


def different(one: dict[str, Any], folder: Path) -> list[str]:
    """Names of the files that a folder does not have alike."""
    other = content_of(folder)
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]


def survive(work: Path, stage: str, every: bool = False) -> dict[str, Any]:
    """Kill a stage in each of its windows (`every`: each time it comes by), and go on.

    Returns {"windows": those killed in, "wrong": [(window, what is wrong)]}.
    """
    torch.set_num_threads(1)
    # What each run would do again, and paths to validate, on which nothing here depends.
    template()
    load_digits(None)
    train_supernet.VALIDATED_PATHS = 1
    for needed in COMMANDS[stage][3]:
        if not (work / "base/runs/t" / needed).exists():
            (work / "base").mkdir(parents=True, exist_ok=True)
            assert forked(work / "base", needed, []) == 0, (work / "base/out.txt").read_text()
    folder, copies = Path("runs/t") / COMMANDS[stage][2], work / "copies"
    shutil.rmtree(copies, ignore_errors=True)
    whole, again = (prepared(work, name, stage) for name in ("whole", "again"))
    assert forked(whole, stage, [], 0, copies, every) == 0, (whole / "out.txt").read_text()
    assert forked(again, stage, []) == 0, (again / "out.txt").read_text()
    expected = content_of(whole / folder)
    assert different(expected, again / folder) == []
    windows = [tuple(window) for window in json.loads((whole / "windows.json").read_text())]
    chosen = {n: w for n, w in enumerate(windows, start=1) if n > 1 and (every or windows.index(w) == n - 1)}
    wrong: list[tuple[tuple[str, ...], str]] = []
    mask = os.umask(0)
    os.umask(mask)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (whole / folder).rglob("*") if path.is_file()}
    wrong += [((name,), f"mode {mode:o}") for name, mode in modes.items() if mode != 0o666 & ~mask]
    first = min(chosen)
    killed = prepared(work, "killed", stage)
    assert forked(killed, stage, [], first) == KILLED, (killed / "out.txt").read_text()
    wrong += [
        (chosen[first], f"a kill leaves another {name}")
        for name in different(content_of(killed / folder), copies / str(first) / folder)
    ]
    for number, window in chosen.items():
        place = killed if number == first else copies / str(number)
        if forked(place, stage, [] if stage in ANEW or not began(place / folder) else ["--resume"]):
            wrong.append((window, (place / "out.txt").read_text().splitlines()[-1]))
        elif names := different(expected, place / folder):
            wrong.append((window, f"others: {', '.join(names)}"))
    return {"windows": list(chosen.values()), "wrong": wrong}


def main(stage: str, work: Path, every: bool = False) -> None:
    """Print what `survive` finds."""
    print(json.dumps(survive(work, stage, every)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).resolve(), "--every" in sys.argv)
