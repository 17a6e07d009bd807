"""Zero-cost scores on NAS-Bench-201: how far ours agree with published ones and with accuracies, and their seconds.

    NAS_SHARED_DATA=FOLDER python -m benchmarks.zero_cost_scores --networks 725 --keep scores.npz

Networks are drawn from the 725 whose scores are published (`nb201_zc_sample.npz`), each with PyTorch's own fresh
weights, scored on one batch of CIFAR-10 (JPEG) without augmentation. Zen-score is compared with the column of
`nb201.npz`. A computation that was ended goes on from --keep; fewer networks are the first ones of more.
"""

import argparse
import io
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import kendalltau, spearmanr

from search.corrected import log_rank
from search.proxies import SCORES, Sample
from supernet import Architecture, Network
from supernet.spaces.nasbench201 import nasbench201

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
AZ_NAS = ("az_expressivity", "az_progressivity", "az_trainability", "flops")


def batch(folder: Path, images: int, seed: int) -> Sample:
    """Training images of CIFAR-10, drawn with the seed."""
    packed = np.load(folder / "cifar10_jpeg.npz", allow_pickle=False)
    ends, content = packed["offset"], packed["jpeg"]
    rows = np.random.default_rng(seed).choice(50_000, images, replace=False)
    files = (io.BytesIO(content[ends[row] : ends[row + 1]].tobytes()) for row in rows)
    pixels = np.stack([np.asarray(Image.open(file)) for file in files]) / 255
    x = torch.tensor(((pixels - MEAN) / STD).transpose(0, 3, 1, 2), dtype=torch.float32)
    y = torch.tensor(packed["label"][rows].astype(np.int64))
    return Sample(x, y, 10, torch.nn.functional.cross_entropy)


def scored(
    networks: Sequence[Architecture], sample: Sample, seed: int, keep: Path | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, S) scores in the order of SCORES, and seconds of CPU; those in the file `keep` are taken from there."""
    space = nasbench201()
    values, seconds = np.full((2, len(networks), len(SCORES)), np.nan)
    begin = 0
    if keep is not None and keep.exists():
        with np.load(keep, allow_pickle=False) as kept:
            begin = min(len(networks), len(kept["values"]))
            values[:begin], seconds[:begin] = kept["values"][:begin], kept["seconds"][:begin]
    for row in range(begin, len(networks)):
        torch.manual_seed(seed)
        network = Network(space.decode(networks[row]))
        for column, score in enumerate(SCORES.values()):
            started = time.process_time()
            values[row, column] = score(network, sample)
            seconds[row, column] = time.process_time() - started
        if keep is not None:
            np.savez(new := keep.with_suffix(".new.npz"), values=values[: row + 1], seconds=seconds[: row + 1])
            new.replace(keep)
    return values, seconds


def main() -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description="Zero-cost scores on NAS-Bench-201.")
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="file (.npz) of what is scored, of the same images and seed")
    asked = parser.parse_args()
    if "NAS_SHARED_DATA" not in os.environ:
        print("needs NAS_SHARED_DATA, the folder of nb201.npz, nb201_zc_sample.npz and cifar10_jpeg.npz")
        return 0
    torch.set_num_threads(1)
    folder = Path(os.environ["NAS_SHARED_DATA"])
    table, published = (np.load(folder / name, allow_pickle=False) for name in ("nb201.npz", "nb201_zc_sample.npz"))
    sample = batch(folder, asked.images, asked.seed)
    chosen = np.random.default_rng(asked.seed).permutation(725)[: asked.networks]
    rows = published["arch_index"][chosen]
    networks = [tuple(architecture) for architecture in table["arch"][rows].tolist()]
    values, seconds = scored(networks, sample, asked.seed, asked.keep)
    theirs: dict[str, NDArray[np.floating]] = dict(
        zip(published["metrics"], published["score"][chosen, 0].T, strict=True)
    )
    theirs |= {"zen": table["zen"][rows, 0]}
    accuracy = table["test_acc_200"][rows, 0]
    scores = {name: _numbers(found) for name, found in zip(SCORES, values.T, strict=True)}
    taken = dict(zip(SCORES, seconds.mean(0).tolist(), strict=True))
    joined = np.sum([log_rank(scores[name]) for name in AZ_NAS], axis=0)
    print(f"{len(rows)} networks, {asked.images} images, seed {asked.seed}; Spearman's rho, Kendall's tau-b")
    print("| score | with published | with accuracy | published with accuracy | tau with accuracy | scores per CPU s |")
    print("|---|---|---|---|---|---|")
    for name, found in {**scores, "az_nas (joined)": joined}.items():
        known = theirs.get(name)
        with_theirs, of_theirs = ("", "") if known is None else (_rho(found, known), _rho(known, accuracy))
        spent = taken.get(name, sum(taken[part] for part in AZ_NAS))
        tau = kendalltau(found, accuracy).statistic
        cells = [f"`{name}`", with_theirs, _rho(found, accuracy), of_theirs, f"{tau:.3f}", f"{1 / spent:.3g}"]
        print(f"| {' | '.join(cells)} |")
    return 0


def _rho(first: NDArray[np.floating], second: NDArray[np.floating]) -> str:
    return f"{spearmanr(first, second).statistic:.3f}"


def _numbers(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values with the worst there is in the place of what is no number."""
    return np.where(np.isfinite(values), values, -np.inf)


if __name__ == "__main__":
    sys.exit(main())
