"""Training one network for good: from random weights or those inherited from the supernet, tested once at the end."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from config_file.errors import UserError
from config_file.files import write_sealed
from config_file.quantity import quantity
from config_file.run_folder import RunFolder
from config_file.stages import find_stage
from deployment.retrained import save_samples
from deployment.weights import save_network
from supernet import NetSpec, Network, extract
from training.architecture import Chosen, choose_architecture
from training.checkpoint import RETRAIN
from training.data import Data, Split, load_data
from training.data.seeds import generator_of
from training.device import choose_device, prepare_device
from training.distributed import Ranks, here
from training.estimate import duration
from training.evaluate import Score, score
from training.initialise import initialise
from training.kept_trial import load_trial
from training.loop import fit
from training.options import RetrainOptions
from training.planning import print_plan
from training.recipe import Recipe
from training.stage import Training, run_training
from training.state import TrainingState, make_context, make_state
from training.supernet_file import load_supernet
from training.trainer import Context, Reporter, Silent
from training.trainers import find_network_trainer

FORMAT = "oneshot-nas retraining 1"
WEIGHTS, RESULT, SAMPLES = "model.safetensors", "result.json", "samples.npz"
SAMPLE_IMAGES = 64


@dataclass(frozen=True)
class RetrainResult:
    """A network that was handed in.

    Attributes:
        network: trained (the moving average, if there is one), in eval mode on the CPU.
        val: None if that split was trained on.
        summary: the content of result.json.
    """

    network: Network
    test: Score
    val: Score | None
    summary: dict[str, Any]


def prepare_network(
    spec: NetSpec,
    data: Data,
    options: RetrainOptions,
    network: Network | None = None,
    lines: Sequence[str] = (),
    ranks: Ranks | None = None,
) -> Training:
    """The training of any network.

    Args:
        data: `options.train_on` says whether it learns from train and val together or from train only, and is validated
            on val.
        options: of the stage; only those of the training, the device and the seed are read.
        network: weights to start from, a network of `spec`; None starts from random ones.
        ranks: the processes that train it together; None: this one alone.

    Raises:
        UserError: an option names something that there is not.
    """
    make_trainer = find_network_trainer(options)
    device = choose_device(options.device)
    prepare_device(device, options.threads)
    if network is None:
        network = Network(spec, data.in_channels)
        initialise(network, options.random_seed)
    validates = options.train_on == "train"
    images = data.train if validates else data.trainval
    trainer = make_trainer(make_context(options, data, images, network, device, ranks))
    state = make_state(trainer, options.ema_decay)

    def validate() -> dict[str, float]:
        return _score(state, data.val, trainer.context).named("val", data.task)

    return Training(
        kind=RETRAIN,
        options=options,
        data=data,
        recipe=Recipe(trainer),
        state=state,
        fingerprint=hashlib.sha256(spec.to_json().encode()).hexdigest()[:16],
        lines=[*lines, *filter(None, [trainer.describe()])],
        validate=validate if validates else None,
        title="retraining",
    )


def train_network(
    spec: NetSpec, data: Data, options: RetrainOptions, reporter: Reporter | None = None
) -> TrainingState:
    """Train any network from random weights, without files; the test split is never looked at.

    With `options.train_on` "train" the state's `validation` is that of the end. Without a `reporter` nothing is said.

    Raises:
        UserError: an option names something that there is not, or the training diverged.
    """
    training = prepare_network(spec, data, options)
    fit(training.recipe, training.state, reporter or Silent(), validate=training.validate)
    return training.state


def retrain(
    spec: NetSpec, data: Data, options: RetrainOptions, run: RunFolder, about: Mapping[str, Any] | None = None
) -> RetrainResult:
    """Train any network from random weights into the run's folder, and hand it in; see `hand_in`.

    Raises:
        UserError: a checkpoint that does not fit, or a training that diverged.
        KeyboardInterrupt: Ctrl-C, after the running step and a checkpoint.
    """
    training = prepare_network(spec, data, options)
    if run.resumed:
        training.resume()
    training.run(run)
    return hand_in(training, run, about)


def hand_in(training: Training, run: RunFolder, about: Mapping[str, Any] | None = None) -> RetrainResult:
    """Test a network that has been trained, once, and leave model.safetensors, samples.npz and result.json.

    Nothing is chosen by the test split. The weights are those of the last step, or with `options.export_checkpoint`
    "best" those of the best validation, whose own figure is then one that was chosen by.

    `about` is what else they should say about the network: search_space, space_options, architecture, names.
    """
    data, state, context = training.data, training.state, training.trainer.context
    metric = data.task.metric
    if _exports_best(training):
        best = training.checkpoint.best
        state.take_best(best.read() if context.ranks.count == 1 else best.parsed(context.ranks.content(best.path)))
    test = _score(state, data.test, context)
    val = None if training.validate is None else _score(state, data.val, context)
    trained = state.trained
    assert isinstance(trained, Network)
    trained, spec = trained.cpu().eval(), trained.spec
    shape = (data.in_channels, data.resolution, data.resolution)
    description = {
        **dict.fromkeys(("search_space", "space_options", "architecture", "names")),
        **(about or {}),
        **data.description,
        f"test_{metric}": test.value,
        f"val_{metric}": None if val is None else val.value,
        "macs": spec.macs(shape),
        "params": spec.params(shape),
        "train": training.how(images=len(training.recipe.images)),
    }
    summary = description | {
        **test.named("test", data.task),
        "test_images": test.images,
        **({"val_loss": None} if val is None else val.named("val", data.task)),
        "val_images": None if val is None else val.images,
        "best_validation": state.best or None,
        "split": data.split_record,
    }
    samples, result, weights = map(run.file, (SAMPLES, RESULT, WEIGHTS))
    if context.ranks.number == 0:
        _save_samples(samples, trained, data.test)
        write_sealed(result, {"format": FORMAT, **summary})
        save_network(weights, trained, description)  # last: the stage after this one looks for it
    return RetrainResult(trained, test, val, summary)


def _exports_best(training: Training) -> bool:
    options = training.options
    return isinstance(options, RetrainOptions) and options.export_checkpoint == "best"


def _score(state: TrainingState, split: Split, context: Context) -> Score:
    """The trained network on a split; the training can go on afterwards."""
    state.trained.eval()
    try:
        form, ranks = {"channels_last": context.options.channels_last}, context.ranks
        batches = split.batches(256, device=context.device, part=ranks.part, **form)
        return score(state.trained, batches, context.device, task=split.task, ranks=ranks)
    finally:
        state.model.train()


@torch.no_grad()
def _save_samples(path: Path, network: nn.Module, test: Split) -> None:
    """Real images with what the network says of them: export compares against this without the data set."""
    chosen = torch.randperm(len(test), generator=generator_of("samples"))[:SAMPLE_IMAGES]
    images = test.raw(chosen)  # uint8 (N, R, R, 3)
    logits = network(test.normalisation(images, channels_last=False))  # (N, classes)
    labels = test.labels[chosen]
    labels = labels if labels.ndim == 1 else labels[:, : logits.shape[1]]  # not what only a training learns from
    save_samples(path, images.numpy(), labels.numpy(), logits.float().numpy())


def plan_retrain(options: RetrainOptions) -> None:
    """Print what `retrain_stage` would do with these options, from a few timed steps."""
    print_plan(_prepare(options)[0])


def retrain_stage(options: RetrainOptions) -> Path:
    """Retrain the architecture that the options name into its run folder, which is returned.

    Raises:
        UserError: bad options or data, no such architecture or supernet, a folder that is taken, a checkpoint that does
            not fit, divergence.
        KeyboardInterrupt: Ctrl-C, after the running step and a checkpoint.
    """
    return run_training(options, "export", _prepare)


def _prepare(options: RetrainOptions) -> tuple[Training, Callable[[RunFolder], None]]:
    data = load_data(options, options.resolution)
    chosen = choose_architecture(options, data)
    if (side := chosen.space.image(chosen.architecture)[1]) != data.resolution:  # the search decided the image size
        data = load_data(options, side)
    spec = chosen.space.decode(chosen.architecture)
    lines = [data.summary(), _network_line(chosen, spec)]
    if options.train_on == "trainval":
        lines.append("learns from the validation images too: no validation figures (--train-on train has them)")
    network = None
    if options.init == "supernet":
        network = _inherit(options, chosen)
        lines.append("starts from the supernet's weights")
    elif options.init == "trial":
        network = load_trial(find_stage(options, "search"), chosen.architecture, spec)
        lines.append("starts from the weights of its trial in the search")
    training = prepare_network(spec, data, options, network, lines, here(options))
    return training, partial(_finish, training, chosen)


def _finish(training: Training, chosen: Chosen, run: RunFolder) -> None:
    about = {
        "search_space": chosen.space.name,
        "space_options": chosen.space.describe(),
        "architecture": list(chosen.architecture),
        "names": chosen.space.names(chosen.architecture),
    }
    result, task = hand_in(training, run, about), training.data.task
    images = len(training.recipe.images)
    epochs, best = quantity(training.options.epochs, "epoch"), training.state.best
    run.log(f"trained {epochs} of {quantity(images, 'image')} in {duration(training.state.seconds)}")
    if result.val is not None:
        run.log(f"validation {task.title} {result.val.show(task)} on {quantity(result.val.images, 'image')}")
        kept = ", whose weights are handed in" if _exports_best(training) else ""
        epoch = best["step"] / training.recipe.steps_per_epoch
        run.log(f"best validation {task.title} {task.show(best[f'val_{task.metric}'])} after epoch {epoch:g}{kept}")
    run.log(f"test {task.title} {result.test.show(task)} on {quantity(result.test.images, 'image')}, looked at once")
    run.log(f"wrote {run.path / WEIGHTS}, {RESULT}, {SAMPLES}")


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
    shape = chosen.space.image(chosen.architecture)
    names = " ".join(chosen.space.names(chosen.architecture))
    return (
        f"{chosen.space.name} ({chosen.origin}): {spec.macs(shape) / 1e6:.2f} M multiply-accumulates, "
        f"{spec.params(shape) / 1e6:.3f} M parameters: {names}"
    )
