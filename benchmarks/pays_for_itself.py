"""Supernet, search and retraining against a MobileNetV2 that is simply trained longer, for the same CPU seconds.

    NAS_SHARED_DATA=FOLDER python -m benchmarks.pays_for_itself --minutes 15 60 240 --seeds 1 2 3
    python -m benchmarks.pays_for_itself --small

CIFAR-10 (JPEG) at 32 px, at most 5 million multiply-accumulates, one thread. Every arm gets so many minutes of CPU time
(user and system) for each seed, everything counted:

    found        train_supernet.py, search.py and retrain.py with the presets config_file/*/cifar10_fast.yml
    random       a network of the same space drawn from those that use 98 % of the limit, trained for all of it
    mobilenetv2  MobileNetV2, as wide as the limit allows, trained for all of it

The last training of an arm takes as many whole epochs as fit into what is left, by steps that are timed first and
counted too; it learns from all training images. Nothing is chosen by the test images, which are looked at once, at the
end. A row is kept for every arm, seed and budget (rows.jsonl), and so are the finished stages of one that was stopped
with Ctrl-C or SIGTERM: the same command goes on. --arm shares the work between processes. The table has the mean
differences of the pairs with their 95 % intervals (Student's t).
"""

import argparse
import io
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
from PIL import Image
from scipy import stats

from config_file.files import append_sealed, atomic_path, write_sealed
from config_file.loader import parse
from config_file.readers.json_text import read_sealed, read_sealed_jsonl
from config_file.run_folder import RunFolder
from config_file.run_mark import has_begun
from config_file.stages import STAGES
from lookup_tables import build_table
from lookup_tables.limits import Limit, Limits
from search.cli import main as main_search
from search.comparison.scaled_baseline import scaled_mobilenetv2
from supernet import NetSpec
from supernet.saved import named_space
from supernet.space import with_sites
from training.architecture import choose_architecture
from training.cli import main_retrain, main_train_supernet
from training.data import Data, load_data
from training.loop import train_step
from training.options import RetrainOptions
from training.retrain import FORMAT as RETRAINED
from training.retrain import prepare_network, retrain

FOUND, RANDOM, BASELINE = ARMS = "found", "random", "mobilenetv2"
CLOCK = "benchmark of time 1"
WARM_UP, TIMED = 3, 20
BAND = 0.98
SMALL_MINUTES = 0.1
COMMON = ("--threads", "1", "--no-tensorboard")
CACHE = "NAS_BENCHMARK_CACHE"


@dataclass(frozen=True)
class Setting:
    """A task for both arms.

    Attributes:
        data: flags that name the images, for every stage.
        limit: most multiply-accumulates, in millions.
        train, search, retrain: flags of the three stages of what is found.
        space: that is searched.
        alone: flags of the trainings of what was not searched for.
        shape: flags of the strides of MobileNetV2 (stem, six stages) and of the width of its last 1x1 convolution.
    """

    data: tuple[str, ...]
    resolution: int
    limit: float
    train: tuple[str, ...]
    search: tuple[str, ...]
    retrain: tuple[str, ...]
    space: str
    alone: tuple[str, ...]
    shape: tuple[str, ...]


def preset(stage: str) -> tuple[str, ...]:
    """The flag of a preset of this comparison."""
    return "--config", f"config_file/{stage}/cifar10_fast.yml"


CIFAR10 = Setting(
    data=("--dataset", "benchmarks.pays_for_itself:images", "--train-portion", "0.9"),
    resolution=32, limit=5.0,
    train=preset("train"), search=preset("search"), retrain=preset("retrain"),
    space="config_file/spaces/cifar10_fast.yml",
    alone=("--batch-size", "128", "--lr", "0.2", "--weight-decay", "4e-4", "--warmup-epochs", "0.5"),
    shape=("--strides", "2,1,2,2,1,1,1", "--widths", "32,16,24,40,80,96,192,320,256"),
)  # fmt: skip
SMALL = Setting(
    data=("--dataset", "digits", "--resolution", "16"),
    resolution=16, limit=2.0,
    train=("--search-space", "config_file/spaces/tiny.yml", "--epochs", "1", "--batch-size", "64"),
    search=("--search-strategy", "random", "--random-iteration", "4", "--eval-images", "64",
            "--calibration-images", "64"),
    retrain=("--batch-size", "64", "--init", "supernet"),
    space="config_file/spaces/tiny.yml",
    alone=("--batch-size", "64"),
    shape=("--strides", "2,1,2,2,1,1,1", "--widths", "32,16,24,40,80,96,192,320,64"),
)  # fmt: skip


