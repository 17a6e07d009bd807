"""The stage `train_supernet`: a supernet, trained as --sample-strategy says."""

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

from config_file.errors import UserError, choose
from config_file.quantity import millions, quantity
from config_file.run_folder import RunFolder
from supernet import NetworkSpace, SearchSpace, Supernet, extract
from supernet.channel_order import sort_channels
from supernet.saved import named_space
from supernet.space import with_sites
from training.bn_calibration import calibrate_batch_norm
from training.checkpoint import SUPERNET
from training.data import Data, load_data
from training.device import choose_device, place, prepare_device
from training.differentiable_search.hardware import cost_range
from training.distributed import here
from training.estimate import duration
from training.evaluate import score
from training.image_size import AtItsImageSize
from training.initialise import initialise
from training.options import TrainSupernetOptions
from training.phased import Phased
from training.phases import phases_of
from training.planning import print_plan
from training.recipe import Recipe
from training.stage import Training, run_training
from training.state import make_context, make_state
from training.supernet_file import DESCRIPTION, WEIGHTS, save_supernet
from training.trainer import Trainer
from training.trainers import AUXILIARIES, TRAINERS, check_limits, find_trainer, relaxation_of, trainer_of

VALIDATED_PATHS = 4
VALIDATED_IMAGES = 500


def networks_of(options: Any, data: Data) -> NetworkSpace:
    """The space that the options name, for this data set's resolution and classes, of networks trained one by one.

    Raises:
        UserError: unknown space, settings that it does not have, or the image size is one of its decisions.
    """
    space = named_space(options, **_image(data))
    if isinstance(space, SearchSpace) and space.images is not None:
        raise UserError(f"{space.name}: the image size is a decision, which only a supernet's training follows: fix it")
    return space


def _image(data: Data) -> dict[str, Any]:
    return {"resolution": data.resolution, "num_classes": len(data.classes), "in_channels": data.in_channels}


def prepare_supernet(options: TrainSupernetOptions) -> Training:
    """Load the data, build the space and the supernet with its starting weights, and what trains it. Writes nothing.

    Raises:
        UserError: an option names something that there is not, or data cannot be read.
    """
    band = getattr(find_trainer("sample strategy", options.sample_strategy, TRAINERS), "band", None)
    beside = None if options.auxiliary is None else choose("auxiliary net", options.auxiliary, AUXILIARIES)
    if not options.epochs and relaxation_of(options.sample_strategy) is not None:
        raise UserError(f"--epochs 0 learns no architecture: --sample-strategy {options.sample_strategy} needs epochs")
    device = choose_device(options.device)
    prepare_device(device, options.threads)

    def check(classes: int, resolution: int) -> None:
        if band is not None:
            band(options, named_space(options, resolution=resolution, num_classes=classes))

    data = load_data(options, options.resolution, check)
    supernet = Supernet(with_sites(named_space(options, shared=True, **_image(data))), recompute=options.recompute)
    initialise(supernet, options.random_seed)
    if options.pretrained is not None and not (options.plan and options.pretrained == "torchvision"):
        # of a plan nothing is downloaded
        from supernet.pretrained import load_pretrained  # noqa: PLC0415  # seldom needed

        _check_complete(options, supernet, load_pretrained(supernet, options.pretrained))
    if options.sort_channels and not sort_channels(supernet):
        raise UserError(f"--sort-channels: no layer of {supernet.space.name} has narrower ones as its first channels")
    context = make_context(options, data, data.train, supernet, device, here(options))
    make = trainer_of(options) if options.phases is None else partial(Phased, phases_of(options), trainer_of)
    trainer = make(context) if beside is None else beside(make, context)
    check_limits(options.sample_strategy, trainer)
    recipe = Recipe(trainer)
    lines = [data.summary(), _model_line(trainer)]
    if line := trainer.describe():
        lines.append(line)
    if options.amp in ("bf16", "fp16") and recipe.amp is None:
        lines.append(f"--amp {options.amp} is ignored: on this CPU float32 in channels_last layout is faster")
    return Training(
        kind=SUPERNET,
        options=options,
        data=data,
        recipe=recipe,
        state=make_state(trainer),
        fingerprint=supernet.space.macro_fingerprint,
        lines=lines,
        validate=partial(validate_paths, recipe),
        title=f"supernet {supernet.space.name}",
    )


def _check_complete(options: TrainSupernetOptions, supernet: Supernet, filled: Collection[str]) -> None:
    """Raises UserError where nothing is trained and something is left as it was drawn."""
    missing = [site for site, weights in supernet.bank.items() if site not in filled and [*weights.parameters()]]
    if not options.epochs and missing:
        raise UserError(f"--epochs 0: {options.pretrained} does not fill {', '.join(missing[:5])}; train it")


