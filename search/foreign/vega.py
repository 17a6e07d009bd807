"""Vega's YAML of its MFKD and MFASC examples: a pipeline of steps; those that search are the fidelities of one search.

A search over several steps is one here, with a rung for each: `nas_low_fidelity` of 3 % of the images and then
`nas_high_fidelity` of all are `--fidelities 'epochs=100,data=0.03;epochs=100,data=1'`. The step that trains
what MFKD1 has found is its last rung; behind other searches that is `retrain.py`'s. A step with `MFKDTrainer` learns
from a teacher.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from config_file.errors import UserError, choose, nearest
from config_file.foreign import Content, Form, say_unread, section
from supernet.spaces.mobilenetv2 import STAGES
from supernet.spaces.simple_cnn import FILTERS, KERNELS, LAYERS, UNITS

TOOL = "Vega"
KEYS = {
    "pipe_step": ("type", "models_folder"),
    "dataset": ("type", "common", "train", "valid", "val", "test"),
    "dataset.common": ("data_path", "download", "batch_size", "num_workers", "train_portion", "shuffle"),
    "dataset.train": (
        "shuffle", "num_workers", "batch_size", "train_portion", "cutout_length", "data_path", "download",
    ),
    "search_space": ("type", "modules", "custom"),
    "search_algorithm": (
        "type", "max_samples", "init_samples", "seed", "max_budget", "hf_epochs", "lf_epochs", "fidelity_ratio",
        "min_hf_sample_size", "min_lf_sample_size", "batch_size", "beta", "prior_rho", "predictor_type", "sample_size",
    ),
    "trainer": (
        "type", "teacher", "teacher_num_classes", "epochs", "valid_freq", "optim", "optimizer", "lr_scheduler", "loss",
        "seed", "metric",
    ),
    "trainer.optim": ("type", "lr", "momentum", "weight_decay", "params"),
    "trainer.lr_scheduler": ("type", "T_max", "params"),
    "trainer.loss": ("type", "T", "alpha", "beta", "params"),
}  # fmt: skip
"""What a step of a search may hold, by section."""

STEP = ("pipe_step", "dataset", "search_space", "search_algorithm", "trainer", "model", "evaluator")
GENERAL = ("worker", "task", "parallel_search", "parallel_fully_train", "devices_per_trainer", "backend",
           "device_category", "logger", "local_base_path")  # fmt: skip
UNREAD = ("dataset.train.shuffle", "dataset.train.cutout_length", "search_algorithm.prior_rho", "trainer.metric",
          "search_algorithm.sample_size", "search_algorithm.predictor_type", "trainer.lr_scheduler.T_max",
          "trainer.optimizer", "trainer.seed")  # fmt: skip
"""Those that nothing here reads."""

STRATEGIES = {"MFKD1": "mfkd1", "MFKD2": "mfkd2", "MFASC": "mfasc", "RandomSearch": "random"}
DATASETS = {"Cifar10": "cifar10", "Cifar100": "cifar100", "Imagenet": "imagenet", "ImageNet": "imagenet"}
CLASSES = {"cifar10": 10, "cifar100": 100}
OPTIMIZERS = {"SGD": "sgd", "Adam": "adam", "AdamW": "adamw", "RMSprop": "rmsprop"}
SCHEDULERS = {"CosineAnnealingLR": "cosine"}
LOSSES = {"KDLoss": "kd", "NSTLoss": "nst", "CrossEntropyLoss": None}
TRAINERS = {"Trainer": "plain", "MFKDTrainer": "distillation"}
FULLY_TRAIN = {"type": "FullyTrainPipeStep"}
BATCH, EPOCHS = 256, 1
"""Images of a batch, and epochs of a training, where a file says none."""


def recognises(content: Content) -> bool:
    """True for a file with a `pipeline`."""
    return isinstance(content.get("pipeline"), list)


def options(content: Content) -> dict[str, Any]:
    """The options of a search that a file means.

    Raises:
        UserError: a key or a value that there is nothing of, or steps that are not fidelities of one search.
    """
    steps = [str(step) for step in content["pipeline"]]
    section(content, "", ("general", "pipeline", *steps, *(key for key in content if _is_step(content[key]))))
    section(content, "general", GENERAL)
    for step in steps:
        if step not in content:
            raise UserError(f"pipeline: there is no step {step!r}{nearest(step, [*content])}")
    searching = [step for step in steps if "search_algorithm" in section(content, step, STEP)]
    if not searching:
        raise UserError(f"pipeline: none of its steps ({', '.join(steps)}) searches; retrain.py trains one network")
    found: dict[str, Any] = {}
    unread: dict[str, None] = {}
    for step in searching:
        for name, value in _of_step(content[step], step, unread):
            if value is not None and found.setdefault(name, value) != value:
                raise UserError(f"{step}: {name} is {value}, and {found[name]} in {searching[0]}: one search has one")
    if found["search_strategy"] == "mfkd1":  # its end is the training of the one that was chosen
        searching += [step for step in steps if section(content[step], "pipe_step", KEYS["pipe_step"]) == FULLY_TRAIN]
    found |= _fidelities([content[step] for step in searching])
    say_unread(TOOL, [*unread, *(step for step in steps if step not in searching)])
    return found


def _is_step(value: Any) -> bool:
    return isinstance(value, Mapping) and "pipe_step" in value


def _of_step(step: Content, name: str, unread: dict[str, None]) -> Iterator[tuple[str, Any]]:
    """The options that a step means beside its fidelity; what nothing reads goes into `unread`."""
    for part, known in KEYS.items():
        unread.update((f"{part}.{key}", None) for key in section(step, part, known) if f"{part}.{key}" in UNREAD)
    yield "evaluator", "training"
    dataset, common, train = (
        section(step, part, KEYS[part]) for part in ("dataset", "dataset.common", "dataset.train")
    )
    data = choose("data set", str(dataset.get("type")), DATASETS)
    yield "dataset", data
    loader = {**common, **train}
    yield "data_path", loader.get("data_path")
    yield "download", loader.get("download")
    yield "batch_size", loader.get("batch_size", BATCH)
    yield "num_workers", loader.get("num_workers")
    yield "search_space", _space(section(step, "search_space", KEYS["search_space"]), name, data)
    yield from _algorithm(section(step, "search_algorithm", KEYS["search_algorithm"]))
    yield from _trainer(step, name, data)


def _space(space: Content, step: str, data: str) -> str:
    """The name of the space that a step describes, which must be the one that is here."""
    custom = space.get("custom")
    if space.get("modules") != ["custom"] or not isinstance(custom, Mapping):
        raise UserError(f"{step}.search_space: modules ['custom'] is all that is read here, with a network in custom")
    described = {key: value for key, value in custom.items() if key not in ("name", "type", "num_classes")}
    ours, layers = choose("network", str(custom.get("name", custom.get("type"))), SPACES)
    if described != layers:
        differing = next(key for key in (*described, *layers) if described.get(key) != layers.get(key))
        raise UserError(f"{step}.search_space.custom.{differing} is not that of {ours} here: {layers.get(differing)}")
    classes = custom.get("num_classes")
    if classes is not None and data in CLASSES and str(classes) != str(CLASSES[data]):
        raise UserError(f"{step}: num_classes {classes}, but {data} has {CLASSES[data]} classes")
    return ours


def _words(values: Sequence[int]) -> list[str]:
    return [str(value) for value in values]


SPACES: dict[str, tuple[str, dict[str, Any]]] = {
    "MobileNetV2": (
        "mobilenetv2",
        {
            f"layer_{number}": {
                "repetitions": _words(range(1, stage.repetitions + 1)), "channels": _words(stage.channels),
            }
            for number, stage in enumerate(STAGES)
        },
    ),
    "SimpleCnn": (
        "simple_cnn",
        {
            **{
                f"conv_layer_{layer}": {
                    "kernel_size": _words(KERNELS), "bn": ["False", "True"], "relu": ["False", "True"],
                    "filters": _words(FILTERS),
                }
                for layer in range(LAYERS)
            },
            "fully_connect": {"output_unit": _words(UNITS)},
        },
    ),
}  # fmt: skip
"""Vega's networks: the name of our space, and the choices that its files list for them."""


