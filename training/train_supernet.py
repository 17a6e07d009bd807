"""Training a supernet: every step trains one path (uniform), or one path per candidate (strict fairness).

Strict fairness as FairNAS defines it (Chu et al. 2021): on one batch, n single-path backward passes in which every
candidate of every layer is used exactly once; the gradients are summed, not averaged; one optimizer step follows.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from config_file.errors import choose
from config_file.options import TrainSupernetOptions
from config_file.plugins import is_reference
from config_file.run_folder import RunFolder, stage_path
from config_file.stages import command
from supernet import SearchSpace, Supernet, build_space, make_sampler
from supernet.samplers import SAMPLERS, Sampler
from training.checkpoint import LAST, SUPERNET, load_checkpoint, restore_rng_states, rng_states, save_checkpoint
from training.constrained_sampler import ConstrainedSampler, constrained_sampler
from training.data import Data, load_data
from training.data.split_part import divide
from training.device import choose_device, prepare_device
from training.differentiable_search.hardware import cost_range, make_hardware
from training.differentiable_search.learner import ArchitectureLearner
from training.differentiable_search.report import report_epoch, save_learnt
from training.differentiable_search.step import WeightStep
from training.evaluate import PathValidation
from training.initialise import initialise
from training.loop import fit
from training.planning import duration, print_plan
from training.recipe import DIFFERENTIABLE, Recipe, StepPlan, TrainingState, make_recipe, make_state, trajectory
from training.supernet_file import WEIGHTS, save_supernet

VALIDATED_PATHS = 4
VALIDATED_IMAGES = 500


def space_of(options: Any, data: Data) -> SearchSpace:
    """The search space that the options name, for this data set's resolution and classes.

    Raises:
        UserError: unknown space, or settings that it does not have.
    """
    return build_space(
        options.search_space,
        resolution=data.resolution,
        num_classes=len(data.classes),
        in_channels=data.in_channels,
        widths=options.widths,
        depths=options.depths,
        strides=options.strides,
        skip=options.skip,
    )


def path_plan(supernet: Supernet, sampler: Sampler) -> Callable[[int], StepPlan]:
    """For each step one forward pass for each path that the sampler gives, and the parameters of these paths."""

    def plan(step: int) -> StepPlan:
        paths = sampler.paths(step)
        forwards = [partial(_along, supernet, path) for path in paths]
        if len(paths) == 1:
            return StepPlan(forwards, supernet.parameters_of(paths[0]))
        return StepPlan(forwards, list(dict.fromkeys(p for path in paths for p in supernet.parameters_of(path))))

    return plan


def _along(supernet: Supernet, path: tuple[int, ...], x: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = supernet(x, path)
    return logits


@dataclass(frozen=True)
class SupernetTraining:
    """All parts of one supernet's training, ready to start."""

    options: TrainSupernetOptions
    data: Data
    supernet: Supernet
    sampler: Sampler
    recipe: Recipe
    state: TrainingState
    learner: ArchitectureLearner | None = None


def prepare_supernet(options: TrainSupernetOptions) -> SupernetTraining:
    """Load the data, build the space and the supernet with its starting weights, and what trains it. Writes nothing.

    Raises:
        UserError: an option names something that there is not, or data cannot be read.
    """
    if not is_reference(options.sample_strategy):
        choose("sample strategy", options.sample_strategy, dict.fromkeys([*SAMPLERS, *DIFFERENTIABLE]))
    device = choose_device(options.device)
    prepare_device(device, options.threads)
    data = load_data(options, options.resolution)
    space = space_of(options, data)
    supernet = Supernet(space, recompute=options.recompute)
    initialise(supernet, options.random_seed)
    if options.pretrained is not None:
        from supernet.pretrained import load_pretrained  # noqa: PLC0415  # imports torchvision

        load_pretrained(supernet, options.pretrained)
    state = make_state(options, supernet, device, task=data.task)
    if options.sample_strategy in DIFFERENTIABLE:
        return _with_learner(options, data, supernet, state, device)
    sampler = constrained_sampler(options, space, data.resolution) or make_sampler(
        options.sample_strategy, space, options.random_seed
    )
    recipe = make_recipe(options, data.train, device, path_plan(supernet, sampler))
    return SupernetTraining(options, data, supernet, sampler, recipe, state)


