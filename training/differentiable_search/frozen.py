"""Architecture parameters learned on the weights of a supernet trained by sampling, which stay as they are."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from config_file.errors import UserError
from config_file.options import deciding
from config_file.run_folder import RunFolder
from config_file.stages import command, stage_path
from lookup_tables import CostTable
from supernet import Supernet
from supernet.gating import statistics_kept
from training.checkpoint import ARCHITECTURE, LAST, Checkpoint
from training.data import Data
from training.device import choose_amp
from training.differentiable_search.distribution_file import FILE, Distribution, load_distribution
from training.differentiable_search.hardware import make_hardware
from training.differentiable_search.learner import ArchitectureLearner
from training.differentiable_search.report import report_epoch, save_learned
from training.losses import make_loss
from training.stopping import Progress
from training.trainer import Context

PLANNED_STEPS = 3
"""Architecture steps that --plan makes, to say how long all of them take."""


class FrozenLearning:
    """The learning that precedes a differentiable search of such a supernet.

    It has a folder of its own in that of the search, with the metrics of every epoch, a checkpoint, and in the end
    `architecture.json` and `probabilities.png`.

    Args:
        weights: fingerprint of its weights.
        data: its validation images fit the architecture parameters: the weights know the training images.
        tables: of what architectures cost, by name.
        relaxation: its name, unless --relaxation names another.

    Raises:
        UserError: an unknown relaxation, second order, limits that nothing is within, or under --resume a checkpoint
            of other weights or settings.
    """

    def __init__(
        self,
        options: Any,
        supernet: Supernet,
        weights: str,
        data: Data,
        device: torch.device,
        tables: Mapping[str, CostTable],
        relaxation: str,
    ) -> None:
        if options.a_order != 1:
            raise UserError("--a-order 2 looks through a step of the weights, which are frozen here: use --a-order 1")
        self.options = options
        self.steps_per_epoch = max(1, len(data.val) // min(options.batch_size, len(data.val)))
        self.steps = options.a_epochs * self.steps_per_epoch
        every_step = replace(options, a_warmup_epochs=0.0, a_every=1)
        amp = choose_amp(options.amp, device)
        self._learner = ArchitectureLearner(
            Context(every_step, data, data.val, supernet, make_loss(options, data.task), device, amp),
            make_hardware(options, supernet.space, data.resolution, device, self.steps, tables),
            relaxation=relaxation,
            epochs=options.a_epochs,
            steps_per_epoch=self.steps_per_epoch,
        )
        settings = deciding(self._learner.options, "learning")
        self._checkpoint = Checkpoint(self.path / "checkpoints" / LAST, ARCHITECTURE, weights, settings)
        self._made = 0
        if options.resume and self._checkpoint.path.is_file():
            self._checkpoint.load_into(self)

    def state_dict(self) -> dict[str, Any]:
        return {"learner": self._learner.state_dict(), "step": self._made}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._learner.load_state_dict(state["learner"])
        self._made = int(state["step"])

    @property
    def path(self) -> Path:
        """The folder."""
        return stage_path(self.options) / "learning"

    @property
    def left(self) -> int:
        """Steps still to make."""
        return 0 if self._learner.stopped else self.steps - self._made

    def seconds(self) -> float:
        """Estimated seconds for the steps left, timed on `PLANNED_STEPS` real ones, or fewer where --plan-seconds has
        no room for them. Call it instead of `run`.
        """
        left, made, spent, budget = self.left, 0, 0.0, self.options.plan_seconds
        with self._training():
            started = time.perf_counter()
            while made < min(left, PLANNED_STEPS) and (not made or spent * (made + 1) / made < budget):
                self._step()
                made, spent = made + 1, time.perf_counter() - started
            return left * spent / max(1, made)

    def run(self) -> Distribution:
        """Learn; a learning that has ended before, under --resume, is read.

        Raises:
            UserError: the parameters became NaN, or a file that was left is damaged.
            KeyboardInterrupt: Ctrl-C or SIGTERM, once the running step has ended and a checkpoint is written.
        """
        if not self.left and (self.path / FILE).is_file():
            print(f"learnt     before: {self.path / FILE}")
            return load_distribution(self.path, self._learner.supernet.space)
        resume = self._made > 0
        with RunFolder.create(self.path, self.options, overwrite=not resume, resume=resume) as run:
            if resume:
                run.truncate_metrics(self._made)
                run.log(f"resumed after architecture step {self._made:,} of {self.steps:,}")
            with self._training():
                self._learn(run)
            return save_learned(self._learner, run, {"order": 1, "frozen_weights": True, "steps": self._made})

    def _learn(self, run: RunFolder) -> None:
        with Progress(
            self.steps,
            self._made,
            "learning the architecture on frozen weights",
            noun="architecture step",
            how_to_resume=f"{command('search', self.options)} --resume",
        ) as steps:
            while self.left:
                self._step()
                epoch = self._made % self.steps_per_epoch == 0
                if epoch:
                    report_epoch(self._learner, run, self._made)
                    if line := self._learner.end_epoch(self._made):
                        run.log(line)
                steps.done(self._made, lambda: self._checkpoint.save(self), due=epoch)

    def _step(self) -> None:
        self._learner.step(self._made)
        self._made += 1

    @contextmanager
    def _training(self) -> Iterator[None]:
        """Batch norms use the statistics of the batch, for those kept are mixed over all paths; they stay."""
        supernet = self._learner.supernet
        norms = [module for module in supernet.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        training = supernet.training
        supernet.train()
        try:
            with statistics_kept(lambda: norms):
                yield
        finally:
            supernet.train(training)
