"""Real trainings as an evaluator: `--evaluator training --epochs 12`, or `--fidelities 3,12,50`.

Each network is trained from random weights by the recipe of `retrain.py` on the training images, and judged on the
validation images; the test split is never looked at. See `search.trials`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from config_file.errors import UserError
from config_file.fields import options_of
from config_file.options import options, was_given
from config_file.plugins import import_plugins
from config_file.quantity import quantity
from config_file.stages import stage_path
from search.evaluators.context import Context
from search.evaluators.evaluator import Entry
from search.evaluators.fidelity_options import FidelityOptions, parse_fidelities
from search.evaluators.held_back import hold_back
from search.result import Fidelity, Result
from search.schedules import Schedule
from search.trials.course import AMOUNTS, EPOCHS, RESOLUTION, Rung, rungs_of
from search.trials.options import TrialOptions, recipe_of, recipe_values
from search.trials.setting import Images, Setting
from search.trials.trial import Trial, furthest
from supernet import Architecture, NetworkSpace
from supernet.decisions import DecisionSpace
from training.data import Data, load_data
from training.data.split import SplitPart
from training.device import prepare_device
from training.estimate import step_seconds
from training.kept_trial import FOLDER
from training.recipe import trajectory
from training.recipe_options import TrainingOptions

CPU = torch.device("cpu")


@options("Trials")
class TrainedOptions(TrialOptions, FidelityOptions):
    """Everything that the evaluator reads beside the options of a training."""


@dataclass(eq=False, repr=False)
class TrainingEvaluator:
    """Trains networks, each in files of its own in a folder, and judges them on validation images.

    A result is a function of (architecture, fidelity) and the recipe; a network that was trained to a lower fidelity
    goes on from its own checkpoint, and what it took is what was done then.

    Args:
        space: whose architectures can be decoded into networks, or built as modules (`build`).
        data: by resolution, the usual one first.
        values: {option: value} of the recipe, those of `retrain.py`.
        rungs: of the fidelities.
        folder: of the files of all trials.
        confirm_images: validation images that judge what was chosen, and no trial.
        early_stop, validates, keep: see `search.trials.trial.Setting`.

    Raises:
        UserError: options that contradict each other or the number of epochs.
    """

    space: DecisionSpace
    data: Mapping[int, Data]
    values: Mapping[str, Any]
    rungs: Sequence[Rung]
    folder: Path
    _: KW_ONLY
    confirm_images: int = 0
    early_stop: int = 0
    validates: bool = False
    keep: int = 1
    device: torch.device = CPU
    leaves: Sequence[str] = field(default=(f"{FOLDER}/*",), init=False)
    longest_run: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        self._options = recipe_of(self.values)
        self._usual = next(iter(self.data.values()))
        self.setting = Setting(
            self.space,
            self._options,
            tuple(self.rungs),
            tuple(self._images(rung) for rung in self.rungs),
            self.folder,
            self.device,
            self.early_stop,
            self.validates,
            self.keep,
        )
        self._beside = self._rehearse()
        self.setting = replace(self.setting, fingerprints=self.fingerprints)
        self.task = self._usual.task

    @classmethod
    def of(cls, context: Context) -> TrainingEvaluator:
        """The one that the options of a stage describe. Raises UserError for what does not fit."""
        given, space = context.options, context.space
        if not options_of(TrainingOptions).keys() <= options_of(type(given)).keys():
            raise UserError("--evaluator training is for search.py: this command trains nothing")
        if not hasattr(space, "decode") and not hasattr(space, "build"):
            raise UserError(f"--evaluator training: {space.name} has decisions only, no networks to train")
        span = given.epochs if was_given(given, "epochs") else None
        fidelities: tuple[Fidelity, ...] = (Fidelity(epochs=given.epochs),)
        if given.fidelities is not None:
            fidelities = parse_fidelities(given.fidelities, AMOUNTS)
            if EPOCHS not in fidelities[0]:
                raise UserError(f"--fidelities {given.fidelities}: each says its epochs, as epochs=12,data=0.5")
        rungs = rungs_of(fidelities, given.trainer, given.low_fidelity_trainer, span)
        usual = context.data.resolution
        sizes = dict.fromkeys([usual, *(rung.resolution(usual) for rung in rungs)])
        data = {size: context.data if size == usual else load_data(given, size) for size in sizes}
        return cls(
            space,
            data,
            recipe_values(given),
            rungs,
            stage_path(given) / FOLDER,
            confirm_images=context.confirm_images,
            early_stop=given.early_stop,
            validates=was_given(given, "validate_every"),
            keep=given.keep_trials,
            device=context.device,
        )

    def _images(self, rung: Rung) -> Images:
        data = self.data[rung.resolution(self._usual.resolution)]
        count = max(1, round(rung.share * len(data.train)))
        part = data.train if rung.share == 1 else SplitPart(data.train, torch.arange(count))
        return Images(data, part, *hold_back(data.val, self.confirm_images, self._options.random_seed))

    def _rehearse(self) -> list[str]:
        """Put a training of each course together; returns what trainers depend on beside options and images.

        A network that cannot be built is a trial that fails, and another may do.

        Raises UserError for what no training of this search could do.
        """
        found = []
        architecture = self.space.sample(random.Random(self._options.random_seed))
        for number in {rung.course: number for number, rung in enumerate(self.rungs)}.values():
            try:
                network = self.setting.network(architecture, self.rungs[number])
            except Exception:  # noqa: S112 - whatever the user's code raises
                continue
            found.append(self.setting.assembled(number, network)[0].trainer.fingerprint())
        return [text for text in dict.fromkeys(found) if text]

    def seconds(self, architecture: Architecture) -> float:
        """A first estimate of the seconds of a training to the last fidelity, without validation."""
        number = len(self.rungs) - 1
        recipe, _ = self.setting.assembled(number, self.setting.network(architecture, self.rungs[number]))
        return recipe.steps * step_seconds(recipe)

    @property
    def images(self) -> int:
        """Images, forward and backward, of a training to the last fidelity."""
        return self.rungs[-1].epochs * self.setting.images[-1].in_epoch(self._options.batch_size)

    @property
    def fidelities(self) -> tuple[Fidelity, ...]:
        return tuple(rung.fidelity for rung in self.rungs)

    @property
    def fingerprints(self) -> dict[str, Any]:
        setting, data = self.setting, self._usual
        watched = setting.validates or self.early_stop
        return {
            "space": self.space.macro_fingerprint
            if isinstance(self.space, NetworkSpace)
            else self.space.decisions_fingerprint,
            "images": data.split_record.get("sha256"),
            "mean and std": [data.mean, data.std],
            "resolution": data.resolution,
            "held back": self.confirm_images,
            "recipe": [trajectory(setting.options_at(rung)) for rung in _of_each_course(self.rungs)],
            "rungs": [dict(fidelity) for fidelity in self.fidelities],
            **({"trainers": self._beside} if self._beside else {}),
            **({"early stop": self.early_stop, "validate every": self._options.validate_every} if watched else {}),
        }

    @property
    def method(self) -> str:
        return "trained alone"

    @property
    def record(self) -> dict[str, Any]:
        return {"trials": FOLDER, "fidelities": [dict(fidelity) for fidelity in self.fidelities]}

    def describe(self, schedule: Schedule) -> str:
        options = self._options
        amounts = schedule.in_words([self.spell(fidelity) for fidelity in schedule.fidelities])
        images = quantity(len(self._usual.train), "training image")
        return (
            f"each network trained from random weights on {images}, trainer {options.trainer}, {options.optimizer} at "
            f"{options.lr:g}, {options.lr_scheduler}; judged {amounts}"
        )

    def spell(self, fidelity: Fidelity) -> str:
        rung = next(rung for rung in self.rungs if rung.fidelity == fidelity)
        less = [f" on {100 * rung.share:g} % of the images"] if rung.share < 1 else []
        less += [f" at {rung.resolution(0)} px"] if RESOLUTION in fidelity else []
        less += [f" at {rung.width:g} of the width"] if rung.width < 1 else []
        return f"after {quantity(rung.epochs, 'epoch')} of training{''.join(less)}"

    def estimate(self, evaluations: int) -> list[str]:
        return [f"trainings  {evaluations:,}, each judged {self.spell(self.fidelities[-1])} at most"]

    def close(self) -> None:
        """Nothing is open."""

    def finish(self) -> None:
        """Remove what a trial could have gone on from: the search has come to its end.

        Where its budget ended before any trial came to the last fidelity, the best of the greatest are kept.
        """
        if self.keep and not any(self.folder.glob("*.safetensors")):
            for trial in furthest(self.setting):
                trial.keep_reached()
        for path in self.folder.glob("*.pt"):
            path.unlink(missing_ok=True)

    def price(self, architecture: Architecture, fidelity: Fidelity) -> dict[str, float]:
        """{"epochs": ...} with all that lower fidelities of the architecture took; seconds are not known."""
        return {"epochs": Trial(self.setting, architecture).price(self.fidelities.index(fidelity))}

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        """One result for each distinct architecture: read where it is there, or after its training."""
        number = len(self.rungs) - 1 if fidelity is None else self.fidelities.index(fidelity)
        for architecture in dict.fromkeys(architectures):
            yield Trial(self.setting, architecture).result(number)

    def lost(self, architecture: Architecture, fidelity: Fidelity | None, why: str, seconds: float) -> Result:
        """The failed result of a trial whose process has died, as recorded in its files."""
        number = len(self.rungs) - 1 if fidelity is None else self.fidelities.index(fidelity)
        return Trial(self.setting, architecture).lost(number, why, seconds)

    @property
    def confirms(self) -> str:
        return f"{self.confirm_images:,} validation images" if self.confirm_images else ""

    def confirm(self, architectures: Sequence[Architecture]) -> Iterator[Result]:
        """The judgement of the same trained networks on the images held back."""
        for architecture in dict.fromkeys(architectures):
            yield Trial(self.setting, architecture).confirmation()

    def order(self, architectures: Sequence[Architecture]) -> list[Architecture]:
        return list(dict.fromkeys(architectures))

    def factory(self, number: int, count: int, threads: int) -> Callable[[], TrainingEvaluator]:
        """An equal evaluator for another process; several GPUs take turns, unless --device names one."""
        device = self.device
        if str(device) == "cuda":
            device = torch.device("cuda", number % torch.cuda.device_count())
        arguments = {one.name: getattr(self, one.name) for one in fields(self) if one.init}
        return partial(_in_process, arguments | {"device": device}, threads)


def _of_each_course(rungs: Sequence[Rung]) -> list[Rung]:
    return list({rung.course: rung for rung in rungs}.values())


def _in_process(arguments: dict[str, Any], threads: int) -> TrainingEvaluator:
    plugins = arguments["values"].get("plugins")
    if plugins:
        import_plugins([plugins])
    prepare_device(arguments["device"], threads)
    return TrainingEvaluator(**arguments)


def _measures(context: Context) -> dict[str, bool]:
    return {context.task.metric: context.task.maximise, "loss": False}


TRAINING = Entry(TrainingEvaluator.of, _measures, Options=TrainedOptions)
