"""Small networks of every kind of block, and a retrain folder as the training room leaves it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits

from deployment.retrained import normalised
from deployment.weights import save_network
from supernet import Block, NetSpec, Network, Node, build_space
from supernet.blocks import BatchNormAct, Conv, Head, Pool, Zero
from supernet.composites import InvertedResidual, ShuffleBlock

MEAN, STD = (0.3, 0.4, 0.5), (0.5, 0.6, 0.7)
SIDE = 16
SHAPE = (3, SIDE, SIDE)

FAMILIES: dict[str, tuple[Block, ...]] = {
    "inverted residual, relu6": (InvertedResidual(16, 5, 3), InvertedResidual(24, 3, 6, stride=2)),
    "squeeze-excite, hard-swish": (InvertedResidual(16, 3, 4, act="hswish", se=True),),
    "shuffle": (ShuffleBlock(16), ShuffleBlock(32, 5, 2), ShuffleBlock(32, xception=True)),
    "grouped with channel shuffle": (InvertedResidual(16, 3, 1, groups=2, always_expand=True),),
    "no classifier bias": (Conv(32, act="relu"), Head(10, bias=False)),
    "batch norm after an activation": (BatchNormAct(), Conv(16, 3, pre_activation=True, act="relu"), BatchNormAct()),
}


def chain(*blocks: Block) -> Network:
    """Stem, blocks and, unless the last one is a classifier, dropout and classifier; used for a while."""
    head = () if isinstance(blocks[-1], Head) else (Head(10, dropout=0.2),)
    names = ["input", "stem", *(f"block/{i}" for i in range(len(blocks))), "head"]
    rows = zip(names[1:], (Conv(16, 3, 2), *blocks, *head), names[:-1], strict=False)
    return used(Network(NetSpec(tuple(Node(site, block, (before,)) for site, block, before in rows))))


def cell() -> Network:
    """Nodes that read several inputs: sums, a concatenation, pooling, `none`."""
    nodes = (
        Node("stem", Conv(8, 3, 2), ("input",)),
        Node("conv", Conv(8, 3, pre_activation=True, act="relu"), ("stem",)),
        Node("zero", Zero(), ("stem",)),
        Node("mean", Pool("avg"), ("stem",)),
        Node("max", Pool("max"), ("stem",)),
        Node("sum", BatchNormAct(), ("conv", "zero", "mean")),
        Node("both", Pool("mean2x2"), ("sum", "max"), "concat"),
        Node("head", Head(10), ("both",)),
    )
    return used(Network(NetSpec(nodes)))


def all_identity() -> Network:
    """The NAS-Bench-Macro network in which every layer that may be skipped is."""
    space = build_space("nasbench_macro", resolution=32, num_classes=10)
    return used(Network(space.decode(space.parse(["identity"] * len(space.decisions)))))


def used(network: Network) -> Network:
    """Give it running statistics and affine parameters of its own, logits of size one, and the left-over train mode."""
    torch.manual_seed(0)
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1:
            parameter.data.uniform_(0.5, 1.5) if name.endswith("weight") else parameter.data.normal_(0, 0.2)
    network.train()
    for _ in range(4):
        logits = network(torch.randn(8, 3, 32, 32))
    classifier = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
    classifier.weight.data /= logits.std().detach()
    return network


def digits(count: int, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """Real images: uint8 (count, side, side, 3) and labels (count,)."""
    data = load_digits()
    pixels = [
        np.asarray(Image.fromarray(np.rint(image * 255 / 16).astype(np.uint8)).resize((side, side), Image.BILINEAR))
        for image in data.images[:count]
    ]
    return np.stack([np.stack([image] * 3, -1) for image in pixels]), data.target[:count].astype(np.int64)


def retrain_folder(folder: Path, network: Network | None = None, **metadata: Any) -> Path:
    """Write model.safetensors and samples.npz of a network that answers every sample rightly; give the folder."""
    if network is None:
        network = chain(*FAMILIES["inverted residual, relu6"])
    folder.mkdir(parents=True, exist_ok=True)
    images, _ = digits(8)
    with torch.no_grad():
        logits = network.eval()(torch.from_numpy(normalised(images, MEAN, STD))).numpy()
    described = {
        "search_space": "proxylessnas",
        "space_options": {"resolution": SIDE},
        "architecture": [random.randrange(7) for _ in range(2)],
        "names": ["k5e3", "k3e6"],
        "classes": [f"digit {i}" for i in range(10)],
        "mean": MEAN,
        "std": STD,
        "resolution": SIDE,
        "dataset": "digits",
        "test_accuracy": 0.9876,
        "val_accuracy": None,
    }
    save_network(folder / "model.safetensors", network, described | metadata)
    np.savez(folder / "samples.npz", images=images, labels=logits.argmax(1), logits=logits)
    return folder
