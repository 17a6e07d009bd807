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
from copy import deepcopy
from dataclasses import KW_ONLY, dataclass, fields
from functools import partial
from itertools import chain, pairwise
from typing import Any

import torch
from torch import nn

from config_file.errors import UserError
from config_file.options import was_given
from deployment.folding import fold_batch_norms
from search.evaluators.context import Context
from search.evaluators.evaluator import Entry
from search.evaluators.held_back import hold_back
from search.evaluators.kept_batches import Batch, Images, KeptBatches
from search.evaluators.prefix_evaluation import BYTES, LayerChoice, PrefixEvaluation, PrefixNode, tree_of
from search.evaluators.refitted_head import PENALTY, check_head, refitted_score, without_head
from search.evaluators.supernet_options import SupernetEvaluationOptions
from search.result import Fidelity, Result
from search.schedules import Schedule
from supernet import Architecture, SearchSpace, Shape, Supernet, extract
from training.bn_calibration import calibrate_batch_norm
from training.data import Data, Split
from training.data.split import SplitPart
from training.device import autocast, choose_amp, memory_of, place, prepare_device
from training.evaluate import Score, score
from training.image_size import AtItsImageSize

CPU = torch.device("cpu")
SHARE = 0.25
"""Of a GPU's memory, which an evaluation may fill with activations where nothing else is asked for."""
MOST_AT_ONCE = 1 << 14


