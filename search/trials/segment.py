"""A segment of a trial: the way to one rung from the one below, or from the beginning, and the judgement there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from search.trials.files import TrialFiles, TrialReporter
from search.trials.setting import Setting
from supernet import Architecture
from training.checkpoint import restore_rng_states
from training.data import Split
from training.evaluate import Score, score
from training.loop import fit
from training.options import RetrainOptions
from training.state import TrainingState


class Segment:
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
        network = self.setting.network(self.architecture, self.rung)
        self.recipe, self.state = self.setting.assembled(self.number, network)
        if saved is None:
            return
        self.state.load_state_dict(dict(saved))
        restore_rng_states(saved["rng"])
        if saved["rung"] != self.number:  # an epoch has other steps here: what happened after so many epochs still has
            before = self.setting.images[saved["rung"]].steps(self.options.batch_size)
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
