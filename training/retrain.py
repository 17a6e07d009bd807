"""Training one network for good: from random weights or those inherited from the supernet, tested once at the end."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from config_file.errors import UserError
from config_file.files import atomic_path, atomic_write_text
from config_file.run_folder import RunFolder
from config_file.stages import command, find_stage, stage_path
from deployment.weights import save_network
from supernet import NetSpec, Network, extract
from training.architecture import Chosen, choose_architecture
from training.checkpoint import LAST, RETRAIN, load_checkpoint, restore_rng_states, rng_states, save_checkpoint
from training.data import Data, Split, load_data
from training.data.seeds import generator_of
from training.device import choose_amp, choose_device, prepare_device
from training.evaluate import Score, evaluate
from training.initialise import initialise
from training.loop import fit
from training.losses import make_loss
from training.options import RetrainOptions
from training.planning import duration, print_plan
from training.recipe import Recipe, make_recipe, trajectory
from training.state import TrainingState, make_state, place_model
from training.supernet_file import load_supernet
from training.trainer import Context
from training.trainers import NETWORK_TRAINERS, find_trainer

WEIGHTS, RESULT, SAMPLES = "model.safetensors", "result.json", "samples.npz"
SAMPLE_IMAGES = 64


@dataclass(frozen=True)
class RetrainResult:
    """What came out of `retrain`.

    Attributes:
        network: trained (the moving average, if there is one), in eval mode on the CPU.
        test: on the test split, looked at once.
        val: on the validation split, None if it was trained on.
        macs: multiply-accumulates of one image.
        params: parameters.
        seconds: of training.
        summary: the content of result.json.
    """

    network: Network
    test: Score
    val: Score | None
    macs: int
    params: int
    seconds: float
    summary: dict[str, Any]


def retrain(
    spec: NetSpec,
    data: Data,
    options: RetrainOptions,
    run: RunFolder,
    *,
    network: Network | None = None,
    about: Mapping[str, Any] | None = None,
) -> RetrainResult:
    """Train any network and leave model.safetensors, samples.npz and result.json in the run's folder.

    Nothing is chosen by the test split, nor by the validation split: the weights are those of the last step.

    Args:
        spec: the network.
        data: `options.train_on` says whether it learns from train and val together or from train only.
        options: of the stage; only those of the training, the device and the seed are read.
        run: takes the log, the metrics, the checkpoints and the results.
        network: weights to start from, a network of `spec`; None starts from random ones.
        about: what else the files should say about the network: search_space, space_options, architecture, names.

    Raises:
        UserError: a checkpoint that does not fit, or a training that diverged.
        KeyboardInterrupt: Ctrl-C, after the running step and a checkpoint.
    """
    recipe, state = _prepare(spec, data, options, network)
    metric = data.task.metric
    checkpoint = run.checkpoints / LAST
    if run.resumed:
        _load(checkpoint, spec, options, state)
        run.truncate_metrics(state.step)
        run.log(f"resumed after step {state.step:,} of {recipe.steps:,}")

    def save() -> None:
        content = state.state_dict() | {"rng": rng_states()}
        save_checkpoint(checkpoint, RETRAIN, _fingerprint(spec), trajectory(options), content)

    def score(split: Split) -> Score:
        state.trained.eval()
        try:
            return evaluate(state.trained, split, 256, recipe.device, channels_last=recipe.channels_last)
        finally:
            state.model.train()

    def validate() -> dict[str, float]:
        found = score(data.val)
        return {f"val_{metric}": found.value, "val_loss": found.loss}

    validates = options.train_on == "train"
    fit(
        recipe,
        state,
        run,
        save=save,
        validate=validate if validates else None,
        how_to_resume=f"{command('retrain', options)} --resume",
        description="retraining",
    )
    test, val = score(data.test), score(data.val) if validates else None
    trained = state.trained
    assert isinstance(trained, Network)
    trained = trained.cpu().eval()
    shape = (data.in_channels, data.resolution, data.resolution)
    description = {
        "search_space": None,
        "space_options": None,
        "architecture": None,
        "names": None,
        **(about or {}),
        "task": data.task.name,
        "classes": list(data.classes),
        "mean": list(data.mean),
        "std": list(data.std),
        "resolution": data.resolution,
        "crop_pct": data.crop_pct,
        "stretch": data.stretch,
        "dataset": data.name,
        f"test_{metric}": test.value,
        f"val_{metric}": None if val is None else val.value,
        "macs": spec.macs(shape),
        "params": spec.params(shape),
        "train": _how_trained(options, recipe, state),
    }
    _save_samples(run.file(SAMPLES), trained, data.test)
    summary = description | {
        "test_loss": test.loss,
        "test_images": test.images,
        "val_loss": None if val is None else val.loss,
        "val_images": None if val is None else val.images,
        "split": data.split_record,
    }
    atomic_write_text(run.file(RESULT), json.dumps(summary, indent=1, allow_nan=False) + "\n")
    save_network(run.file(WEIGHTS), trained, description)  # last: the stage after this one looks for it
    return RetrainResult(trained, test, val, description["macs"], description["params"], state.seconds, summary)


def _prepare(
    spec: NetSpec, data: Data, options: RetrainOptions, network: Network | None
) -> tuple[Recipe, TrainingState]:
    device = choose_device(options.device)
    prepare_device(device, options.threads)
    if network is None:
        network = Network(spec, data.in_channels)
        initialise(network, options.random_seed)
    place_model(options, network, device)
    images = data.train if options.train_on == "train" else data.trainval
    loss = make_loss(options.loss, options.label_smoothing, data.task)
    make_trainer = find_trainer("trainer", options.trainer, NETWORK_TRAINERS)
    trainer = make_trainer(Context(options, data, images, network, loss, device, choose_amp(options.amp, device)))
    return make_recipe(options, trainer), make_state(options, trainer, options.ema_decay)


def _load(checkpoint: Path, spec: NetSpec, options: RetrainOptions, state: TrainingState) -> None:
    if checkpoint.is_file():
        saved = load_checkpoint(checkpoint, RETRAIN, _fingerprint(spec), trajectory(options))
        state.load_state_dict(saved)
        restore_rng_states(saved["rng"])


def _fingerprint(spec: NetSpec) -> str:
    return hashlib.sha256(spec.to_json().encode()).hexdigest()[:16]


def _how_trained(options: RetrainOptions, recipe: Recipe, state: TrainingState) -> dict[str, Any]:
    return {flag.removeprefix("--").replace("-", "_"): value for flag, value in trajectory(options).items()} | {
        "steps": recipe.steps,
        "images": len(recipe.images),
        "seconds": round(state.seconds, 1),
        "device": str(recipe.device),
        "amp": "off" if recipe.amp is None else str(recipe.amp),
    }


@torch.no_grad()
def _save_samples(path: Path, network: nn.Module, test: Split) -> None:
    """Real images with what the network says of them: export compares against this without the data set."""
    chosen = torch.randperm(len(test), generator=generator_of("samples"))[:SAMPLE_IMAGES]
    images = test.raw(chosen)  # uint8 (N, R, R, 3)
    logits = network(test.normalisation(images, channels_last=False))  # (N, classes)
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary, images=images.numpy(), labels=test.labels[chosen].numpy(), logits=logits.float().numpy()
        )


def plan_retrain(options: RetrainOptions) -> None:
    """Print what `retrain_stage` would do with these options, from a few timed steps."""
    data = load_data(options, options.resolution)
    chosen = choose_architecture(options, data)
    spec = chosen.space.decode(chosen.architecture)
    recipe, state = _prepare(spec, data, options, None)
    print_plan("retrain", data, _network_line(chosen, spec), recipe, state, options)


def retrain_stage(options: RetrainOptions) -> Path:
    """Retrain the architecture that the options name into its run folder, which is returned.

    Raises:
        UserError: bad options or data, no such architecture or supernet, a folder that is taken, a checkpoint that does
            not fit, divergence.
        KeyboardInterrupt: Ctrl-C, after the running step and a checkpoint.
    """
    folder = stage_path(options)
    if options.resume and (folder / WEIGHTS).is_file():
        print(f"{folder} has finished already; next: {command('export', options)}")
        return folder
    RunFolder.check(options)
    data = load_data(options, options.resolution)
    task = data.task
    chosen = choose_architecture(options, data)
    spec = chosen.space.decode(chosen.architecture)
    network = _inherit(options, chosen) if options.init == "supernet" else None
    if options.resume:
        # Before the folder is opened: a checkpoint that is refused leaves everything as it was.
        _load(folder / "checkpoints" / LAST, spec, options, _prepare(spec, data, options, None)[1])
    about = {
        "search_space": chosen.space.name,
        "space_options": chosen.space.describe(),
        "architecture": list(chosen.architecture),
        "names": chosen.space.names(chosen.architecture),
    }
    with RunFolder.open(options) as run:
        run.log(data.summary())
        run.log(_network_line(chosen, spec))
        if options.init == "supernet":
            run.log("starts from the supernet's weights")
        result = retrain(spec, data, options, run, network=network, about=about)
        run.log(
            f"trained {options.epochs} epochs of {result.summary['train']['images']:,} images in "
            f"{duration(result.seconds)}"
        )
        if result.val is not None:
            run.log(f"validation {task.title} {task.show(result.val.value)} on {result.val.images:,} images")
        run.log(f"test {task.title} {task.show(result.test.value)} on {result.test.images:,} images, looked at once")
        run.log(f"wrote {folder / WEIGHTS}, {RESULT}, {SAMPLES}")
        run.log(f"next: {command('export', options)}")
    return folder


def _inherit(options: RetrainOptions, chosen: Chosen) -> Network:
    folder = find_stage(options, "supernet")
    trained = load_supernet(folder, options.search_space)
    if trained.space.macro_fingerprint != chosen.space.macro_fingerprint:
        raise UserError(
            f"--init supernet: the supernet in {folder} was built with other settings or classes "
            f"than the network to train ({chosen.space.name}: {chosen.space.describe()})"
        )
    return extract(trained.supernet, chosen.architecture).train()


def _network_line(chosen: Chosen, spec: NetSpec) -> str:
    shape = chosen.space.input_shape
    names = " ".join(chosen.space.names(chosen.architecture))
    return (
        f"{chosen.space.name} ({chosen.origin}): {spec.macs(shape) / 1e6:.2f} M multiply-accumulates, "
        f"{spec.params(shape) / 1e6:.3f} M parameters: {names}"
    )
