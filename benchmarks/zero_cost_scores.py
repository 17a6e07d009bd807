"""Zero-cost scores on NAS-Bench-201: how far ours agree with published ones and with accuracies, and their seconds.

    NAS_SHARED_DATA=FOLDER python -m benchmarks.zero_cost_scores --networks 100

Networks are drawn from the 725 whose scores are published (`nb201_zc_sample.npz`), each with PyTorch's own fresh
weights, scored on one batch of CIFAR-10 (JPEG) without augmentation. Zen-score is compared with the column of
`nb201.npz`.
"""

import argparse
import io
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import kendalltau, spearmanr

from search.corrected import log_rank
from search.proxies import SCORES, Sample
from supernet import Network
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


def main() -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description="Zero-cost scores on NAS-Bench-201.")
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if "NAS_SHARED_DATA" not in os.environ:
        print("needs NAS_SHARED_DATA, the folder of nb201.npz, nb201_zc_sample.npz and cifar10_jpeg.npz")
        return 0
    torch.set_num_threads(1)
    folder = Path(os.environ["NAS_SHARED_DATA"])
    table, published = (np.load(folder / name, allow_pickle=False) for name in ("nb201.npz", "nb201_zc_sample.npz"))
    sample, space = batch(folder, asked.images, asked.seed), nasbench201()
    chosen = np.sort(np.random.default_rng(asked.seed).choice(725, min(asked.networks, 725), replace=False))
    rows = published["arch_index"][chosen]
    values: dict[str, list[float]] = {name: [] for name in SCORES}
    seconds = dict.fromkeys(SCORES, 0.0)
    for row in rows:
        torch.manual_seed(asked.seed)
        network = Network(space.decode(tuple(table["arch"][row].tolist())))
        for name, score in SCORES.items():
            started = time.process_time()
            values[name].append(score(network, sample))
            seconds[name] += time.process_time() - started
    theirs: dict[str, NDArray[np.floating]] = dict(
        zip(published["metrics"], published["score"][chosen, 0].T, strict=True)
    )
    theirs |= {"zen": table["zen"][rows, 0]}
    accuracy = table["test_acc_200"][rows, 0]
    scores = {name: _numbers(found) for name, found in values.items()}
    joined = np.sum([log_rank(scores[name]) for name in AZ_NAS], axis=0)
    print(f"{len(rows)} networks, {asked.images} images, seed {asked.seed}; Spearman's rho, Kendall's tau-b")
    print("| score | with the published | with accuracy | the published with accuracy | tau with accuracy | CPU s |")
    print("|---|---|---|---|---|---|")
    for name, found in {**scores, "az_nas (joined)": joined}.items():
        known = theirs.get(name)
        with_theirs, of_theirs = ("", "") if known is None else (_rho(found, known), _rho(known, accuracy))
        spent = sum(seconds[part] for part in AZ_NAS) if name not in seconds else seconds[name]
        tau = kendalltau(found, accuracy).statistic
        cells = [f"`{name}`", with_theirs, _rho(found, accuracy), of_theirs, f"{tau:.3f}", f"{spent / len(rows):.2f}"]
        print(f"| {' | '.join(cells)} |")
    return 0


def _rho(first: NDArray[np.floating], second: NDArray[np.floating]) -> str:
    return f"{spearmanr(first, second).statistic:.3f}"


def _numbers(found: list[float]) -> NDArray[np.float64]:
    """The values with the worst there is in the place of what is no number."""
    values = np.array(found)
    return np.where(np.isfinite(values), values, -np.inf)


if __name__ == "__main__":
    sys.exit(main())