@dataclass(eq=False, repr=False)
class SupernetEvaluator:
    """Scores subnets of a trained supernet, which is left as it is.

    Args:
        supernet: trained weights, already on `device`.
        data: its training images calibrate, its validation images judge.
        calibration_images: un-augmented training images that the batch norms are re-calibrated on; 0 keeps the
            supernet's own statistics, which are mixed over all paths.
        eval_images: validation images per architecture, 0 for all; the same ones for every architecture. Several are
            fidelities: they rise, and images of one are among those of the next.
        confirm_images: validation images that `confirm` judges on, and `evaluate` does not see.
        batch_size: images per forward pass. In calibration it matters: layers see activations normalised per batch.
        at_once: images per forward pass of a validation, where they may be more: what fills a GPU.
        seed: picks the images.
        device: where to run.
        channels_last: memory format of images and weights.
        amp: number format of autocast, None for float32.
        refit_head: fit the last linear layer anew for each candidate (`search.evaluators.refitted_head`).
        prefix_sharing: compute what several chain networks of a population begin with once; it changes no result.
        equal_once: score architectures that are the same network once, as the first of them.
        memory: GiB of activations that sharing may hold.
        weights: fingerprint of the supernet's.

    Raises:
        UserError: several `eval_images` that do not rise, or a head that cannot be fitted anew.
    """

    supernet: Supernet
    data: Data
    _: KW_ONLY
    calibration_images: int = 1024
    eval_images: Sequence[int] = (0,)
    batch_size: int = 256
    at_once: int = 0
    confirm_images: int = 0
    seed: int = 0
    device: torch.device = CPU
    channels_last: bool = True
    amp: torch.dtype | None = None
    refit_head: bool = False
    prefix_sharing: bool = True
    equal_once: bool = False
    memory: float = 4.0
    weights: str = ""

    def __post_init__(self) -> None:
        self.task = self.data.task
        self.calibration_images = min(self.calibration_images, len(self.data.train))
        self._seen, self._held_back = hold_back(self.data.val, self.confirm_images, self.seed)
        self.fidelities = fidelities_of(self.eval_images, len(self._seen))
        self._most_images = int(self.fidelities[-1]["images"])
        self._outputs = self._outputs_of_head() if self.refit_head else 0
        images = self.calibration_images
        self._calibration = Images(self._batches(self.data.train, images, shuffle=True)) if images else None
        self._validation: dict[int, KeptBatches] = {}
        self._known: dict[tuple[int | None, int], dict[Architecture, Score]] = {}  # of networks that others equal

    @classmethod
    def of(cls, context: Context) -> SupernetEvaluator:
        """The one that the options of a stage describe. Raises UserError for what does not fit."""
        options, trained, device = context.options, context.trained, context.device
        memory, at_once, space = options.eval_memory, 0, trained.supernet.space
        if device.type == "cuda":
            memory = memory if was_given(options, "eval_memory") else SHARE * memory_of(device) / (1 << 30)
            at_once = images_at_once(space, context.data.resolution, memory)
        return cls(
            trained.supernet.to(device),
            context.data,
            calibration_images=options.calibration_images,
            eval_images=options.eval_images,
            confirm_images=context.confirm_images,
            batch_size=options.eval_batch_size,
            at_once=at_once,
            seed=context.seed,
            device=device,
            channels_last=options.channels_last,
            # auto is for training: a ranking is worth float32 unless asked otherwise
            amp=None if options.amp == "auto" else choose_amp(options.amp, device),
            refit_head=options.refit_head,
            prefix_sharing=options.prefix_sharing,
            equal_once=options.equal_networks == "once" and space.has_equals,
            memory=memory,
            weights=trained.info["sha256"],
        )

    @property
    def fingerprints(self) -> dict[str, Any]:
        return {
            "space": self.supernet.space.macro_fingerprint,
            "weights": self.weights,
            "images": self.data.split_record.get("sha256"),
            "mean and std": [self.data.mean, self.data.std],
            "resolution": self.data.resolution,
            "calibration_images": self.calibration_images,
            "eval_images": self._most_images,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "amp": str(self.amp or torch.float32),
            **({"refit_head": PENALTY} if self.refit_head else {}),
            **({"equal_networks": "once"} if self.equal_once else {}),
            **({"budgets": [dict(step) for step in self.fidelities]} if len(self.fidelities) > 1 else {}),
        }

    @property
    def method(self) -> str:
        return "refitted head" if self.refit_head else "inherited weights"

    @property
    def record(self) -> dict[str, Any]:
        return {"refit_head": self.refit_head, "supernet_sha256": self.weights}

    def describe(self, schedule: Schedule) -> str:
        images = self.calibration_images
        calibration = f"BN re-calibrated on {images:,} training images" if images else "BN statistics of the supernet"
        head = ", refitted head" if self.refit_head else ""
        amounts = schedule.in_words([f"{step['images']:,}" for step in schedule.fidelities])
        return f"{calibration}{head}, {self.task.title} on {amounts} validation images"

    def spell(self, fidelity: Fidelity) -> str:
        return f"on {fidelity['images']:,} validation images"

    def estimate(self, evaluations: int) -> list[str]:
        return [f"images     {evaluations * (self.calibration_images + self._most_images):,} forward, none backward"]

    def close(self) -> None:
        """Nothing is open."""

    def factory(self, number: int, count: int, threads: int) -> Callable[[], SupernetEvaluator]:
        """An equal evaluator for another process, with its share of the memory; on CUDA they take turns."""
        device = self.device
        if str(device) == "cuda":
            device = torch.device("cuda", number % torch.cuda.device_count())
        arguments = {field.name: getattr(self, field.name) for field in fields(self)}
        arguments |= {"supernet": self.supernet if device.type == "cpu" else deepcopy(self.supernet).to(CPU)}
        return partial(_in_process, arguments | {"device": device, "memory": self.memory / count}, threads)

    def order(self, architectures: Sequence[Architecture]) -> list[Architecture]:
        distinct = list(dict.fromkeys(architectures))
        tree = self._tree(distinct)
        return distinct if tree is None else [architecture for leaf in tree.leaves() for architecture in leaf]

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        """One result for each distinct architecture; those of shared prefixes come one after another."""
        images = min(int((fidelity or self.fidelities[-1])["images"]), len(self._seen))
        yield from self._results(architectures, self._validation.setdefault(images, self._batches(self._seen, images)))

    @property
    def confirms(self) -> str:
        return f"{self.confirm_images:,} validation images" if self.confirm_images else ""

    def confirm(self, architectures: Sequence[Architecture]) -> Iterator[Result]:
        """The same on the images held back; a head that is fitted anew is fitted on those of the evaluation too."""
        images = self._held_back
        if self.refit_head:
            positions = torch.cat([self._seen.positions[: self._most_images], images.positions])
            images = SplitPart(self.data.val, positions)
        yield from self._results(architectures, self._batches(images, len(images)), judged=self.confirm_images)

    def _results(
        self, architectures: Sequence[Architecture], batches: KeptBatches, judged: int | None = None
    ) -> Iterator[Result]:
        """`judged`: so many of the last images count, None for all."""
        start = time.perf_counter()
        same: dict[Architecture, list[Architecture]] = {}
        for architecture in dict.fromkeys(architectures):
            same.setdefault(self._first(architecture), []).append(architecture)
        known = self._known.setdefault((judged, batches.images), {})
        scored = self._scores([first for first in same if first not in known], batches, judged)
        for first, found in chain(((first, known[first]) for first in same if first in known), scored):
            for architecture in same[first]:
                yield self._result(architecture, found, time.perf_counter() - start)
                start = time.perf_counter()
            if self.equal_once:
                known[first] = found

    def _first(self, architecture: Architecture) -> Architecture:
        return self.supernet.space.first_equal(architecture) if self.equal_once else architecture

    def _calibrated(self, network: nn.Module) -> nn.Module:
        """With its own batch-norm statistics, in eval mode."""
        network = place(network, self.device, self.channels_last)
        if self._calibration is not None:
            calibrate_batch_norm(network, self._calibration)
        return network.eval()

    def _outputs_of_head(self) -> int:
        if self._most_images < 2:
            raise UserError("--refit-head fits on the validation images: at least 2 are needed")
        network = extract(self.supernet, self.supernet.space.sample(random.Random(0)))
        images = torch.zeros(2, *self._image, device=self.device)
        return check_head(network.to(self.device).eval(), images)

    @property
    def _image(self) -> Shape:
        return self.supernet.space.input_shape[0], self.data.resolution, self.data.resolution

    def _scores(
        self, architectures: Sequence[Architecture], batches: KeptBatches, judged: int | None
    ) -> Iterator[tuple[Architecture, Score]]:
        tree = self._tree(architectures)
        if tree is None:
            yield from ((architecture, self._score(architecture, batches, judged)) for architecture in architectures)
            return
        sharing = PrefixEvaluation(
            layer=self._layer,
            finish=fold_batch_norms,
            context=self._inference,
            score=partial(self._score_of, judged=judged),
            alone=lambda architecture: self._score(architecture, batches, judged),
            calibration=self._calibration,
            calibration_images=self.calibration_images,
            validation=batches,
            validation_images=batches.images,
            validation_batches=math.ceil(batches.images / max(self.batch_size, self.at_once)),
            memory=int(self.memory * (1 << 30)),
        )
        yield from sharing.scores(tree)

    def _tree(self, architectures: Sequence[Architecture]) -> PrefixNode | None:
        """None where each is evaluated by itself."""
        if not self.prefix_sharing or len(architectures) < 2 or self.supernet.space.images is not None:
            return None
        return tree_of(self.supernet.space, architectures, self._image)

    def _score(self, architecture: Architecture, batches: Iterable[Batch], judged: int | None = None) -> Score:
        with self._inference():
            network: nn.Module = extract(self.supernet, architecture)
            if self.refit_head:
                network = without_head(network)
            network = AtItsImageSize(network, self.supernet.space, architecture)
            network = fold_batch_norms(self._calibrated(network))
            return self._score_of(((network(x), y) for x, y in batches), judged)

    def _score_of(self, outputs: Iterable[Batch], judged: int | None = None) -> Score:
        """Of outputs, or of features where the head is fitted anew, with their targets."""
        if self.refit_head:
            return refitted_score(outputs, self._outputs, self.task, judged)
        return score(nn.Identity(), outputs, self.device, None, self.task)

    def _layer(self, step: LayerChoice) -> nn.Module:
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
            interval=None if failed else self.task.interval(found.value, found.deviation, found.images),
        )

    def _batches(self, split: Split, images: int, shuffle: bool = False) -> KeptBatches:
        most = self.batch_size if shuffle else max(self.batch_size, self.at_once)
        # Equal batches: a small remainder would be normalised by poor statistics, and one image has none.
        size = math.ceil(images / math.ceil(images / most))
        load = partial(split.batches, size, seed=self.seed, shuffle=shuffle, limit=images)
        return KeptBatches(partial(load, device=self.device, channels_last=self.channels_last), images)


