"""One trial: a network trained along a course of rungs, as far as it is asked for, and judged at each.

What it comes to at a rung is a function of the architecture and the rung: whether the rungs below were asked for one by
one, or passed on the way, or the training was interrupted, cannot be seen in it. What it took is charged once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from config_file.errors import UserError
from search.archive import Archive
from search.result import Fidelity, Result
from search.trials.course import Rung
from search.trials.files import TrialFiles, TrialReporter
from search.trials.kept import keep_weights
from supernet import Architecture, Network
from supernet.decisions import DecisionSpace
from training.checkpoint import restore_rng_states
from training.data import Data, Split
from training.evaluate import Score, score
from training.initialise import initialise
from training.loop import fit
from training.options import RetrainOptions
from training.recipe import Recipe
from training.state import TrainingState, make_context, make_state
from training.trainers import NETWORK_TRAINERS, find_trainer

HELD_BACK = "held_back"
"""Name of the amount in the fidelity of a judgement by the validation images that nothing is selected by."""

NOT_IN_BETWEEN = 10**6


@dataclass(frozen=True)
class Images:
    """The images at a rung: those that are trained on, those that validate, and those held back for a confirmation."""

    data: Data
    train: Split
    seen: Split
    held_back: Split

    def steps(self, batch_size: int) -> int:
        """Optimizer steps of an epoch."""
        return max(1, len(self.train) // batch_size)

    def in_epoch(self, batch_size: int) -> int:
        """Images of an epoch."""
        return self.steps(batch_size) * min(batch_size, len(self.train))


@dataclass(frozen=True)
class Setting:
    """Everything that all trials of a search have in common.

    Attributes:
        space: with `decode` to a NetSpec, or `build` to a module.
        options: the recipe.
        images: of every rung.
        folder: of the files of all trials.
        early_stop: epochs without a better validation after which a trial ends; 0: never.
        validates: whether it is also validated between rungs.
        keep: trials whose weights are kept.
        fingerprints: what results depend on.
    """

    space: DecisionSpace
    options: RetrainOptions
    rungs: Sequence[Rung]
    images: Sequence[Images]
    folder: Path
    device: torch.device
    early_stop: int = 0
    validates: bool = False
    keep: int = 1
    fingerprints: Mapping[str, Any] = ()  # type: ignore[assignment]

    def options_at(self, rung: Rung) -> RetrainOptions:
        """The recipe of a rung's course. Raises UserError where it contradicts the number of its epochs."""
        every = self.options.validate_every if self.validates or self.early_stop else NOT_IN_BETWEEN
        return replace(self.options, trainer=rung.trainer, epochs=rung.span, validate_every=every)

    def network(self, architecture: Architecture, rung: Rung) -> nn.Module:
        """The network with its first weights, those that the seed gives it."""
        build = getattr(self.space, "build", None)
        if build is not None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.options.random_seed)
                module: nn.Module = build(architecture)
            return module
        network = Network(self.space.decode(architecture), self.images[0].data.in_channels)  # type: ignore[attr-defined]
        initialise(network, self.options.random_seed)
        return network

    @property
    def about(self) -> dict[str, Any]:
        """The space, as the metadata of a network's file say it."""
        describe = getattr(self.space, "describe", dict)
        return {"search_space": self.space.name, "space_options": describe()}


