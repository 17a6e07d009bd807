"""Cheap trainings on CIFAR-10 (JPEG), with and without a teacher: how well they rank, and what MFKD2 makes of them.

    NAS_SHARED_DATA=FOLDER python -m benchmarks.distilled_fidelity --folder runs/distilled --networks 48

48 networks of SimpleCnn are trained for real: at a high fidelity, and at a low one without a teacher, with KD, with NST
(MFKD's weights), and without for the seconds that either takes. Rows are appended to trainings.csv as they come, and
read where they are there; seconds are CPU seconds. Then it prints rank correlations with the high fidelity, with 95 %
intervals by bootstrap over networks, and plays MFKD2 against the high fidelity alone at equal seconds on these rows.
"""

import argparse
import csv
import io
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import spearmanr

from lookup_tables.limits import Limits
from search.archive import Archive
from search.engine import run
from search.ledger import Ledger, Stop
from search.problem import Problem
from search.result import Fidelity, Result
from search.schedules import Halving
from search.strategies.mfkd import Mfkd2, Mfkd2Options
from search.strategies.random_search import RandomOptions, RandomSearch
from supernet import Architecture, Decision, DecisionSpace, SearchSpace, build_space
from training.cli import main_retrain
from training.data import Data, load_data
from training.data.split import SplitPart
from training.evaluate import score
from training.options import RetrainOptions
from training.retrain import train_network

TRAIN, TEST = 8000, 2000
EPOCHS, SHARE = 10, 0.1
TEACHER = (1, 2, 2, 1) * 3 + (4,)
DECISIONS = (
    Decision("bn", ("no", "yes")),
    Decision("first filters", ("8", "32")),
    Decision("last filters", ("8", "32")),
    Decision("second kernel", ("1", "3", "5")),
    Decision("last kernel", ("1", "3")),
)
SPACE = DecisionSpace("part of SimpleCnn", DECISIONS)
LOW = ("low", "low, KD", "low, NST", "low, seconds of KD", "low, seconds of NST")
COLUMNS = ("network", "setting", "epochs", "val", "test", "seconds")
DATASET = "benchmarks.distilled_fidelity:images"
Rows = dict[tuple[Architecture, str], dict[str, float]]


def images(options: Any) -> dict[str, Any]:
    """The first training and test images of CIFAR-10 (JPEG): a data set for `--dataset`."""
    del options
    packed = np.load(Path(os.environ["NAS_SHARED_DATA"]) / "cifar10_jpeg.npz", allow_pickle=False)
    ends, content = packed["offset"], packed["jpeg"]

    def pixels(rows: range) -> NDArray[np.uint8]:
        files = (io.BytesIO(content[ends[row] : ends[row + 1]].tobytes()) for row in rows)
        return np.stack([np.asarray(Image.open(file)) for file in files])

    train, test = range(TRAIN), range(50_000, 50_000 + TEST)
    return {
        "train_images": pixels(train), "train_labels": packed["label"][:TRAIN].astype(np.int64),
        "test_images": pixels(test), "test_labels": packed["label"][50_000 : 50_000 + TEST].astype(np.int64),
        "classes": [str(name) for name in packed["classes"]],
    }  # fmt: skip


def full(architecture: Architecture, space: SearchSpace) -> Architecture:
    """Of SimpleCnn: second filters 16, first kernel 3, ReLU everywhere, 24 hidden units."""
    bn, first, last, second_kernel, last_kernel = architecture
    chosen = (bn, 2 * first, 1, 1, bn, 1, second_kernel, 1, bn, 2 * last, last_kernel, 1, 2)
    assert space.is_valid(chosen)
    return chosen


def trained(
    architecture: Architecture, setting: str, epochs: int, data: Data, space: SearchSpace, teacher: str
) -> dict[str, Any]:
    """A row: the accuracies and CPU seconds of a real training."""
    changes: dict[str, Any] = {}
    if "KD" in setting:
        changes = {"trainer": "distillation", "teacher": teacher, "distill": "kd", "kd_temperature": 32.0}
    if "NST" in setting:
        changes = {"trainer": "distillation", "teacher": teacher, "distill": "nst"}
    options = RetrainOptions(
        title="x", search_space="simple_cnn", dataset=DATASET, epochs=epochs, batch_size=64, lr=0.05, threads=1,
        train_on="train", validate_every=epochs, train_portion=0.75, tensorboard=False, **changes,
    )  # fmt: skip
    if setting != "high":
        count = round(SHARE * len(data.train))
        data = replace(data, train=SplitPart(data.train, torch.arange(count)))
    start = time.process_time()
    state = train_network(space.decode(full(architecture, space)), data, options)
    seconds = time.process_time() - start
    found = {"epochs": epochs, "val": state.validation["val_accuracy"], "seconds": round(seconds, 3)}
    state.trained.eval()
    test = score(state.trained, data.test.batches(256), torch.device("cpu"), task=data.task).value
    return {"network": "".join(map(str, architecture)), "setting": setting, **found, "test": test}