def _algorithm(algorithm: Content) -> Iterator[tuple[str, Any]]:
    """The strategy; of MFKD2 all but the number of samples, which each step says for itself."""
    kind = str(algorithm.get("type"))
    strategy = choose("search_algorithm", kind, STRATEGIES)
    yield "search_strategy", strategy
    yield "random_seed", algorithm.get("seed")
    if strategy == "mfkd1":
        yield "mfkd1_samples", algorithm.get("max_samples")
    elif strategy == "mfkd2":
        yield "mfkd2_start", algorithm.get("init_samples")
    elif strategy == "mfasc":
        yield "mfasc_high", algorithm.get("min_hf_sample_size")
        yield "mfasc_low", algorithm.get("min_lf_sample_size")
        yield "mfasc_ratio", algorithm.get("fidelity_ratio")
        yield "mfasc_beta", algorithm.get("beta")
        yield "mfasc_pool", algorithm.get("batch_size")
        yield "budget_epochs", algorithm.get("max_budget")
    else:
        yield "random_iteration", algorithm.get("max_samples")


def _trainer(step: Content, name: str, data: str) -> Iterator[tuple[str, Any]]:
    """The recipe of a training; the trainer itself goes with the fidelity."""
    trainer = section(step, "trainer", KEYS["trainer"])
    yield "validate_every", trainer.get("valid_freq")
    optim = _with_params(section(step, "trainer.optim", KEYS["trainer.optim"]))
    if optim:
        yield "optimizer", choose("optimizer", str(optim.get("type", "SGD")), OPTIMIZERS)
        for key in ("lr", "momentum", "weight_decay"):
            yield key, optim.get(key)
    scheduler = section(step, "trainer.lr_scheduler", KEYS["trainer.lr_scheduler"])
    if scheduler:
        yield "lr_scheduler", choose("lr_scheduler", str(scheduler.get("type")), SCHEDULERS)
    if TRAINERS.get(str(trainer.get("type"))) != "distillation":
        return
    classes = trainer.get("teacher_num_classes")
    if classes is not None and data in CLASSES and str(classes) != str(CLASSES[data]):
        raise UserError(
            f"{name}: teacher_num_classes {classes}, but {data} has {CLASSES[data]} classes: a teacher and its student "
            "tell the same classes apart"
        )
    yield "teacher", trainer.get("teacher")
    loss = _with_params(section(step, "trainer.loss", KEYS["trainer.loss"]))
    yield "distill", choose("loss", str(loss.get("type", "KDLoss")), LOSSES)
    yield "kd_temperature", loss.get("T")
    yield "kd_alpha", loss.get("alpha")
    yield "nst_beta", loss.get("beta")


