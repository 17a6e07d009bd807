"""CPU minutes from CIFAR-10's images to a NAS-Bench-Macro network within 0.3 points of the best of its budget.

    NAS_SHARED_DATA=FOLDER python -m benchmarks.time_to_network --data-path CIFAR10 --folder runs/time --seeds 3
    NAS_SHARED_DATA=FOLDER python -m benchmarks.time_to_network --small --folder runs/small      # a minute, on digits

A route trains a supernet (uniform or balanced, of the full width or a quarter, a proxy) and searches it (evolution, or
by a structure of its scores) within three budgets of MACs. Epochs double until what is found is good in all budgets or
the minutes are used up; each training is a schedule of its own, shared by the routes that begin with it. Good is the
published accuracy of training alone, which no route ever sees. Minutes are CPU minutes (user and system) of training
and search: of the last step of the ladder, and of all steps up to it, for whoever does not know the epochs. Beside the
routes stands what costs nothing: the most layers within the budget, and of these the most MACs, and a random network.

Rows are appended to rows.csv as they come; what is there already is not run again.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

from lookup_tables import build_table
from search.ranking.truth import load_truth
from supernet import build_space
from supernet.liveness import layers

REPOSITORY = Path(__file__).parent.parent
GOOD = 0.3
COLUMNS = ("route", "seed", "epochs", "budget", "training", "search", "architecture", "accuracy", "regret")
EVOLUTION = "--search-strategy evolution --population 20 --parent-num 5 --generation-num 10"
STRUCTURED = "--search-strategy structured --score structured --budget-evaluations 200"


@dataclass(frozen=True)
class Route:
    """A way to a network: how the supernet is trained, and how it is searched."""

    sampler: str
    width: float
    search: str

    @property
    def name(self) -> str:
        proxy = "" if self.width == 1 else f", proxy x {self.width:g}"
        return f"{self.sampler}{proxy}, {self.search.split()[1]}"


ROUTES = [
    Route(sampler, width, search)
    for sampler in ("uniform", "balanced")
    for width in (0.25, 1.0)
    for search in (EVOLUTION, STRUCTURED)
]


@dataclass(frozen=True)
class Setting:
    """The options that a full and a small measurement differ by."""

    training: str
    scoring: str
    minutes: float
    longest: int
    shares: tuple[float, ...] = (0.25, 0.5, 0.75)


FULL = Setting(
    "--dataset cifar10 --lr 0.06 --weight-decay 1e-4 --train-portion 0.9 --batch-size 64 --warmup-epochs 0.2",
    "--refit-head --calibration-images 512 --eval-images 1000",
    minutes=60,
    longest=32,
)
SMALL = Setting(
    "--dataset digits --resolution 8 --train-portion 0.1 --batch-size 64 --depths 2,3,3 --widths 8,8,8,16,32",
    "--refit-head --calibration-images 32 --eval-images 64",
    minutes=1,
    longest=1,
    shares=(0.5,),
)


def child_seconds(script: str, *words: str) -> float:
    """CPU seconds, user and system, of a stage in a process of its own. Raises CalledProcessError where it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, str(REPOSITORY / script), *words], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE, env=environment, text=True)  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