def measure(folder: Path, networks: int) -> Rows:
    """Train what is not there yet; the rows of all networks that are complete."""
    folder.mkdir(parents=True, exist_ok=True)
    path, teacher = folder / "trainings.csv", folder / "teacher"
    words = ["--dataset", DATASET, "--search-space", "simple_cnn", "--threads", "1", "--no-tensorboard"]
    if not (teacher / "model.safetensors").is_file():
        words += ["--output", str(teacher), "--train-portion", "0.75", "--train-on", "train", "--epochs", "30"]
        main_retrain([*words, "--architecture", str(list(TEACHER)), "--batch-size", "64", "--validate-every", "30"])
    rows = read(path)
    space = build_space("simple_cnn", num_classes=10)
    data = load_data(
        RetrainOptions(title="x", dataset=DATASET, train_portion=0.75, search_space="simple_cnn", epochs=1), 32
    )
    every = list(SPACE.enumerate())
    random.Random(0).shuffle(every)
    for architecture in every[:networks]:
        for setting in ("high", *LOW):
            if (architecture, setting) in rows:
                continue
            epochs = EPOCHS
            if setting.startswith("low, seconds of "):
                taught = setting.replace("seconds of ", "")
                ratio = rows[architecture, taught]["seconds"] / rows[architecture, "low"]["seconds"]
                epochs = max(EPOCHS, round(EPOCHS * ratio))
            row = trained(architecture, setting, epochs, data, space, str(teacher))
            rows[architecture, setting] = {name: float(row[name]) for name in COLUMNS[2:]}
            append(path, row)
            print(row, flush=True)
    return rows


def read(path: Path) -> Rows:
    """The rows of a file, none where there is none."""
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    return {
        (tuple(map(int, line["network"])), line["setting"]): {name: float(line[name]) for name in COLUMNS[2:]}
        for line in lines
    }


def append(path: Path, row: dict[str, Any]) -> None:
    """Add a row."""
    new = not path.is_file()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(row)


def correlations(rows: Rows, done: Sequence[Architecture]) -> None:
    """Print Spearman's correlation of each low fidelity with the high one, and of differences, with intervals."""
    high = np.array([rows[a, "high"]["test"] for a in done])
    values = {setting: np.array([rows[a, setting]["val"] for a in done]) for setting in LOW}
    drawn = np.random.default_rng(0).integers(0, len(done), (2000, len(done)))
    samples = {s: np.array([spearmanr(v[row], high[row]).statistic for row in drawn]) for s, v in values.items()}
    print(f"\n{len(done)} networks; test accuracy at the high fidelity {high.min():.3f} to {high.max():.3f}")
    for setting in LOW:
        ends = np.nanpercentile(samples[setting], [2.5, 97.5])
        seconds = np.mean([rows[a, setting]["seconds"] for a in done])
        means = f"mean accuracy {values[setting].mean():.3f}, {seconds:.2f} s"
        print(f"{setting:19} Spearman {spearmanr(values[setting], high).statistic:.3f} "
              f"[{ends[0]:.3f}, {ends[1]:.3f}], {means}")  # fmt: skip
    for setting in ("low, KD", "low, NST"):
        for other in ("low", setting.replace("low, ", "low, seconds of ")):
            ends = np.nanpercentile(samples[setting] - samples[other], [2.5, 97.5])
            less = spearmanr(values[setting], high).statistic - spearmanr(values[other], high).statistic
            print(f"{setting} less {other}: {less:+.3f} [{ends[0]:+.3f}, {ends[1]:+.3f}]")