def images(options: Any) -> dict[str, Any]:
    """CIFAR-10 (JPEG): a data set for `--dataset`, decoded once into the folder of the comparison."""
    del options
    cache = Path(os.environ[CACHE]) / "images.npy"
    packed = np.load(Path(os.environ["NAS_SHARED_DATA"]) / "cifar10_jpeg.npz", allow_pickle=False)
    labels = packed["label"].astype(np.int64)
    if not cache.is_file():
        ends, content = packed["offset"], packed["jpeg"]
        files = (io.BytesIO(content[ends[row] : ends[row + 1]].tobytes()) for row in range(len(labels)))
        with atomic_path(cache) as path, path.open("wb") as stream:
            np.save(stream, np.stack([np.asarray(Image.open(file)) for file in files]))
    pixels = np.load(cache, allow_pickle=False)
    return {
        "train_images": pixels[:50_000], "train_labels": labels[:50_000],
        "test_images": pixels[50_000:], "test_labels": labels[50_000:],
        "classes": [str(name) for name in packed["classes"]],
    }  # fmt: skip


class Clock:
    """CPU seconds, user and system, of the parts of one arm, those of earlier processes included.

    Args:
        path: where they are kept; with them what follows from them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.parts: dict[str, float] = {}
        self.epochs: int | None = None
        self._began: float | None = None
        if path.is_file():
            kept = read_sealed(path, CLOCK)
            self.parts, self.epochs = kept["seconds"], kept["epochs"]

    @property
    def seconds(self) -> float:
        """Spent so far, the running part included."""
        running = 0.0 if self._began is None else cpu_seconds() - self._began
        return sum(self.parts.values()) + running

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what runs inside, whether it ends or is interrupted."""
        self._began = began = cpu_seconds()
        try:
            yield
        finally:
            self.parts[name] = self.parts.get(name, 0.0) + cpu_seconds() - began
            self._began = None
            self.keep()

    def decide(self, epochs: Callable[[], int]) -> None:
        """Say once how many epochs the last training takes; an interrupted one goes on with as many."""
        if self.epochs is None:
            self.epochs = epochs()
            self.keep()

    def keep(self) -> None:
        """Write what is known."""
        write_sealed(self._path, {"format": CLOCK, "seconds": self.parts, "epochs": self.epochs})


def cpu_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


def epochs_for(budget: float, clock: Clock, spec: NetSpec, data: Data, options: RetrainOptions) -> int:
    """The whole epochs of this training that fit into what is left of a budget, by some timed steps; at least one."""
    training = prepare_network(spec, data, options)
    took, recipe = [], training.recipe
    for x, y in recipe.batches(0):
        began = cpu_seconds()
        train_step(recipe, training.state, x, y)
        took.append(cpu_seconds() - began)
        if len(took) == WARM_UP + TIMED:
            break
    step = statistics.mean(took[WARM_UP:])
    return max(1, int((budget - clock.seconds) / (step * recipe.steps_per_epoch)))


def mobilenetv2_within(setting: Setting, classes: int, seed: int) -> NetSpec:
    """The widest MobileNetV2 within the limit, whatever the seed."""
    del seed
    options = parse(RetrainOptions, ("--title", "x", "--search-space", "proxylessnas", *setting.shape), "", "")
    space = named_space(options, resolution=setting.resolution, num_classes=classes, in_channels=3)
    shape = (3, setting.resolution, setting.resolution)

    def cost(spec: NetSpec) -> float:
        macs = spec.macs(shape) / 1e6
        return macs if macs <= setting.limit else float("inf")

    return scaled_mobilenetv2(with_sites(space), cost, setting.limit)[0]


def random_within(setting: Setting, classes: int, seed: int) -> NetSpec:
    """A network of the searched space that uses the limit as what is found does, drawn uniformly."""
    options = parse(RetrainOptions, ("--title", "x", "--search-space", setting.space), "", "")
    space = with_sites(named_space(options, resolution=setting.resolution, num_classes=classes, in_channels=3))
    most = 1e6 * setting.limit
    band = Limit(build_table(space, "flops", setting.resolution), lower=BAND * most, upper=most)
    drawn = Limits(space, [band]).sample(Random(seed))
    assert drawn is not None
    return space.decode(drawn)


def train_alone(
    draw: Callable[[Setting, int, int], NetSpec],
    setting: Setting, folder: Path, seed: int, budget: float, clock: Clock,
) -> Path:  # fmt: skip
    """A network that nothing was searched for, from random weights; returns the folder of its training."""
    output = folder / "retrain"
    flags = ("--output", str(output), "--random-seed", str(seed), *setting.data, *setting.alone, *COMMON)
    options = parse(RetrainOptions, flags, "", "")
    with clock.part("retrain"):
        data = load_data(options, setting.resolution)
        spec = draw(setting, len(data.classes), seed)
        clock.decide(lambda: epochs_for(budget, clock, spec, data, options))
        options = parse(RetrainOptions, (*flags, "--epochs", str(clock.epochs)), "", "")
        with RunFolder.create(output, options, resume=has_begun(output)) as run:
            retrain(spec, data, options, run)
    return output


