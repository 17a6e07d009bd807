"""Trainers by name: one registry for supernets, one for single networks. A trainer says what each step trains.

A new trainer is one file here and an entry, or a callable of the user's own, `package.module:callable`; either is
called with a `Context` and gives a `Trainer`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from config_file.errors import UserError, choose
from config_file.plugins import guarded, is_reference, load_object, reference_of
from training.data.landmarks import POSE
from training.trainer import Context, Pass, Trainer, TrainingStep
from training.trainers.around import Wrapper
from training.trainers.auxiliary_head import HEAD, BesideHead
from training.trainers.balanced import Balanced
from training.trainers.differentiable import Differentiable, Gumbel
from training.trainers.distillation import Distillation
from training.trainers.drop_path import DropPath
from training.trainers.enas import Enas
from training.trainers.network import Plain
from training.trainers.paths import Fair
from training.trainers.pose import BesidePose, Pose
from training.trainers.resolution import ElasticResolution
from training.trainers.sandwich import Sandwich
from training.trainers.taught import Taught
from training.trainers.uniform import Uniform

Factory = Callable[[Context], Trainer]

TRAINERS: dict[str, Factory] = {
    "uniform": Uniform,
    "balanced": Balanced,
    "fair": Fair,
    "sandwich": Sandwich,
    "differentiable": Differentiable,
    "differentiable_gumbel": Gumbel,
    "enas": Enas,
}
"""Trainers of supernets, by the name of --sample-strategy."""

NETWORK_TRAINERS: dict[str, Factory] = {"plain": Plain, POSE: Pose, "distillation": Distillation}
"""Trainers of one network, by the name of --trainer."""

AUXILIARIES: dict[str, Wrapper] = {POSE: BesidePose, HEAD: BesideHead}
"""Nets that are trained beside a supernet and thrown away, by the name of --auxiliary: around its trainer."""

NETWORK_AUXILIARIES: dict[str, Wrapper] = {HEAD: BesideHead}
"""Those that are trained beside one network, likewise."""

AROUND: dict[str, Wrapper] = {
    "teacher": Taught,
    "elastic_resolution": ElasticResolution,
}
"""What an option of a supernet's training, where it is given, puts around its trainer."""

_GUARDED = [name for name, member in vars(Trainer).items() if callable(member) and not name.startswith("_")]
"""The methods of a trainer."""


def relaxation_of(name: str) -> str | None:
    """The relaxation by which a registered trainer learns an architecture; None: it learns none."""
    return getattr(TRAINERS.get(name), "relaxation", None)


def find_trainer(kind: str, name: str, trainers: Mapping[str, Factory]) -> Factory:
    """The registered trainer called `name`, or the user's own as "package.module:callable", ready to be made.

    Raises:
        UserError: there is none of that name (it gives the nearest one), or nothing to call.
    """
    make = load_object(name) if is_reference(name) else choose(kind, name, trainers)
    reference = name if is_reference(name) else reference_of(name, make, "training")
    if reference is None:
        return make

    def made(context: Context) -> Trainer:
        trainer = guarded(reference, make)(context)
        if not isinstance(trainer, Trainer):
            raise UserError(f"{name} made a {type(trainer).__name__}, not a training.Trainer")
        return _guard(reference, trainer)

    return made


def find_network_trainer(options: Any) -> Factory:
    """The trainer of one network that the options name, with the net beside it and the dropped paths that they ask for.

    Raises:
        UserError: an option names something that there is not.
    """
    make = find_trainer("trainer", options.trainer, NETWORK_TRAINERS)
    if options.auxiliary is not None:
        make = partial(choose("auxiliary net", options.auxiliary, NETWORK_AUXILIARIES), make)
    if not options.drop_path:
        return make
    return lambda context: DropPath(make(context), options.drop_path)


def trainer_of(options: Any) -> Factory:
    """The maker of a supernet's trainer: that of --sample-strategy, with what options put around it."""
    make = find_trainer("sample strategy", options.sample_strategy, TRAINERS)
    for name, around in AROUND.items():
        if getattr(options, name) is not None:
            make = partial(around, make)
    return make


def check_limits(name: str, trainer: Trainer) -> None:
    """Raises UserError where --target-hc or --min-hc is given to a trainer that does nothing with it."""
    options = trainer.context.options
    if (options.target_hc is not None or options.min_hc is not None) and not trainer.keeps_limits:
        raise UserError(f"--target-hc and --min-hc limit the paths of --sample-strategy uniform, not of {name}")


def _guard(name: str, trainer: Trainer) -> Trainer:
    """The user's own trainer, whose exceptions become one line and whose passes are held to what a pass is."""
    plan = guarded(name, trainer.step)

    def step(number: int) -> TrainingStep:
        planned = plan(number)
        return TrainingStep([_checked(name, run) for run in planned.passes], planned.parameters)

    guards: dict[str, Any] = {method: guarded(name, getattr(trainer, method)) for method in _GUARDED}
    for method, guard in (guards | {"step": step}).items():
        setattr(trainer, method, guard)
    return trainer


def _checked(name: str, run: Pass) -> Pass:
    call = guarded(name, run)

    def checked(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        given = call(x, y)
        if not (isinstance(given, tuple) and len(given) == 2 and all(isinstance(part, Tensor) for part in given)):
            raise UserError(f"{name}: a pass gave a {type(given).__name__}; it must give (loss, outputs), two tensors")
        loss, outputs = given
        if loss.shape != () or not loss.requires_grad:
            found = f"a loss of shape {tuple(loss.shape)}{'' if loss.requires_grad else ' without gradient'}"
            raise UserError(f"{name}: a pass gave {found}; it must be a scalar that is computed from the outputs")
        return loss, outputs

    return checked