def images_at_once(space: SearchSpace, resolution: int, memory: float) -> int:
    """Images whose outputs of all layers fill an eighth of so many GiB, along the largest of some random paths.

    A pass holds few of them at a time, what is inside of a layer among these; the rest is for the cache of kernels.
    """
    image, rng = (space.input_shape[0], resolution, resolution), random.Random(0)
    paths = [space.decode(space.sample(rng)).shapes(image) for _ in range(8)]
    values = max(sum(math.prod(output) for _, output in shapes.values()) for shapes in paths)
    return min(MOST_AT_ONCE, int(memory * (1 << 30) / 8 / (BYTES * values)))


def fidelities_of(images: Sequence[int], available: int) -> tuple[Fidelity, ...]:
    """Those of `--eval-images`, of which 0 is all images, and none above what is available.

    Raises UserError where they do not rise.
    """
    asked = [number or math.inf for number in images]
    if any(first >= second for first, second in pairwise(asked)):
        raise UserError(f"--eval-images {','.join(map(str, images))}: successive budgets rise, and 0 (all) is the last")
    return tuple(Fidelity(images=number) for number in sorted({int(min(number, available)) for number in asked}))


def _in_process(arguments: dict[str, Any], threads: int) -> SupernetEvaluator:
    prepare_device(arguments["device"], threads)
    return SupernetEvaluator(**arguments | {"supernet": arguments["supernet"].to(arguments["device"])})


def _measures(context: Context) -> dict[str, bool]:
    return {context.task.metric: context.task.maximise, "loss": False}


SUPERNET = Entry(SupernetEvaluator.of, _measures, needs_supernet=True, Options=SupernetEvaluationOptions)
