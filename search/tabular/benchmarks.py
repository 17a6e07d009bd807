"""The benchmarks by name: their space, their data sets, what they measure, and which architectures share a row."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial

from search.tabular.nasbench101 import cell_features as nb101_features
from search.tabular.nasbench101 import cell_hash as nb101_hash
from search.tabular.nasbench_asr import SPACE as ASR
from search.tabular.nasbench_asr import cell_hash as asr_hash
from supernet import Architecture
from supernet.decisions import DecisionSpace
from supernet.spaces import build_network_space

Key = Callable[[Architecture], Hashable]


def itself(architecture: Architecture) -> Architecture:
    """The key of a table that has a row for every encoding."""
    return architecture


@dataclass(frozen=True)
class Kind:
    """A published benchmark.

    Args:
        title: of the paper.
        datasets: {name: (classes, pixels of an image)}; the first one is meant where none is named.
        space: (classes, pixels) -> the architectures.
        keys: {what the keys of a file are: the key of an architecture}; two with one key share a row.
        metric: what it measures, a fraction.
        maximise: whether more of it is better.
    """

    title: str
    datasets: Mapping[str, tuple[int, int]]
    space: Callable[[int, int], DecisionSpace]
    keys: Mapping[str, Key] = field(default_factory=lambda: {"architecture": itself})
    metric: str = "accuracy"
    maximise: bool = True


def _networks(name: str, classes: int, pixels: int) -> DecisionSpace:
    return build_network_space(name, resolution=pixels, num_classes=classes)


BENCHMARKS: dict[str, Kind] = {
    "nasbench101": Kind(
        "NAS-Bench-101",
        {"cifar10": (10, 32)},
        partial(_networks, "nasbench101"),
        {"hash": nb101_hash, "features": nb101_features},
    ),
    "nasbench201": Kind(
        "NAS-Bench-201",
        {"cifar10": (10, 32), "cifar100": (100, 32), "ImageNet16-120": (120, 16)},
        partial(_networks, "nasbench201"),
    ),
    "nasbench_asr": Kind(
        "NAS-Bench-ASR",
        {"timit": (0, 0)},
        lambda classes, pixels: ASR,
        {"hash": lru_cache(2**16)(asr_hash)},
        metric="phone_error_rate",
        maximise=False,
    ),
    "nasbench_macro": Kind("NAS-Bench-Macro", {"cifar10": (10, 32)}, partial(_networks, "nasbench_macro")),
}
