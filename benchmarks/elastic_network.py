"""MobileNetV2 made elastic and cut below half its MACs, against MobileNetV2 with all widths scaled to the same MACs.

    NAS_SHARED_DATA=FOLDER python -m benchmarks.elastic_network --folder runs/elastic_network --seeds 3

CIFAR-10 (JPEG). Elastic: the network is trained, becomes a space with its channels sorted, is trained on with a random
architecture in each step; the best of some random architectures below half of the MACs (on training images that are
kept aside) is taken out and trained on. Uniform: the network of the `width_mult` with the nearest MACs is trained for
as many steps on as many images in all, in one go. Both by SGD with a cosine; test images are looked at once.
Rows are appended as they come, and read where they are there; seconds are CPU seconds.
"""

import argparse
import csv
import io
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

from supernet.elastic.space import ElasticSpace, build_elastic
from supernet.elastic.weights import fill_elastic
from supernet.supernet import Supernet, extract
from training.bn_calibration import calibrate_batch_norm

WIDTH = 0.5
NETWORK = "elastic:torchvision.models.mobilenet_v2,width_mult={:g}"
KEPT, BATCH, RATE, WARMUP = 1000, 64, 0.02, 0.1
COLUMNS = ("seed", "kind", "macs", "accuracy", "seconds")
Forward = Callable[[Tensor], Tensor]


class Images:
    """Training images, some of them kept aside for choosing, and test images, normalised."""

    def __init__(self, train: int, test: int) -> None:
        packed = np.load(Path(os.environ["NAS_SHARED_DATA"]) / "cifar10_jpeg.npz", allow_pickle=False)
        rows, ends, content = [*range(train + KEPT), *range(50_000, 50_000 + test)], packed["offset"], packed["jpeg"]
        files = (io.BytesIO(content[ends[row] : ends[row + 1]].tobytes()) for row in rows)
        x = np.stack([np.asarray(Image.open(file)) for file in files])
        self.x = torch.from_numpy(x).permute(0, 3, 1, 2).float().div(127.5).sub(1).mul(2)
        self.y = torch.from_numpy(packed["label"][rows].astype(np.int64))
        self.train = train
        self.kept, self.test = slice(train, train + KEPT), slice(train + KEPT, None)

    def accuracy(self, forward: Forward, part: slice) -> float:
        """Percent right."""
        with torch.inference_mode():
            found = [forward(x).argmax(1) for x in self.x[part].split(250)]
        return float((torch.cat(found) == self.y[part]).float().mean()) * 100


def fit(forward: Callable[[Tensor, int], Tensor], parameters: Iterable[nn.Parameter], images: Images, steps: int,
        seed: int) -> None:  # fmt: skip
    """Train by SGD with a cosine; every batch is drawn, and mirrored by half, as (seed, step) say."""
    optimizer = torch.optim.SGD(parameters, RATE, momentum=0.9, nesterov=True, weight_decay=1e-4)
    warmup = WARMUP * steps
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, 0.5 + 0.5 * math.cos(math.pi * step / steps))
    )
    for step in range(steps):
        generator = torch.Generator().manual_seed(seed * 10**6 + step)
        rows = torch.randint(images.train, (BATCH,), generator=generator)
        x = images.x[rows]
        x = torch.where(torch.rand((BATCH, 1, 1, 1), generator=generator) < 0.5, x.flip(3), x)
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(forward(x, step), images.y[rows]).backward()
        optimizer.step()
        schedule.step()


