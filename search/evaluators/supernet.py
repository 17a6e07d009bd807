"""The validation accuracy (or NME) of architectures with the weights of a supernet.

Each architecture is extracted into a network of its own, its batch norms are re-calibrated on training images, and the
validation split (never the test split) is classified without augmentation. Nothing of one evaluation reaches the next,
so a result is a function of (weights, architecture, data, seed) alone.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import nn

from config_file.errors import UserError
from deployment.folding import fold_batch_norms
from search.evaluators.prefix_evaluation import Node, PrefixEvaluation, Step, tree_of
from search.evaluators.refitted_head import PENALTY, check_head, refitted_score, without_head
from search.result import Fidelity, Result
from supernet import Architecture, Supernet, extract
from training.bn_calibration import calibrate_batch_norm
from training.data import Data, Split
from training.device import autocast, place
from training.evaluate import Score, score

KEPT_BYTES = 1 << 30

Batch = tuple[torch.Tensor, torch.Tensor]


class Evaluator(Protocol):
    """Anything that scores architectures: a supernet, real training, a table."""

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        """One result for each architecture as it is ready, in any order; its cost is left for the caller to fill in.

        `fidelity` is how much to spend on each, None for the evaluator's own.
        """


class SupernetEvaluator:
    """Scores subnets of a trained supernet, which is left as it is.

    Args:
        supernet: trained weights, already on `device`.
        data: its training images calibrate, its validation images judge.
        calibration_images: un-augmented training images that the batch norms are re-calibrated on; 0 keeps the
            supernet's own statistics, which are mixed over all paths.
        eval_images: validation images per architecture, 0 for all; the same ones for every architecture.
        batch_size: images per forward pass. In calibration it matters: layers see activations normalised per batch.
        seed: picks the images.
        device: where to run.
        channels_last: memory format of images and weights.
        amp: number format of autocast, None for float32.
        refit_head: fit the last linear layer anew for each candidate (`search.evaluators.refitted_head`).
        prefix_sharing: compute what several chain networks of a population begin with once; it changes no result.
        memory: GiB of activations that sharing may hold.
    """

    def __init__(
        self,
        supernet: Supernet,
        data: Data,
        *,
        calibration_images: int = 1024,
        eval_images: int = 0,
        batch_size: int = 256,
        seed: int = 0,
        device: torch.device | str = "cpu",
        channels_last: bool = True,
        amp: torch.dtype | None = None,
        refit_head: bool = False,
        prefix_sharing: bool = True,
        memory: float = 4.0,
    ) -> None:
        self.supernet = supernet
        self.calibration_images = min(calibration_images, len(data.train))
        self.eval_images = min(eval_images or len(data.val), len(data.val))
        self.batch_size = batch_size
        self.seed = seed
        self.device = torch.device(device)
        self.channels_last = channels_last
        self.amp = amp
        self.refit_head = refit_head
        self._outputs = self._outputs_of_head(data.resolution) if refit_head else 0
        self.prefix_sharing = prefix_sharing
        self.memory = memory
        self._calibration = self._batches(data.train, self.calibration_images) if self.calibration_images else None
        self._data = data
        self.task = data.task
        self._validation = {self.eval_images: self._batches(data.val, self.eval_images)}

    @property
    def settings(self) -> dict[str, Any]:
        """What results depend on beside weights, architecture and data."""
        return {
            "calibration_images": self.calibration_images,
            "eval_images": self.eval_images,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "amp": str(self.amp or torch.float32),
            **({"refit_head": PENALTY} if self.refit_head else {}),  # unnamed otherwise, as in archives from before it
        }

    @property
    def arguments(self) -> dict[str, Any]:
        """What an equal evaluator is made with, in another process too."""
        return {
            "supernet": self.supernet,
            "data": self._data,
            "calibration_images": self.calibration_images,
            "eval_images": self.eval_images,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "device": self.device,
            "channels_last": self.channels_last,
            "amp": self.amp,
            "refit_head": self.refit_head,
            "prefix_sharing": self.prefix_sharing,
            "memory": self.memory,
        }

    def order(self, architectures: Sequence[Architecture]) -> list[Architecture]:
        """The distinct ones in the order in which `evaluate` gives their results."""
        distinct = list(dict.fromkeys(architectures))
        tree = self._tree(distinct)
        return distinct if tree is None else [architecture for leaf in tree.leaves() for architecture in leaf]

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        """One result for each distinct architecture; those of shared prefixes come one after another."""
        images = self.eval_images if fidelity is None else min(int(fidelity["images"]), len(self._data.val))
        if images not in self._validation:
            self._validation[images] = self._batches(self._data.val, images)
        batches = self._validation[images]
        start = time.perf_counter()
        for architecture, found in self._scores(list(dict.fromkeys(architectures)), batches, images):
            yield self._result(architecture, found, time.perf_counter() - start)
            start = time.perf_counter()

    def network(self, architecture: Architecture) -> nn.Module:
        """The architecture with inherited weights and its own batch-norm statistics, in eval mode."""
        return self._calibrated(extract(self.supernet, architecture))

    def _calibrated(self, network: nn.Module) -> nn.Module:
        network = place(network, self.device, self.channels_last)
        if self._calibration is not None:
            calibrate_batch_norm(network, Images(self._calibration))
        return network.eval()

    def _outputs_of_head(self, resolution: int) -> int:
        if self.eval_images < 2:
            raise UserError("--refit-head fits on the validation images: at least 2 are needed")
        network = extract(self.supernet, self.supernet.space.sample(random.Random(0)))
        image = (2, self.supernet.space.input_shape[0], resolution, resolution)
        return check_head(network.to(self.device).eval(), torch.zeros(image, device=self.device))

    def _scores(
        self, architectures: Sequence[Architecture], batches: Iterable[Batch], images: int
    ) -> Iterator[tuple[Architecture, Score]]:
        tree = self._tree(architectures)
        if tree is None:
            for architecture in architectures:
                yield architecture, self._score(architecture, batches)
            return
        calibration = self._calibration
        sharing = PrefixEvaluation(
            layer=self._layer,
            finish=fold_batch_norms,
            context=self._inference,
            score=self._score_of,
            alone=lambda architecture: self._score(architecture, batches),
            calibration=None if calibration is None else Images(calibration),
            calibration_images=self.calibration_images,
            validation=batches,
            validation_images=images,
            validation_batches=math.ceil(images / self.batch_size),
            memory=int(self.memory * (1 << 30)),
        )
        yield from sharing.scores(tree)

    def _tree(self, architectures: Sequence[Architecture]) -> Node | None:
        """None where each is evaluated by itself."""
        if not self.prefix_sharing or len(architectures) < 2:
            return None
        image = (self.supernet.space.input_shape[0], self._data.resolution, self._data.resolution)
        return tree_of(self.supernet.space, architectures, image)

    def _score(self, architecture: Architecture, batches: Iterable[Batch]) -> Score:
        with self._inference():
            network: nn.Module = extract(self.supernet, architecture)
            if self.refit_head:
                network = without_head(network)
            network = fold_batch_norms(self._calibrated(network))
            return self._score_of((network(x), y) for x, y in batches)

    def _score_of(self, outputs: Iterable[Batch]) -> Score:
        """Of outputs, or of features where the head is fitted anew, with their targets."""
        if self.refit_head:
            return refitted_score(outputs, self._outputs, self.task)
        return score(nn.Identity(), outputs, self.device, None, self.task)

    def _layer(self, step: Step) -> nn.Module:
        layer = self.supernet.weights_at(step.site).layer(step.choice, step.in_channels)
        if self.refit_head and step.site == self.supernet.space.sites[-1].name:
            layer = without_head(layer)
        return place(layer, self.device, self.channels_last)

    @contextmanager
    def _inference(self) -> Iterator[None]:
        with torch.inference_mode(), autocast(self.device, self.amp):
            yield

    def _result(self, architecture: Architecture, found: Score, seconds: float) -> Result:
        failed = not math.isfinite(found.loss)
        return Result(
            architecture,
            {self.task.metric: math.nan if failed else found.value, "loss": found.loss},
            Fidelity(images=found.images),
            {"seconds": seconds, "images": self.calibration_images + found.images},
            interval=(0.0, 1.0) if failed else self.task.interval(found.value, found.deviation, found.images),
        )

    def _batches(self, split: Split, images: int) -> KeptBatches:
        # Equal batches: a small remainder would be normalised by poor statistics, and one image has none.
        size = math.ceil(images / math.ceil(images / self.batch_size))
        return KeptBatches(
            lambda: split.batches(
                size,
                seed=self.seed,
                shuffle=True,
                limit=images,
                device=self.device,
                channels_last=self.channels_last,
            )
        )


class Images:
    """The images of batches, without labels, in every pass."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[torch.Tensor]:
        return (x for x, _ in self._batches)


class KeptBatches:
    """The same batches in every pass: decoded once where they fit into KEPT_BYTES, each time anew otherwise."""

    def __init__(self, load: Callable[[], Iterator[Batch]]) -> None:
        self._load = load
        self._kept: list[Batch] | None = []

    def __iter__(self) -> Iterator[Batch]:
        if self._kept:
            yield from self._kept
            return
        kept, size = [], 0
        for x, y in self._load():
            size += x.nbytes
            if self._kept is not None and size <= KEPT_BYTES:
                kept.append((x, y))
            else:
                kept, self._kept = [], None
            yield x, y
        if self._kept is not None:
            self._kept = kept