class Table:
    """The trainings as an evaluator: one low fidelity and the high one, charged their seconds."""

    def __init__(self, rows: Rows, low: str | None) -> None:
        self._rows, self._low = rows, low
        self.high = Fidelity(level=2)
        self.fidelities = (Fidelity(level=1), self.high) if low else (self.high,)

    def price(self, architecture: Architecture, fidelity: Fidelity) -> dict[str, float]:
        """{"seconds"} with those of the low fidelity: the high one begins anew."""
        settings = [self._low] if self._low else []
        settings += ["high"] if fidelity == self.high else []
        return {"seconds": sum(self._rows[architecture, str(setting)]["seconds"] for setting in settings)}

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        """The results that were measured."""
        for architecture in architectures:
            fidelity = fidelity or self.high
            row = self._rows[architecture, "high" if fidelity == self.high else str(self._low)]
            yield Result(architecture, {"accuracy": row["val"]}, fidelity=fidelity, spent={"seconds": row["seconds"]})


class Finished(DecisionSpace):
    """The networks that were trained."""

    done: frozenset[Architecture] = frozenset()

    def allows(self, architecture: Sequence[int]) -> bool:
        """True for a network with all rows."""
        return tuple(architecture) in self.done


def searches(rows: Rows, done: Sequence[Architecture], seeds: int, folder: Path) -> None:
    """Print the test accuracy of what MFKD2 and the high fidelity alone choose for the same seconds."""
    space = Finished(SPACE.name, SPACE.decisions)
    object.__setattr__(space, "done", frozenset(done))
    cost = {s: np.mean([rows[a, s]["seconds"] for a in done]) for s in (*LOW, "high")}
    best = max(rows[a, "high"]["test"] for a in done)
    print(f"\nbest network {best:.3f}; {seeds} searches each")
    for few, many in ((3, 12), (5, 20)):
        budget = float(many * cost["low, KD"] + few * cost["high"])
        alone = Mfkd2Options(mfkd2_samples=(len(done),), mfkd2_start=min(few, 5))
        print(f"{budget:.0f} s: {few} at the high fidelity after {many} with KD, or as many as take as long")
        for name, low in (
            ("random, high alone", None),
            ("mfkd2, high alone", None),
            *((f"mfkd2, {s}", s) for s in LOW),
        ):
            cheap = min(len(done), round(many * cost["low, KD"] / cost[low])) if low else 2
            options = Mfkd2Options(mfkd2_samples=(cheap, few), mfkd2_start=min(few, cheap, 5))
            found = []
            for seed in range(seeds):
                problem = Problem(Limits(space), rungs=2 if low else 1)
                strategy: Any = Mfkd2(problem, options if low else alone, seed)
                if name.startswith("random"):
                    strategy = RandomSearch(problem, RandomOptions(random_iteration=len(done)), seed)
                table, path = Table(rows, low), folder / "archive.jsonl"
                path.unlink(missing_ok=True)
                ledger = Ledger(Stop(seconds=budget))
                run(
                    strategy, table, archive := Archive(path, {}), {}, ledger=ledger, schedule=Halving(table.fidelities)
                )
                judged = [result for result in archive if result.fidelity == table.high]
                if not judged:
                    continue
                chosen = max(judged, key=lambda result: result.metrics["accuracy"])
                found.append((rows[chosen.architecture, "high"]["test"], ledger.spent["seconds"], len(judged)))
            tests, seconds, full = np.array(found).T
            error = 1.96 * tests.std(ddof=1) / np.sqrt(len(found))
            name += f" ({cheap})" if low else ""
            print(f"  {name:31} test {tests.mean():.4f} ± {error:.4f}, {seconds.mean():.0f} s, {full.mean():.1f} full")


def main() -> int:
    """Print both tables; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, default=Path("runs/distilled_fidelity"))
    parser.add_argument("--networks", type=int, default=4, help="of 48 (default: 4)")
    parser.add_argument("--seeds", type=int, default=50, help="searches of each kind (default: 50)")
    asked = parser.parse_args()
    if "NAS_SHARED_DATA" not in os.environ:
        print("needs NAS_SHARED_DATA, the folder of cifar10_jpeg.npz")
        return 0
    rows = measure(asked.folder, asked.networks)
    done = [a for a in SPACE.enumerate() if all((a, setting) in rows for setting in (*LOW, "high"))]
    correlations(rows, done)
    searches(rows, done, asked.seeds, asked.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