class Trial:
    """A network of a search, trained for real.

    Raises UserError where its files are of other trials, or damaged.
    """

    def __init__(self, setting: Setting, architecture: Architecture) -> None:
        self.setting, self.architecture = setting, architecture
        self.files = TrialFiles(setting.folder, architecture, setting.fingerprints)

    def result(self, number: int) -> Result:
        """The result at a rung by its number: known already, or after the training up to there.

        What fails is a result. Raises OSError where files cannot be written.
        """
        found, rung = self.files.results(), self.setting.rungs[number]
        known = found.find(self.architecture, rung.fidelity)
        if known is not None:
            return known
        course = self._course(number)
        for one in course:
            lower = found.find(self.architecture, self.setting.rungs[one].fidelity)
            if lower is not None and lower.failed:
                return self._failed(found, number, {}, lower.note)
        saved = self._saved(course)
        lost = self._judged(found, course) if saved is None else saved["lost"]
        charged = self._charged(found, [one for one in course if one > lost])
        for one in course if saved is None else range(self._next(found, saved), number + 1):
            segment = _Segment(self.setting, self.architecture, self.files, one, lost)
            try:
                segment.prepare(saved)
                segment.train()
                scores = segment.judge()
            except OSError:
                raise
            except Exception as error:
                if isinstance(error, torch.OutOfMemoryError):
                    torch.cuda.empty_cache()
                return self._failed(found, number, _less(segment.spent, charged), _line(error))
            saved = self.files.checkpoint().read()
            if one < number and found.find(self.architecture, self.setting.rungs[one].fidelity) is None:
                self._record(found, one, scores, {}, segment.stopped)  # on the way: the rung asked for is charged
        spent = _less(segment.spent, charged)
        if number == len(self.setting.rungs) - 1:
            self._keep(segment.state.trained, self._result(number, scores[0], spent, segment.stopped))
        return self._record(found, number, scores, spent, segment.stopped)

    def price(self, number: int) -> float:
        """Epochs up to a rung at most, with those that all rungs below it were charged."""
        found, course = self.files.results(), self._course(number)
        before = self._charged(found, range(number)).get("epochs", 0.0)
        done = self._charged(found, course).get("epochs", 0.0) if self._saved(course) is not None else 0.0
        rungs = [self.setting.rungs[one] for one in course]
        return before - done + sum((rung.epochs - rung.begun) * rung.share for rung in rungs)

    def confirmation(self) -> Result:
        """The result at the last rung by the images held back; what it lacks is trained."""
        result = self.result(len(self.setting.rungs) - 1)
        fidelity = _held_back(result.fidelity)
        confirmed = self.files.results().find(self.architecture, fidelity)
        if confirmed is None:
            return replace(result, spent={}, interval=None, metrics=dict.fromkeys(result.metrics, math.nan))
        return replace(confirmed, fidelity=result.fidelity)

    def _course(self, number: int) -> list[int]:
        """The numbers of the rungs on the way to one, itself the last."""
        rungs = self.setting.rungs
        return [one for one in range(number + 1) if rungs[one].course == rungs[number].course]

    def _saved(self, course: Sequence[int]) -> dict[str, Any] | None:
        """The state to go on from; None where the course is to be begun."""
        checkpoint = self.files.checkpoint()
        if not checkpoint.path.is_file():
            return None
        saved = checkpoint.read()
        return saved if course[0] <= saved["rung"] <= course[-1] else None

    def _next(self, found: Archive, saved: Mapping[str, Any]) -> int:
        """The rung to go on to from a state: the one it is on the way to, or the next where that was judged."""
        here: int = saved["rung"]
        return here + (found.find(self.architecture, self.setting.rungs[here].fidelity) is not None)

    def _judged(self, found: Archive, course: Sequence[int]) -> int:
        """The number of the highest rung of a course that has a result; -1 for none."""
        rungs = self.setting.rungs
        return max((n for n in course if found.find(self.architecture, rungs[n].fidelity) is not None), default=-1)

    def _charged(self, found: Archive, course: Sequence[int]) -> dict[str, float]:
        charged: dict[str, float] = {}
        for number in course:
            result = found.find(self.architecture, self.setting.rungs[number].fidelity)
            for what, amount in ({} if result is None else result.spent).items():
                charged[what] = charged.get(what, 0.0) + amount
        return charged

    def _record(
        self, found: Archive, number: int, scores: tuple[Score, Score | None], spent: Mapping[str, float], stopped: bool
    ) -> Result:
        result = self._result(number, scores[0], spent, stopped)
        if scores[1] is not None:
            confirmed = self._result(number, scores[1], {}, stopped)
            found.add(replace(confirmed, fidelity=_held_back(result.fidelity)))
        found.add(result)  # last: it says that the other one is there
        return result

    def _keep(self, network: nn.Module, result: Result) -> None:
        setting, data = self.setting, self.setting.images[-1].data
        if setting.keep and not result.failed and isinstance(network, Network):
            about = setting.about | {"names": setting.space.names(self.architecture), **data.description}
            keep_weights(self.files, network, about, result, setting.keep, data.task)

    def _result(self, number: int, judged: Score, spent: Mapping[str, float], stopped: bool) -> Result:
        rung, task = self.setting.rungs[number], self.setting.images[number].data.task
        finite = math.isfinite(judged.loss)
        return Result(
            self.architecture,
            {task.metric: judged.value if finite else math.nan, "loss": judged.loss},
            rung.fidelity,
            spent,
            interval=task.interval(judged.value, judged.deviation, judged.images) if finite else None,
            state="stopped" if stopped else "ok",
            note="" if finite else "the loss on the validation images is no number",
        )

    def _failed(self, found: Archive, number: int, spent: Mapping[str, float], note: str) -> Result:
        task = self.setting.images[number].data.task
        missing = {task.metric: math.nan, "loss": math.nan}
        result = Result(
            self.architecture, missing, self.setting.rungs[number].fidelity, spent, state="failed", note=note
        )
        found.add(result)
        self.files.checkpoint_file.unlink(missing_ok=True)
        return result