def _with_params(settings: Content) -> dict[str, Any]:
    """Settings, of which some may stand below `params`."""
    params = settings.get("params")
    return {**{key: value for key, value in settings.items() if key != "params"}, **(params or {})}


def _fidelities(steps: Sequence[Content]) -> dict[str, Any]:
    """The options that say the fidelities, from the steps of a pipeline in their order."""
    algorithm = section(steps[0], "search_algorithm", KEYS["search_algorithm"])
    trainers = [str(section(step, "trainer", KEYS["trainer"]).get("type", "Trainer")) for step in steps]
    named = [choose("trainer", trainer, TRAINERS) for trainer in trainers]
    rungs = [(_epochs(step), _share(step)) for step in steps]
    found: dict[str, Any] = {}
    if STRATEGIES[str(algorithm.get("type"))] == "mfkd2":
        samples = [section(step, "search_algorithm", KEYS["search_algorithm"]).get("max_samples") for step in steps]
        found["mfkd2_samples"] = None if None in samples else ",".join(map(str, samples))
    if STRATEGIES[str(algorithm.get("type"))] == "mfasc":
        low, high = (algorithm.get(f"{side}_epochs", usual) for side, usual in (("lf", "5"), ("hf", "20")))
        rungs, named = list(product((low, high), (rungs[0][1],))), named * 2
    found["fidelities"] = ";".join(f"epochs={epochs},data={share}" for epochs, share in rungs)
    found["trainer"] = named[-1]
    if len(rungs) > 1 and named[0] != named[-1]:
        found["low_fidelity_trainer"] = named[0]
    return {name: value for name, value in found.items() if value is not None}


def _epochs(step: Content) -> Any:
    return section(step, "trainer", KEYS["trainer"]).get("epochs", EPOCHS)


def _share(step: Content) -> Any:
    common, train = (section(step, part, KEYS[part]) for part in ("dataset.common", "dataset.train"))
    return {**common, **train}.get("train_portion", "1")


VEGA = Form(TOOL, recognises, options)