def _with_learner(
    options: TrainSupernetOptions, data: Data, supernet: Supernet, state: TrainingState, device: torch.device
) -> SupernetTraining:
    """Weights and architecture parameters, on two parts of the training images."""
    hardware = make_hardware(options, supernet.space, data.resolution, device)
    for_weights, for_architecture = divide(data.train, options.a_portion, options.split_seed)
    learner = ArchitectureLearner(
        options,
        supernet,
        for_architecture,
        hardware,
        device,
        epochs=options.epochs,
        steps_per_epoch=max(1, len(for_weights) // options.batch_size),
    )
    state.beside = learner
    recipe = make_recipe(options, for_weights, device, learner.plan)

    def weight_step(step: int) -> WeightStep:
        return WeightStep(learner.plan(step).parameters, state.optimizer, recipe.rate(step))

    def before_step(step: int, x: torch.Tensor, y: torch.Tensor) -> None:
        learner.step(step, x, y, partial(weight_step, step))

    recipe = replace(recipe, before_step=before_step)
    return SupernetTraining(options, data, supernet, learner, recipe, state, learner)


def plan_supernet(options: TrainSupernetOptions) -> None:
    """Print what `train_supernet` would do with these options, from a few timed steps."""
    job = prepare_supernet(options)
    target = cost_range(options, job.supernet.space, job.data.resolution)
    print_plan("train_supernet", job.data, _model_line(job), job.recipe, job.state, options, target)


def train_supernet(options: TrainSupernetOptions) -> Path:
    """Train a supernet into its run folder, which is returned.

    Leaves supernet.safetensors, supernet.json and checkpoints/last.pt. With `options.resume` an interrupted training
    goes on, on a CPU bit for bit as if it had not been interrupted.

    Raises:
        UserError: bad options or data, a folder that is taken, a checkpoint that does not fit, divergence.
        KeyboardInterrupt: Ctrl-C, after the running step and a checkpoint.
    """
    folder = stage_path(options)
    if options.resume and (folder / WEIGHTS).is_file():
        print(f"{folder} has finished already; next: {command('search', options)}")
        return folder
    RunFolder.check(options)
    job = prepare_supernet(options)
    space, state, recipe = job.supernet.space, job.state, job.recipe
    fingerprint, settings = space.macro_fingerprint, trajectory(options)
    checkpoint = folder / "checkpoints" / LAST
    if options.resume and checkpoint.is_file():
        # Before the folder is opened: a checkpoint that is refused leaves everything as it was.
        saved = load_checkpoint(checkpoint, SUPERNET, fingerprint, settings)
        state.load_state_dict(saved)
        restore_rng_states(saved["rng"])

    def save() -> None:
        content = state.state_dict() | {"rng": rng_states()}
        save_checkpoint(checkpoint, SUPERNET, fingerprint, settings, content)

    with RunFolder.open(options) as run:
        _say_start(run, job)
        fit(
            recipe,
            state,
            run,
            save=save,
            validate=lambda: _path_validation(job)(job.supernet),
            each_epoch=None if job.learner is None else partial(_report_epoch, job, run),
            how_to_resume=f"{command('supernet', options)} --resume",
            description=f"supernet {space.name}",
        )
        if job.learner is not None:
            save_learnt(job.learner, run, {"order": job.learner.options.a_order})
        save_supernet(folder, job.supernet, _about(job))  # last: it marks the stage as finished
        paths = "random paths" if job.learner is None else "paths of the learnt distribution"
        run.log(
            f"trained {recipe.steps:,} steps of {job.sampler.paths_per_step} path(s) on {recipe.batch_size} images in "
            f"{duration(state.seconds)}; {VALIDATED_PATHS} {paths} with inherited weights: validation "
            f"{job.data.task.title} {job.data.task.show(state.validation[f'val_{job.data.task.metric}'], 1)}"
        )
        run.log(f"wrote {folder / WEIGHTS}")
        run.log(f"next: {command('search', options)}")
    return folder


def _say_start(run: RunFolder, job: SupernetTraining) -> None:
    run.log(job.data.summary())
    run.log(_model_line(job))
    if job.learner is not None:
        run.log(job.learner.describe())
    if run.resumed:
        run.truncate_metrics(job.state.step)
        run.log(f"resumed after step {job.state.step:,} of {job.recipe.steps:,}")
    if job.options.amp in ("bf16", "fp16") and job.recipe.amp is None:
        run.log(f"--amp {job.options.amp} is ignored: on this CPU float32 in channels_last layout is faster")


def _model_line(job: SupernetTraining) -> str:
    space = job.supernet.space
    weights = sum(p.numel() for p in job.supernet.parameters())
    count = f"{space.size:,}" if space.size < 10**9 else f"{space.size:.2e}"
    return (
        f"{space.name}: {len(space.decisions)} decisions, {count} architectures, a supernet of {weights / 1e6:.1f} M "
        f"parameters, sampled by {job.options.sample_strategy} ({job.sampler.paths_per_step} path(s) per step)"
    )


def _path_validation(job: SupernetTraining) -> PathValidation:
    if job.learner is None:
        sampler = job.sampler
        if not isinstance(sampler, ConstrainedSampler):
            sampler = make_sampler("uniform", job.supernet.space, job.options.random_seed)
        # Steps no training reaches, so that these are not just the paths it began with.
        paths = [sampler.paths(-1 - index)[0] for index in range(VALIDATED_PATHS)]
    else:
        drawn = [job.learner.paths(job.recipe.steps + index)[0] for index in range(VALIDATED_PATHS - 1)]
        paths = [job.learner.derive(), *drawn]
    return PathValidation(
        paths=paths,
        data=job.data,
        batch_size=job.recipe.batch_size,
        limit=VALIDATED_IMAGES,
        device=job.recipe.device,
        seed=job.options.split_seed,
        channels_last=job.recipe.channels_last,
    )


def _report_epoch(job: SupernetTraining, run: RunFolder) -> None:
    assert job.learner is not None
    report_epoch(job.learner, run, job.state.step)


def _about(job: SupernetTraining) -> dict[str, Any]:
    data, state, recipe = job.data, job.state, job.recipe
    return {
        "task": data.task.name,
        "classes": list(data.classes),
        "in_channels": data.in_channels,
        "resolution": data.resolution,
        "mean": list(data.mean),
        "std": list(data.std),
        "dataset": data.name,
        "split": data.split_record | _parts(job),
        "train": {flag.removeprefix("--").replace("-", "_"): value for flag, value in trajectory(job.options).items()}
        | {"steps": recipe.steps, "paths_per_step": job.sampler.paths_per_step, "seconds": round(state.seconds, 1)}
        | {"device": str(recipe.device), "amp": "off" if recipe.amp is None else str(recipe.amp)},
        "validation": {**state.validation, "paths": VALIDATED_PATHS},
        "best_validation": state.best,
    }


def _parts(job: SupernetTraining) -> dict[str, Any]:
    """How the training images were divided between weights and architecture."""
    if job.learner is None:
        return {}
    images = {"weights": len(job.recipe.images), "architecture": len(job.learner.images)}
    return {"train_parts": images | {"seed": job.options.split_seed}}