class Ladder:
    """Trainings and searches of one seed, in a folder, with the truth that judges them."""

    def __init__(self, folder: Path, seed: int, setting: Setting, data: Sequence[str]) -> None:
        self.folder, self.seed, self.setting, self.data = folder, seed, setting, data
        space = build_space("nasbench_macro", resolution=32, num_classes=10)
        truth = load_truth("nasbench_macro", space).accuracy
        self.networks = np.array(sorted(truth))
        self.accuracy = np.array([truth[tuple(row)] for row in self.networks.tolist()])
        # Costs by which truth is compared are those of the space that is searched.
        words = dict(zip(*[iter(setting.training.split())] * 2, strict=True))
        widths = tuple(map(int, words["--widths"].split(","))) if "--widths" in words else None
        searched = build_space("nasbench_macro", int(words.get("--resolution", 32)), 10, widths=widths)
        table = build_table(searched)
        self.cost = table.cost(self.networks)
        least, most = table.minimum()[0], table.maximum()[0]
        self.budgets = [round((least + share * (most - least)) / 1e6, 4) for share in setting.shares]
        self.layers = layers(space, self.networks)

    def inside(self, budget: float) -> np.ndarray:
        return self.cost <= budget * 1e6

    def regret(self, architecture: Sequence[int], budget: float) -> tuple[float, float]:
        """(accuracy, points below the best within the budget) of a network."""
        (at,) = np.flatnonzero((self.networks == np.array(architecture)).all(axis=1))
        assert self.inside(budget)[at], "a search left its budget"
        return float(self.accuracy[at]), float(self.accuracy[self.inside(budget)].max() - self.accuracy[at])

    def for_nothing(self) -> dict[str, list[float]]:
        """{baseline: points below the best of each budget}."""
        found: dict[str, list[float]] = {"most layers, then MACs": [], "a random one, on average": []}
        for budget in self.budgets:
            inside = np.flatnonzero(self.inside(budget))
            first = inside[np.lexsort((self.cost[inside], self.layers[inside]))[-1]]
            found["most layers, then MACs"].append(self.accuracy[inside].max() - self.accuracy[first])
            found["a random one, on average"].append(self.accuracy[inside].max() - self.accuracy[inside].mean())
        return found

    def training(self, route: Route, epochs: int) -> tuple[Path, float]:
        """The run folder of a trained supernet, and its CPU seconds; trained where it is not there."""
        title = f"{route.sampler}-{route.width:g}-{epochs}-s{self.seed}"
        noted = self.folder / title / "seconds.json"
        if not noted.is_file():  # an interrupted one starts anew: its seconds are not known
            width = [] if route.width == 1 else ["--width-mult", str(route.width)]
            seconds = child_seconds(
                "train_supernet.py", "--title", title, "--root-path", str(self.folder), "--search-space",
                "nasbench_macro", *self.setting.training.split(), *self.data, *width, "--sample-strategy",
                route.sampler, "--epochs", str(epochs), "--validate-every", str(epochs), "--random-seed",
                str(self.seed), "--threads", "1", "--no-tensorboard", "--overwrite",
            )  # fmt: skip
            noted.write_text(json.dumps(seconds))
        return self.folder / title, float(json.loads(noted.read_text()))

    def step(self, route: Route, epochs: int, budget: float) -> dict[str, Any]:
        """A row: what a route finds within a budget after so many epochs."""
        run, training = self.training(route, epochs)
        output = run / f"search-{route.search.split()[1]}-{budget:g}"
        # A proxy searches the space of full width.
        full = [] if route.width == 1 else ["--width-mult", "1"]
        seconds = child_seconds(
            "search.py", "--title", run.name, "--root-path", str(self.folder), "--output", str(output), *full,
            *route.search.split(), *self.setting.scoring.split(), "--confirm-images", "0", "--target-hc", str(budget),
            "--random-seed", str(self.seed), "--threads", "1", "--overwrite",
        )  # fmt: skip
        best = json.loads((output / "best.json").read_text())["architecture"]
        accuracy, regret = self.regret(best, budget)
        values = (route.name, self.seed, epochs, budget, training, seconds, "".join(map(str, best)), accuracy, regret)
        return dict(zip(COLUMNS, values, strict=True))


def climb(ladder: Ladder, route: Route, rows: list[dict[str, Any]], path: Path, minutes: float) -> None:
    """Double the epochs until the route is good in all budgets, or its minutes or epochs are used up."""
    epochs, spent = 1, 0.0
    while epochs <= ladder.setting.longest and spent < 60 * minutes:
        here = []
        for budget in ladder.budgets:
            key = (route.name, ladder.seed, epochs, budget)
            known = next((row for row in rows if tuple(row[name] for name in COLUMNS[:4]) == key), None)
            if known is None:
                known = ladder.step(route, epochs, budget)
                rows.append(known)
                new = not path.is_file()
                with path.open("a", newline="") as file:
                    writer = csv.DictWriter(file, COLUMNS)
                    if new:
                        writer.writeheader()
                    writer.writerow(known)
                print(
                    f"{route.name}, seed {ladder.seed}, {epochs} epochs, {budget} M: {known['regret']:.2f}", flush=True
                )
            here.append(known)
        if all(row["regret"] <= GOOD for row in here):
            return
        spent = max(row["training"] + row["search"] for row in here) * 2  # what the next step takes, about
        epochs *= 2