def search_and_train(setting: Setting, folder: Path, seed: int, budget: float, clock: Clock) -> Path:
    """The three stages; returns the folder of the last one."""
    common = ("--title", folder.name, "--root-path", str(folder.parent), "--random-seed", str(seed), *setting.data)
    common += COMMON
    for stage, main, flags in (
        ("supernet", main_train_supernet, (*setting.train, *common)),
        ("search", main_search, (*setting.search, *common, "--target-hc", str(setting.limit))),
    ):
        if not (folder / stage / STAGES[stage].result).is_file():
            with clock.part(stage):
                main([*flags, *(["--resume"] if has_begun(folder / stage) else [])])
    flags = (*setting.retrain, *common)
    with clock.part("retrain"):
        options = parse(RetrainOptions, flags, "", "")
        data = load_data(options, setting.resolution)
        chosen = choose_architecture(options, data)
        spec = chosen.space.decode(chosen.architecture)
        clock.decide(lambda: epochs_for(budget, clock, spec, data, options))
        resume = ["--resume"] if has_begun(folder / "retrain") else []
        main_retrain([*flags, "--epochs", str(clock.epochs), *resume])
    return folder / "retrain"


WORK: dict[str, Callable[[Setting, Path, int, float, Clock], Path]] = {
    FOUND: search_and_train,
    RANDOM: partial(train_alone, random_within),
    BASELINE: partial(train_alone, mobilenetv2_within),
}


def measure(setting: Setting, folder: Path, arm: str, seed: int, minutes: float) -> dict[str, Any]:
    """The row of one arm, seed and budget."""
    place = folder / f"{minutes:g}-minutes-seed{seed}-{arm}"
    place.mkdir(parents=True, exist_ok=True)
    clock = Clock(place / "clock.json")
    result = read_sealed(WORK[arm](setting, place, seed, 60 * minutes, clock) / "result.json", RETRAINED)
    return {
        "arm": arm, "seed": seed, "minutes": minutes, "test_accuracy": result["test_accuracy"], "macs": result["macs"],
        "params": result["params"], "epochs": clock.epochs, "seconds": round(clock.seconds, 1),
        "parts": {name: round(seconds, 1) for name, seconds in clock.parts.items()}, "names": result["names"],
    }  # fmt: skip


def print_table(rows: Sequence[dict[str, Any]], minutes: Sequence[float]) -> None:
    """The rows, and for each budget the mean difference of the pairs with its 95 % interval (Student's t)."""
    for budget in minutes:
        accuracy = {(row["arm"], row["seed"]): 100 * row["test_accuracy"] for row in rows if row["minutes"] == budget}
        for row in rows:
            if row["minutes"] == budget:
                parts = ", ".join(f"{name} {seconds:.0f}" for name, seconds in row["parts"].items())
                print(
                    f"{budget:g} min  {row['arm']:12} seed {row['seed']}  test {100 * row['test_accuracy']:.2f} %  "
                    f"{row['macs'] / 1e6:.2f} M  {row['epochs']} epochs  {row['seconds']:.0f} s ({parts})"
                )
        for other in (RANDOM, BASELINE):
            seeds = [seed for arm, seed in accuracy if arm == FOUND and (other, seed) in accuracy]
            differences = np.array([accuracy[FOUND, seed] - accuracy[other, seed] for seed in seeds])
            if len(differences) > 1:
                half = stats.t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / len(differences) ** 0.5
                print(
                    f"{budget:g} min  {FOUND} less {other}: {differences.mean():+.2f} points (95 % interval "
                    f"{differences.mean() - half:+.2f} to {differences.mean() + half:+.2f}), {len(differences)} pairs"
                )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is missing and print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/pays_for_itself"), help="of all runs and rows")
    parser.add_argument("--minutes", type=float, nargs="+", default=[2.0], help="CPU minutes of an arm (default: 2)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--arm", choices=ARMS, help="measure one arm here (default: both)")
    parser.add_argument("--small", action="store_true", help="digits at 16 px for some seconds each")
    asked = parser.parse_args(argv)
    setting = SMALL if asked.small else CIFAR10
    if not asked.small and "NAS_SHARED_DATA" not in os.environ:
        print("needs NAS_SHARED_DATA, the folder of cifar10_jpeg.npz")
        return 0
    budgets = [SMALL_MINUTES] if asked.small else asked.minutes
    asked.folder.mkdir(parents=True, exist_ok=True)
    os.environ[CACHE] = str(asked.folder)
    if not asked.small:
        images(None)  # decoded before any clock runs
    path = asked.folder / "rows.jsonl"
    for minutes, seed, arm in product(budgets, asked.seeds, [asked.arm] if asked.arm else ARMS):
        done = {(row["arm"], row["seed"], row["minutes"]) for row in kept_rows(path)}
        if (arm, seed, minutes) not in done:
            append_sealed(path, measure(setting, asked.folder, arm, seed, minutes))
    print_table(kept_rows(path), budgets)
    return 0


def kept_rows(path: Path) -> list[dict[str, Any]]:
    """The rows so far."""
    return read_sealed_jsonl(path) if path.is_file() else []


if __name__ == "__main__":
    sys.exit(main())
