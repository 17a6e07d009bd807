"""The scores of untrained networks as an evaluator: `--evaluator zero_cost --zero-cost synflow,nwot`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch
from torch import nn

from config_file.errors import UserError, choose
from config_file.fields import option
from config_file.options import options
from config_file.quantity import quantity
from search.evaluators.context import Context
from search.evaluators.evaluator import Entry
from search.proxies import SCORES, Sample
from search.result import FULL, Fidelity, Result
from search.schedules import Schedule
from supernet import Architecture, Network, NetworkSpace
from supernet.metrics import METRICS
from tasks import CLASSIFICATION
from training.device import prepare_device


@options("Untrained")
class ZeroCostOptions:
    """Scores of untrained networks."""

    zero_cost: str = option(
        "synflow",
        "what the evaluator zero_cost scores networks by before any training, one or several: {names}; the first one "
        "is what a network is picked by",
        metavar="NAME",
        names=SCORES,
        repeat=True,
    )
    zero_cost_images: int = option(64, "training images that networks are scored on", at_least=2, at_most=4096)


@dataclass(eq=False, repr=False)
class ZeroCostEvaluator:
    """Scores each network with fresh weights on one batch, of training images without augmentation.

    Every network has weights of its own, drawn from the seed as PyTorch draws them by default; one stands in memory at
    a time. A score that is not a number is a failed evaluation.

    Args:
        space: the networks.
        scores: names in `search.proxies.SCORES`.
        sample: what they are scored on.
        seed: of the weights.
        images: fingerprint of the data.
    """

    space: NetworkSpace
    scores: tuple[str, ...]
    sample: Sample
    seed: int = 0
    images: str = ""

    def __post_init__(self) -> None:
        self.fidelities = (FULL,)
        self.method = "untrained network"
        self.record: Mapping[str, Any] = {"zero_cost": list(self.scores), "images": len(self.sample.targets)}

    @classmethod
    def of(cls, context: Context, names: Sequence[str] = ()) -> ZeroCostEvaluator:
        """The one that the options of a stage describe, or of other scores. Raises UserError for what does not fit."""
        space, data, classified = context.space, context.data, context.task is CLASSIFICATION
        if not isinstance(space, NetworkSpace):
            raise UserError(f"--evaluator zero_cost: {space.name} has decisions only, no networks to score")
        scores = tuple(names or scores_of(context))
        if not classified and "epe_nas" in scores:
            raise UserError(f"--zero-cost epe_nas compares classes, and {data.name} is of {context.task.name}")
        images = min(context.options.zero_cost_images, len(data.train))
        batches = data.train.batches(images, seed=context.seed, shuffle=True, limit=images, device=context.device)
        x, y = next(iter(batches))
        loss = nn.functional.cross_entropy if classified else nn.functional.mse_loss
        sample = Sample(x.contiguous(), y, len(data.classes), loss, context.seed)
        return cls(space, scores, sample, context.seed, str(data.split_record.get("sha256")))

    @property
    def fingerprints(self) -> dict[str, Any]:
        return {
            "space": self.space.macro_fingerprint,
            "scores": list(self.scores),
            "images": self.images,
            "batch": hashlib.sha256(self.sample.images.cpu().numpy().tobytes()).hexdigest(),
            "seed": self.seed,
        }

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        for architecture in dict.fromkeys(architectures):
            start = time.perf_counter()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                network = Network(self.space.decode(architecture), self.sample.images.shape[1])
            network = network.to(self.sample.images.device)
            found = {name: SCORES[name](network, self.sample) for name in self.scores}
            spent = {"seconds": time.perf_counter() - start, "images": len(self.sample.targets)}
            yield Result(architecture, found, fidelity or FULL, spent)

    confirms = ""

    def confirm(self, architectures: Sequence[Architecture]) -> Iterator[Result]:
        """Nothing: a score is no estimate, and other images would give another score."""
        return iter(())

    def describe(self, schedule: Schedule) -> str:
        images = quantity(len(self.sample.targets), "training image")
        return f"{', '.join(self.scores)} of untrained networks, on one batch of {images}"

    def spell(self, fidelity: Fidelity) -> str:
        return "before any training"

    def estimate(self, evaluations: int) -> list[str]:
        return [f"networks   {evaluations:,} built and scored, none trained"]

    def close(self) -> None:
        """Nothing is open."""

    def order(self, architectures: Sequence[Architecture]) -> list[Architecture]:
        return list(dict.fromkeys(architectures))

    def factory(self, number: int, count: int, threads: int) -> Callable[[], ZeroCostEvaluator]:
        return partial(_in_process, {field.name: getattr(self, field.name) for field in fields(self)}, threads)


def _in_process(arguments: dict[str, Any], threads: int) -> ZeroCostEvaluator:
    prepare_device(arguments["sample"].images.device, threads)
    return ZeroCostEvaluator(**arguments)


def scores_of(context: Context) -> dict[str, bool]:
    """{score: whether more is better} that --zero-cost names.

    Raises:
        UserError: an unknown name, or that of a cost, which every search knows without an evaluator.
    """
    names = [name.strip() for name in context.options.zero_cost.split(",") if name.strip()]
    for name in names:
        choose("zero-cost score", name, SCORES)
        if name in METRICS:
            raise UserError(f"--zero-cost {name} is a cost: optimise it by --objective {name}:max beside a score")
    if not names:
        raise UserError(f"--zero-cost names nothing (choices: {', '.join(SCORES)})")
    return {name: SCORES[name].maximise for name in dict.fromkeys(names)}


ZERO_COST = Entry(ZeroCostEvaluator.of, scores_of, Options=ZeroCostOptions)