def reached(rows: Sequence[dict[str, Any]], route: str, seed: int, budget: float) -> tuple[float, float]:
    """(CPU minutes of the first step that is good, those of all steps up to it); infinite where none is."""
    own = [row for row in rows if (row["route"], row["seed"], row["budget"]) == (route, seed, budget)]
    total = 0.0
    for row in sorted(own, key=lambda row: row["epochs"]):
        minutes = (row["training"] + row["search"]) / 60
        total += minutes
        if row["regret"] <= GOOD:
            return minutes, total
    return np.inf, np.inf


def read(path: Path) -> list[dict[str, Any]]:
    """The rows that are there."""
    kinds = dict.fromkeys(COLUMNS, float) | {"route": str, "architecture": str, "seed": int, "epochs": int}
    with path.open(newline="") as file:
        return [{name: kinds[name](value) for name, value in row.items()} for row in csv.DictReader(file)]


def paired(rows: Sequence[dict[str, Any]], route: str, other: str, seeds: Sequence[int], budget: float) -> str:
    """Minutes less those of another route, paired by seed, with a 95 % interval by Student's t."""
    gaps = [reached(rows, route, seed, budget)[0] - reached(rows, other, seed, budget)[0] for seed in seeds]
    if len(gaps) < 2 or not np.isfinite(gaps).all():
        return "-"
    half = student.ppf(0.975, len(gaps) - 1) * np.std(gaps, ddof=1) / np.sqrt(len(gaps))
    return f"{np.mean(gaps):+.1f} ± {half:.1f}"


def main() -> None:
    """Run what is not there yet, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--data-path")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, help="CPU minutes of one step of a route, at most (60)")
    parser.add_argument(
        "--routes", default="", help="those whose names contain this, such as 'proxy x 0.25, evolution'"
    )
    parser.add_argument("--small", action="store_true", help="digits, one step: does it run?")
    arguments = parser.parse_args()
    setting, folder = SMALL if arguments.small else FULL, arguments.folder.resolve()
    data = ["--data-path", str(Path(arguments.data_path).resolve())] if arguments.data_path else []
    folder.mkdir(parents=True, exist_ok=True)
    path, seeds = folder / "rows.csv", range(1, 1 + (1 if arguments.small else arguments.seeds))
    rows = read(path) if path.is_file() else []
    routes = [route for route in ROUTES if arguments.routes in route.name]
    ladders = [Ladder(folder, seed, setting, data) for seed in seeds]
    work = partial(climb, rows=rows, path=path, minutes=arguments.minutes or setting.minutes)
    for ladder in ladders:
        for route in routes:
            work(ladder, route)
    budgets = ladders[0].budgets
    for name, regrets in ladders[0].for_nothing().items():
        print(
            f"0 minutes, {name}: "
            + ", ".join(f"{r:.2f} points at {b} M" for r, b in zip(regrets, budgets, strict=True))
        )
    for route in routes:
        for budget in budgets:
            found = [reached(rows, route.name, seed, budget) for seed in seeds]
            shown = ", ".join(
                "never" if np.isinf(one) else f"{one:.1f} (all steps {total:.1f})" for one, total in found
            )
            other = "" if route is routes[0] else f"; less {routes[0].name}: "
            gap = paired(rows, route.name, routes[0].name, seeds, budget) if other else ""
            print(f"{route.name}, {budget} M MACs: CPU minutes {shown}{other}{gap}")


if __name__ == "__main__":
    main()
