"""Tables in the form of a benchmark whose numbers mean nothing, to try a search on where the real ones are not at hand.

They are random, but not without order: neighbours resemble each other, short trainings rank like long ones with some
noise, scores know something of accuracies, and large networks take longer.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.tabular.benchmark import Benchmark, Vector
from search.tabular.benchmarks import BENCHMARKS
from supernet import Architecture

RUNGS = {
    "nasbench101": (4, 12, 36, 108),
    "nasbench201": (12, 25, 50, 100, 200),
    "nasbench_asr": (10, 12, 20, 30, 40),
    "nasbench_macro": (50,),
}
"""Epochs after which published searches look at the networks of a benchmark."""

SCORES = {"synflow": 0.8, "grad_norm": 0.5, "nwot": 0.7}
"""{zero-cost score: the share of the quality of a network that it knows}."""


def generate(name: str, dataset: str | None = None, epochs: Sequence[int] = (), seed: int = 0) -> Benchmark:
    """A table of all of a benchmark's space, a function of the arguments.

    Args:
        name: in `BENCHMARKS`.
        dataset: None: its first.
        epochs: rising; none: those of `RUNGS`.

    Raises:
        ValueError: epochs that do not rise.
    """
    kind = BENCHMARKS[name]
    dataset, epochs = dataset or next(iter(kind.datasets)), tuple(epochs) or RUNGS[name]
    keying, keys, codes = _rows(name)
    rng = np.random.default_rng([seed, *map(ord, name + dataset)])
    # 1. A quality that each decision adds to, and each pair of neighbouring ones a little.
    quality = _standard(_additive(codes, rng) + 0.3 * _additive(codes[:, 1:] * 16 + codes[:, :-1], rng))
    size = _standard(_additive(codes, rng) + 0.5 * quality)
    # 2. After the last epoch it is the accuracy; before, there is less of it, and chance has more to say.
    part = np.array(epochs) / epochs[-1]
    chance = rng.standard_normal((len(codes), len(epochs))) * (0.05 + 0.4 * (1 - part))
    shown = (quality[:, None] + chance) / 4 - 1.5 * (1 - part) ** 4
    fractions = 1 / (1 + np.exp(-(2 + shown)))
    final = 1 / (1 + np.exp(-(2 + (quality + 0.05 * rng.standard_normal(len(codes))) / 4)))
    # 3. What it takes grows with the size; the speech benchmark does not say it.
    seconds = np.exp(0.5 * size)[:, None] * np.array(epochs) * (0 if name == "nasbench_asr" else 10)
    scores = {
        score: (
            know * quality + np.sqrt(1 - know**2) * rng.standard_normal(len(codes)),
            0.5 * np.exp(0.1 * rng.standard_normal(len(codes))),
        )
        for score, know in SCORES.items()
    }
    return Benchmark(
        name,
        dataset,
        keys,
        tuple(epochs),
        fractions if kind.maximise else 1 - fractions,
        final if kind.maximise else 1 - final,
        seconds,
        np.round(1e6 * np.exp(size)),
        np.round(1e8 * np.exp(size)),
        scores,
        keying,
        notes=[f"generated with seed {seed}: its numbers mean nothing"],
    )


def _rows(name: str) -> tuple[str, NDArray[Any], NDArray[np.int64]]:
    """(kind of keys, keys, (N, D) small numbers that describe the rows) of all of a space."""
    kind = BENCHMARKS[name]
    if name == "nasbench101":
        ops = [counts for counts in product(range(6), repeat=3) if sum(counts) <= 5]
        codes = np.array([(*op, *rest) for op in ops for rest in product(range(10), range(7), range(8))])
        return "features", codes, codes
    space = kind.space(*kind.datasets[next(iter(kind.datasets))])
    keying, key = next(iter(kind.keys.items()))
    firsts: dict[Any, Architecture] = {}
    for architecture in space.enumerate():
        firsts.setdefault(key(architecture), architecture)
    return keying, np.array(list(firsts)), np.array(list(firsts.values()))


def _additive(codes: NDArray[np.int64], rng: np.random.Generator) -> Vector:
    """(N, D) -> (N,): the sum of a random number for each option of each decision."""
    total = np.zeros(len(codes))
    for column in codes.T:
        total += rng.standard_normal(int(column.max()) + 1)[column]
    return total


def _standard(values: Vector) -> Vector:
    return (values - values.mean()) / values.std()