def elastic(images: Images, seed: int, steps: int, drawn: int) -> tuple[int, float]:
    """MACs and test accuracy in percent of what is cut out of the elastic network; three trainings of `steps`."""
    space = build_elastic(NETWORK.format(WIDTH), 32, 10, 3)
    assert space.origin is not None
    torch.manual_seed(seed)
    whole = space.origin.network.build(10, 3, 32)
    fit(lambda x, _: whole.train()(x), whole.parameters(), images, steps, seed)
    supernet = Supernet(space)
    fill_elastic(supernet, "the network", whole.state_dict())
    rng = random.Random(seed)
    paths = [space.sample(rng) for _ in range(steps)]
    fit(lambda x, step: supernet.train()(x, paths[step]), supernet.parameters(), images, steps, seed + 100)
    limit = macs(space, tuple(size - 1 for size in space.sizes)) // 2
    best, chosen = -1.0, paths[0]
    calibration = list(images.x[:512].split(128))
    for _ in range(drawn):
        architecture = space.sample(rng)
        while not 0.8 * limit <= macs(space, architecture) <= limit:
            architecture = space.sample(rng)
        network = extract(supernet, architecture)
        calibrate_batch_norm(network, calibration)
        accuracy = images.accuracy(network.eval(), images.kept)
        if accuracy > best:
            best, chosen = accuracy, architecture
    network = extract(supernet, chosen).train()
    fit(lambda x, _: network.train()(x), network.parameters(), images, steps, seed + 200)
    return macs(space, chosen), images.accuracy(network.eval(), images.test)


def macs(space: ElasticSpace, architecture: tuple[int, ...]) -> int:
    """Multiply-accumulates of an architecture."""
    return space.decode(architecture).macs(space.input_shape)


@cache
def scaled() -> list[tuple[int, ElasticSpace]]:
    """Networks of other widths and their MACs. Widths are rounded to eights, so that few of them differ."""
    spaces = [build_elastic(NETWORK.format(share * WIDTH), 32, 10, 3) for share in np.arange(0.3, 0.9, 0.025)]
    return [(macs(space, tuple(size - 1 for size in space.sizes)), space) for space in spaces]


def uniform(images: Images, seed: int, steps: int, limit: int) -> tuple[int, float]:
    """MACs and test accuracy in percent of the network scaled to the nearest MACs; one training of `steps`."""
    cost, space = min(scaled(), key=lambda pair: abs(pair[0] - limit))
    assert space.origin is not None
    torch.manual_seed(seed)
    network = space.origin.network.build(10, 3, 32)
    fit(lambda x, _: network.train()(x), network.parameters(), images, steps, seed)
    return cost, images.accuracy(network.eval(), images.test)


def main() -> None:
    """Run what is not in the table yet, and print the paired difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=250, help="of each of the elastic network's three trainings")
    parser.add_argument("--drawn", type=int, default=20, help="random architectures that the best is chosen of")
    parser.add_argument("--images", type=int, default=20_000)
    options = parser.parse_args()
    if "NAS_SHARED_DATA" not in os.environ:
        print("needs NAS_SHARED_DATA, the folder of cifar10_jpeg.npz")
        sys.exit(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    table = options.folder / "elastic_network.csv"
    rows = [row for row in csv.reader(table.open()) if row] if table.exists() else []
    done = {(int(seed), kind): (int(cost), float(accuracy)) for seed, kind, cost, accuracy, _ in rows}
    images = Images(options.images, 10_000)
    for seed in range(options.seeds):
        for kind in ("elastic", "uniform"):
            if (seed, kind) not in done:
                begun = time.process_time()
                if kind == "elastic":
                    found = elastic(images, seed, options.steps, options.drawn)
                else:
                    found = uniform(images, seed, 3 * options.steps, done[seed, "elastic"][0])
                done[seed, kind] = found
                with table.open("a", newline="") as file:
                    csv.writer(file).writerow([seed, kind, *found, round(time.process_time() - begun, 1)])
            print(f"seed {seed}, {kind}: {done[seed, kind][0]:,} MACs, {done[seed, kind][1]:.2f} %", flush=True)
    pairs = [(done[seed, "elastic"][1], done[seed, "uniform"][1]) for seed in range(options.seeds)]
    gains = np.array([ours - theirs for ours, theirs in pairs])
    half = (
        stats.t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / math.sqrt(len(gains)) if len(gains) > 1 else math.nan
    )
    print(f"elastic minus uniform: {gains.mean():+.2f} points, 95 % interval {gains.mean() - half:+.2f} to "
          f"{gains.mean() + half:+.2f} ({len(gains)} seeds)")  # fmt: skip


if __name__ == "__main__":
    main()