def plan_supernet(options: TrainSupernetOptions) -> None:
    """Print what `train_supernet` would do with these options, from a few timed steps."""
    training = prepare_supernet(options)
    print_plan(training, cost_range(options, training.trainer.context.space, training.data.resolution))


def train_supernet(options: TrainSupernetOptions) -> Path:
    """Train a supernet into its run folder, which is returned.

    Leaves supernet.safetensors, supernet.json and checkpoints/last.pt. With `options.resume` an interrupted training
    goes on, on a CPU bit for bit as if it had not been interrupted.

    Raises:
        UserError: bad options or data, a folder that is taken, a checkpoint that does not fit, divergence.
        KeyboardInterrupt: Ctrl-C, after the running step and a checkpoint.
    """
    return run_training(options, "search", lambda given: (job := prepare_supernet(given), partial(_finish, job)))


def _finish(training: Training, run: RunFolder) -> None:
    recipe, state, trainer, task = training.recipe, training.state, training.trainer, training.data.task
    trainer.finish(run)
    for name in (WEIGHTS, DESCRIPTION):
        run.file(name)
    if recipe.ranks.number == 0:
        save_supernet(run.path, trainer.context.supernet, _about(training))  # last: it marks the stage as finished
    images = min(recipe.options.batch_size, len(recipe.images))
    run.log(
        f"trained {quantity(state.step, 'step')}, {quantity(trainer.passes(state.step), 'path')} on "
        f"{quantity(images, 'image')} each, in {duration(state.seconds)}; {VALIDATED_PATHS} {trainer.validated} with "
        f"inherited weights: validation {task.title} {task.show(state.validation[f'val_{task.metric}'], 1)}"
    )
    run.log(f"wrote {run.path / WEIGHTS}")


def _model_line(trainer: Trainer) -> str:
    space, options = trainer.context.space, trainer.context.options
    weights = sum(p.numel() for p in trainer.context.model.parameters())
    count = f"{space.size:,}" if space.size < 10**9 else f"{space.size:.2e}"
    sampled = f"sampled by {options.sample_strategy} ({quantity(trainer.passes_per_step, 'path')} per step)"
    return (
        f"{space.name}: {quantity(len(space.decisions), 'decision')}, {count} architectures, a supernet of "
        f"{millions(weights)} parameters, {sampled if options.phases is None else 'trained in phases'}"
    )


def validate_paths(recipe: Recipe) -> dict[str, float]:
    """The metric of a few fixed paths with inherited weights: a curve that says whether the supernet learns.

    Each path's BN statistics are measured on one batch of training images, as those the supernet keeps are mixed over
    all paths. The supernet itself is left as it is. Not a ranking: that is the search's work, on more images.

    Returns:
        {"val_accuracy": mean over the paths, "val_accuracy_min", "val_accuracy_max", "val_loss"} (or "val_nme").
    """
    context, options = recipe.trainer.context, recipe.options
    data, seed, form = context.data, options.split_seed, {"channels_last": options.channels_last}
    size = min(options.batch_size, len(data.train))
    batches = data.train.batches(size, seed=seed, shuffle=True, limit=size, device=recipe.device, **form)
    calibration = [x for x, _ in batches]
    limit = min(VALIDATED_IMAGES, len(data.val))
    scores = []
    for path in recipe.trainer.paths_to_validate(VALIDATED_PATHS, recipe.steps):
        alone = place(extract(context.supernet, path), recipe.device, options.channels_last)
        network = AtItsImageSize(alone, context.space, path)
        calibrate_batch_norm(network, calibration)
        batches = data.val.batches(
            options.batch_size,
            seed=seed,
            shuffle=True,
            limit=limit,
            device=recipe.device,
            part=recipe.ranks.part,
            **form,
        )
        scores.append(score(network, batches, recipe.device, task=recipe.task, ranks=recipe.ranks))
    values = [found.value for found in scores]
    named = [found.named("val", recipe.task) for found in scores]
    key = f"val_{recipe.task.metric}"
    means = {name: sum(numbers[name] for numbers in named) / len(named) for name in named[0]}
    return means | {f"{key}_min": min(values), f"{key}_max": max(values)}


def _about(training: Training) -> dict[str, Any]:
    data, state, trainer = training.data, training.state, training.trainer
    return {
        "task": data.task.name,
        "classes": list(data.classes),
        "in_channels": data.in_channels,
        "resolution": data.resolution,
        "mean": list(data.mean),
        "std": list(data.std),
        "colour_order": data.colour_order,
        "dataset": data.name,
        "split": data.split_record | trainer.record(),
        "train": training.how(paths_per_step=trainer.passes_per_step),
        "validation": {**state.validation, "paths": VALIDATED_PATHS},
        "best_validation": state.best,
    }
