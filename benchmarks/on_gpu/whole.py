"""The parts that are processes of their own: the tests that need a GPU, and a whole run by the scripts."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.on_gpu.work import TINY, Row, Work, row
from config_file.readers.json_text import read_sealed
from search.ranking.truth import FILES, FOLDER
from search.reporting.finished_search import FORMAT as BEST
from search.reporting.finished_search import RANKING
from training.planning import seconds_per_step
from training.train_supernet import prepare_supernet

ROOT = Path(__file__).resolve().parent.parent.parent
TRUTH = "nasbench_macro"
MOST_EPOCHS = 300


def said(command: Sequence[str], seconds: float, log: Path) -> tuple[int | None, str]:
    """(status, output) of a command, which the log gets too; None where it did not end within so many seconds."""
    with log.open("a+", encoding="utf-8") as out:
        out.write(f"$ {' '.join(command)}\n")
        out.flush()
        start = out.tell()
        try:
            status = subprocess.run(
                command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, timeout=max(1.0, seconds), check=False
            ).returncode
        except subprocess.TimeoutExpired:
            status = None
        out.seek(start)
        return status, out.read()


def tests(work: Work) -> Iterator[Row]:
    """The tests that need a GPU."""
    marked = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if _needs_gpu(path.read_text("utf-8"))]
    files = [str(path.relative_to(ROOT)) for path in marked]
    if work.small:
        files = [file for file in files if file.endswith("test_gpu_data.py")]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-n", "0", "-p", "no:cacheprovider", *files]
    status, text = said(command, work.seconds, work.folder / "tests.log")
    counts = {what: int(count) for count, what in re.findall(r"(\d+) (passed|failed|skipped|errors?)\b", text)}
    bad = counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
    note = "cut off, see tests.log" if status is None else ", ".join(f"{n} {what}" for what, n in counts.items())
    yield row("tests that need a GPU: passed", counts.get("passed", 0), note=note)
    yield row("tests that need a GPU: failed", bad, at_most=0)


def _needs_gpu(text: str) -> bool:
    return any(word in text for word in ("needs_gpu", "NEEDS_GPU", "mark.gpu"))


def run(work: Work) -> Iterator[Row]:
    """A supernet, a search and a ranking by the scripts, as many epochs as there is time for."""
    ends, log = time.perf_counter() + work.seconds, work.folder / "whole.log"
    epochs = _epochs(work)
    common = ["--title", "whole", "--root-path", str(work.folder / "runs"), "--overwrite", "--no-tensorboard"]
    size = ["--generation-num", "1", "--population", "4", "--parent-num", "2"] if work.small else []
    commands = {
        "supernet": ["train_supernet.py", *_training(work, epochs)],
        "search": ["search.py", "--search-strategy", "evolution", *size, *_images(work)],
    }
    if work.dataset == "cifar10" and (Path(os.environ.get(FOLDER, "")) / FILES[TRUTH]).is_file():
        networks = "6" if work.small else "1000"
        commands["rank"] = ["-m", "search.rank", "--truth", TRUTH, "--architectures", networks, *_images(work)]
    for stage, words in commands.items():
        command = [sys.executable, *words, *common, "--device", work.device]
        start = time.perf_counter()
        status, text = said(command, ends - start, log)
        if status != 0:
            last = "cut off" if status is None else (text.strip().splitlines() or ["no output"])[-1]
            yield row(f"{stage}: failed", 1, at_most=0, note=f"{last[:120]} (whole.log)")
            return
        note = f"{epochs} epochs" if stage == "supernet" else ""
        yield row(f"{stage}: time", round(time.perf_counter() - start, 1), "s", note=note)
        yield from _found(stage, work.folder / "runs" / "whole")
    if "rank" not in commands:
        yield row("rank: left out", float("nan"), note=f"needs --dataset cifar10 and {FOLDER} with {FILES[TRUTH]}")


def _epochs(work: Work) -> int:
    """The epochs of a training that takes half of the time."""
    if work.small:
        return 1
    words = dict(zip(*[iter(_training(work, 1))] * 2, strict=True))
    given = {name.removeprefix("--").replace("-", "_"): value for name, value in words.items()}
    numbers = {"batch_size": int, "epochs": int, "lr": float, "weight_decay": float, "train_portion": float}
    typed = {name: numbers[name](value) if name in numbers else value for name, value in given.items()}
    options = work.options(**typed | {"root_path": str(work.folder / "estimate")})
    training = prepare_supernet(options)
    seconds, _ = seconds_per_step(training.recipe, training.state, 10.0)
    per_epoch = seconds * training.recipe.steps_per_epoch
    return max(1, min(MOST_EPOCHS, int(0.5 * work.seconds / per_epoch)))


def _training(work: Work, epochs: int) -> list[str]:
    data = ["--dataset", work.dataset, "--data-path", work.data_path]
    if work.small:
        widths = ",".join(map(str, TINY["chain"]["widths"]))
        return [*data, "--search-space", TRUTH, "--widths", widths, "--resolution", "8", "--batch-size", "64",
                "--epochs", str(epochs), "--train-portion", "0.2"]  # fmt: skip
    return [*data, "--search-space", TRUTH, "--batch-size", str(work.batch_size), "--epochs", str(epochs),
            "--lr", "0.1", "--weight-decay", "1e-4", "--train-portion", "0.9"]  # fmt: skip


def _images(work: Work) -> list[str]:
    few = ["--calibration-images", "32", "--eval-images", "64"]
    return few if work.small else ["--calibration-images", "1024", "--eval-images", "0"]


def _found(stage: str, folder: Path) -> Iterator[Row]:
    """The numbers that a stage has left."""
    if stage == "search":
        found = read_sealed(folder / stage / "best.json", BEST)
        images = "images that nothing was selected by" if found["confirmed"] else "the images it was selected on"
        yield row("search: accuracy of the best network", found["accuracy"], note=f"inherited weights, on {images}")
    elif stage == "rank":
        scores, *others = read_sealed(folder / stage / "rank.json", RANKING)["rows"]
        for one in (scores, *others):
            tau = one["numbers"]["tau"]
            value = float("nan") if tau["value"] is None else tau["value"]  # of what is the same for all
            yield row(f"rank: Kendall's tau of {one['name']}"[:58], value, low=tau["low"], high=tau["high"])