class _Segment:
    """The way to one rung from the one below, or from the beginning.

    Attributes:
        spent: on the course so far.
        stopped: whether the training ended early.
    """

    def __init__(self, setting: Setting, architecture: Architecture, files: TrialFiles, number: int, lost: int) -> None:
        self.setting, self.architecture, self.files = setting, architecture, files
        self.number, self.rung, self.images = number, setting.rungs[number], setting.images[number]
        self.checkpoint = files.checkpoint(number, lost)
        self.stopped, self._trained = False, False
        self._begun = time.perf_counter()

    def prepare(self, saved: Mapping[str, Any] | None) -> None:
        """Build the network, and let it go on from a state, of this way or of the one before."""
        setting, options = self.setting, self.options
        network = setting.network(self.architecture, self.rung)
        make_trainer = find_trainer("trainer", options.trainer, NETWORK_TRAINERS)
        context = make_context(options, self.images.data, self.images.train, network, setting.device)
        self.recipe = Recipe(make_trainer(context), until=self.rung.epochs)
        self.state = make_state(self.recipe.trainer, options.ema_decay)
        if saved is None:
            return
        self.state.load_state_dict(dict(saved))
        restore_rng_states(saved["rng"])
        if saved["rung"] != self.number:  # an epoch has other steps here: what happened after so many epochs still has
            before = setting.images[saved["rung"]].steps(options.batch_size)
            here = self.recipe.steps_per_epoch
            self.state.step = self.state.step * here // before
            if self.state.best:
                self.state.best["step"] = self.state.best["step"] * here // before

    @cached_property
    def options(self) -> RetrainOptions:
        return self.setting.options_at(self.rung)

    def train(self) -> None:
        """Train up to the rung, unless the training ends early. Raises as `training.loop.fit`."""
        start = self.state.step
        reporter = TrialReporter(self.files, self.number, start)
        reporter.log(f"{'goes on' if start else 'begins'} towards {self.rung.fidelity}, after step {start:,}")
        fit(
            self.recipe,
            self.state,
            reporter,
            validate=self._validate,
            checkpoint=self.checkpoint,
            enough=self._enough,
        )
        self.stopped, self._trained = self._enough(self.state), self.state.step > start

    def judge(self) -> tuple[Score, Score | None]:
        """The scores on the images that a search sees, and on those held back; the checkpoint is of the end then."""
        started = time.perf_counter()
        held_back = self.images.held_back
        scores = self._score(self.images.seen), self._score(held_back) if len(held_back) else None
        if self._trained:  # else it was judged, and charged, before an interruption
            self.state.seconds += time.perf_counter() - started
        self.checkpoint.save(self.state)
        return scores

    @property
    def spent(self) -> dict[str, float]:
        """Epochs (over all training images), images and seconds of the course so far."""
        if not hasattr(self, "state"):  # it could not be built
            return {"seconds": time.perf_counter() - self._begun}
        done = self.state.step / self.recipe.steps_per_epoch
        spent = {"epochs": 0.0, "images": 0.0, "seconds": self.state.seconds}
        for rung, images in zip(self.setting.rungs[: self.number + 1], self.setting.images, strict=False):
            if rung.course == self.rung.course:
                epochs = max(0.0, min(done, rung.epochs) - rung.begun)
                spent["epochs"] += epochs * rung.share
                spent["images"] += round(epochs * images.in_epoch(self.options.batch_size))
        return spent

    def _validate(self) -> dict[str, float]:
        return self._score(self.images.seen).named("val", self.images.data.task)

    def _score(self, split: Split) -> Score:
        self.state.trained.eval()
        try:
            batches = split.batches(256, device=self.setting.device, channels_last=self.options.channels_last)
            return score(self.state.trained, batches, self.setting.device, task=split.task)
        finally:
            self.state.model.train()

    def _enough(self, state: TrainingState) -> bool:
        patience = self.setting.early_stop * self.recipe.steps_per_epoch
        return bool(patience and state.best and state.step - state.best["step"] >= patience)


def _held_back(fidelity: Fidelity) -> Fidelity:
    return Fidelity(**fidelity, **{HELD_BACK: 1})


def _less(spent: Mapping[str, float], charged: Mapping[str, float]) -> dict[str, float]:
    return {what: max(0.0, amount - charged.get(what, 0.0)) for what, amount in spent.items()}


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}{f': {text}' if text else ''}"[:500]
