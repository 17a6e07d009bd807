"""Networks of a supernet that was trained by the sandwich rule, against the same networks trained alone.

    python -m benchmarks.sandwich_networks --data-path CIFAR10 --folder runs/sandwich [--portion 0.3] [--epochs 2]

CIFAR-10 and the chain of config_file/spaces/cifar10_fast.yml (kernels, expansions and depths of shared weights) at a
share of its width. Three supernets take four paths per step: by the sandwich rule with in-place distillation, by the
sandwich rule with labels for all four, and random ones. The smallest network, the largest and five random ones between
them are then taken out, their batch norms calibrated, and judged by 5,000 test images. The same seven networks are
trained alone, each on as many images in as many steps, by the same recipe. Rows are appended as they come and read
where they are there; seconds are CPU seconds.
"""

import argparse
import csv
import math
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import nn

from supernet import Architecture, SearchSpace, extract
from training.bn_calibration import calibrate_batch_norm
from training.data import Data
from training.evaluate import score
from training.extremes import extremes
from training.loop import fit
from training.options import RetrainOptions, TrainSupernetOptions
from training.retrain import prepare_network
from training.train_supernet import prepare_supernet
from training.trainer import Silent

SUPERNETS: dict[str, dict[str, Any]] = {
    "sandwich": {"sample_strategy": "sandwich"},
    "labels": {"sample_strategy": "sandwich", "distill_in_place": False},
    "uniform": {"sample_strategy": "uniform", "paths_per_step": 4},
}
ALONE = "alone"
CALIBRATION, TESTED, BETWEEN = 2048, 5000, 5
COLUMNS = ("seed", "kind", "network", "macs", "accuracy", "seconds")


def networks(space: SearchSpace, seed: int) -> list[Architecture]:
    """The smallest, five random ones by rising MACs, and the largest."""
    ends, rng = extremes(space), random.Random(seed)
    drawn = [space.canonical(space.sample(rng)) for _ in range(BETWEEN)]
    return [ends.smallest, *sorted(drawn, key=lambda architecture: macs(space, architecture)), ends.largest]


def macs(space: SearchSpace, architecture: Architecture) -> int:
    """Multiply-accumulates of an image."""
    return space.decode(architecture).macs(space.input_shape)


def accuracy(network: nn.Module, data: Data) -> float:
    """Percent of the test images that are classified right, with batch norms calibrated on training images."""
    batches = data.train.batches(256, seed=0, shuffle=True, limit=CALIBRATION)
    calibrate_batch_norm(network, [x for x, _ in batches])
    return 100 * score(network.eval(), data.test.batches(250, limit=TESTED), torch.device("cpu")).value


class Table:
    """Rows that are there, and those that come."""

    def __init__(self, path: Path) -> None:
        self.path = path
        rows = [row for row in csv.reader(path.open()) if row] if path.exists() else []
        self.found = {(int(seed), kind, int(network)): float(value) for seed, kind, network, _, value, _ in rows}

    def add(self, seed: int, kind: str, network: int, cost: int, value: float, seconds: float) -> None:
        """Keep one, and say it."""
        self.found[seed, kind, network] = value
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow([seed, kind, network, cost, round(value, 2), round(seconds, 1)])
        print(
            f"seed {seed} {kind:9} network {network} {cost / 1e6:6.2f} M MACs {value:6.2f} %  {seconds:.0f} s",
            flush=True,
        )


def run(seed: int, recipe: dict[str, Any], table: Table) -> None:
    """Everything of one seed that is not in the table."""
    job = prepare_supernet(TrainSupernetOptions(**recipe, random_seed=seed))
    space, data = job.trainer.context.space, job.data
    chosen = networks(space, seed)
    for kind, changes in SUPERNETS.items():
        if all((seed, kind, number) in table.found for number in range(len(chosen))):
            continue
        begun = time.process_time()
        job = prepare_supernet(TrainSupernetOptions(**recipe, **changes, random_seed=seed))
        fit(job.recipe, job.state, Silent())
        seconds = time.process_time() - begun
        for number, architecture in enumerate(chosen):
            value = accuracy(extract(job.trainer.context.supernet, architecture), data)
            table.add(seed, kind, number, macs(space, architecture), value, seconds)
    for number, architecture in enumerate(chosen):
        if (seed, ALONE, number) in table.found:
            continue
        begun = time.process_time()
        given = RetrainOptions(**recipe, train_on="train", random_seed=seed)
        alone = prepare_network(space.decode(architecture), data, given)
        fit(alone.recipe, alone.state, Silent())
        value = accuracy(alone.state.trained, data)
        table.add(seed, ALONE, number, macs(space, architecture), value, time.process_time() - begun)


def interval(differences: Sequence[float]) -> str:
    """Their mean and its 95 % t interval."""
    values = np.array(differences)
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return f"{values.mean():+.2f} points, 95 % interval {values.mean() - half:+.2f} to {values.mean() + half:+.2f}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--data-path", required=True, help="CIFAR-10, as --dataset cifar10 reads it")
    parser.add_argument("--portion", type=float, default=0.3, help="of the training images (default: 0.3)")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--width-mult", type=float, default=0.5)
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args(argv)
    asked.folder.mkdir(parents=True, exist_ok=True)
    table = Table(asked.folder / "sandwich_networks.csv")
    recipe = {
        "title": "sandwich", "root_path": str(asked.folder), "dataset": "cifar10", "data_path": asked.data_path,
        "search_space": "config_file/spaces/cifar10_fast.yml", "width_mult": asked.width_mult, "batch_size": 64,
        "train_portion": asked.portion, "epochs": asked.epochs, "lr": 0.1, "warmup_epochs": 0.2, "weight_decay": 4e-4,
        "threads": 1, "tensorboard": False,
    }  # fmt: skip
    for seed in range(1, 1 + asked.seeds):
        run(seed, recipe, table)
    pairs = [key[::2] for key in table.found if key[1] == ALONE]
    for first, second in (*((kind, ALONE) for kind in SUPERNETS), ("sandwich", "uniform"), ("labels", "uniform")):
        gains = [table.found[seed, first, n] - table.found[seed, second, n] for seed, n in pairs]
        print(f"{first} less {second}: {interval(gains)} ({len(gains)} networks)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
