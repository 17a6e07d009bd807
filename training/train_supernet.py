"""The stage `train_supernet`: a supernet, trained as --sample-strategy says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config_file.run_folder import RunFolder
from config_file.stages import command, stage_path
from supernet import SearchSpace, Supernet
from supernet.saved import named_space
from training.checkpoint import LAST, SUPERNET, load_checkpoint, restore_rng_states, rng_states, save_checkpoint
from training.data import Data, load_data
from training.device import choose_amp, choose_device, prepare_device
from training.differentiable_search.hardware import cost_range
from training.evaluate import PathValidation
from training.initialise import initialise
from training.loop import fit
from training.losses import make_loss
from training.options import TrainSupernetOptions
from training.planning import duration, print_plan
from training.recipe import Recipe, make_recipe, trajectory
from training.state import TrainingState, make_state, place_model
from training.supernet_file import DESCRIPTION, WEIGHTS, save_supernet
from training.trainer import Context, Trainer
from training.trainers import TRAINERS, check_limits, find_trainer

VALIDATED_PATHS = 4
VALIDATED_IMAGES = 500


def space_of(options: Any, data: Data) -> SearchSpace:
    """The search space that the options name, for this data set's resolution and classes.

    Raises:
        UserError: unknown space, or settings that it does not have.
    """
    return named_space(options, resolution=data.resolution, num_classes=len(data.classes), in_channels=data.in_channels)


@dataclass(frozen=True)
class SupernetTraining:
    """All parts of one supernet's training, ready to start."""

    options: TrainSupernetOptions
    data: Data
    supernet: Supernet
    trainer: Trainer
    recipe: Recipe
    state: TrainingState


def prepare_supernet(options: TrainSupernetOptions) -> SupernetTraining:
    """Load the data, build the space and the supernet with its starting weights, and what trains it. Writes nothing.

    Raises:
        UserError: an option names something that there is not, or data cannot be read.
    """
    make_trainer = find_trainer("sample strategy", options.sample_strategy, TRAINERS)
    device = choose_device(options.device)
    prepare_device(device, options.threads)
    data = load_data(options, options.resolution)
    supernet = Supernet(space_of(options, data), recompute=options.recompute)
    initialise(supernet, options.random_seed)
    if options.pretrained is not None:
        from supernet.pretrained import load_pretrained  # noqa: PLC0415  # imports torchvision

        load_pretrained(supernet, options.pretrained)
    place_model(options, supernet, device)
    loss = make_loss(options.loss, options.label_smoothing, data.task)
    trainer = make_trainer(Context(options, data, data.train, supernet, loss, device, choose_amp(options.amp, device)))
    check_limits(options.sample_strategy, trainer)
    state = make_state(options, trainer)
    return SupernetTraining(options, data, supernet, trainer, make_recipe(options, trainer), state)


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
            how_to_resume=f"{command('supernet', options)} --resume",
            description=f"supernet {space.name}",
        )
        job.trainer.finish(run)
        for name in (WEIGHTS, DESCRIPTION):
            run.file(name)
        save_supernet(folder, job.supernet, _about(job))  # last: it marks the stage as finished
        run.log(
            f"trained {recipe.steps:,} steps of {job.trainer.passes_per_step} path(s) on {recipe.batch_size} images in "
            f"{duration(state.seconds)}; {VALIDATED_PATHS} {job.trainer.validated} with inherited weights: validation "
            f"{job.data.task.title} {job.data.task.show(state.validation[f'val_{job.data.task.metric}'], 1)}"
        )
        run.log(f"wrote {folder / WEIGHTS}")
        run.log(f"next: {command('search', options)}")
    return folder


def _say_start(run: RunFolder, job: SupernetTraining) -> None:
    run.log(job.data.summary())
    run.log(_model_line(job))
    if line := job.trainer.describe():
        run.log(line)
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
        f"parameters, sampled by {job.options.sample_strategy} ({job.trainer.passes_per_step} path(s) per step)"
    )


def _path_validation(job: SupernetTraining) -> PathValidation:
    return PathValidation(
        paths=job.trainer.paths_to_validate(VALIDATED_PATHS, job.recipe.steps),
        data=job.data,
        batch_size=job.recipe.batch_size,
        limit=VALIDATED_IMAGES,
        device=job.recipe.device,
        seed=job.options.split_seed,
        channels_last=job.recipe.channels_last,
    )


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
        "split": data.split_record | job.trainer.record(),
        "train": {flag.removeprefix("--").replace("-", "_"): value for flag, value in trajectory(job.options).items()}
        | {"steps": recipe.steps, "paths_per_step": job.trainer.passes_per_step, "seconds": round(state.seconds, 1)}
        | {"device": str(recipe.device), "amp": "off" if recipe.amp is None else str(recipe.amp)},
        "validation": {**state.validation, "paths": VALIDATED_PATHS},
        "best_validation": state.best,
    }
