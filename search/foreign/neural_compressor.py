"""Neural Compressor's YAML (v1.13 to v2.x): its section `nas`, and what `train` says of the training of a network.

Keys that a file leaves out mean what they mean there: three trials, Bayesian optimisation, the seed 42. Its space is
the name of one of ours here; a space of plain values is searched from Python, by `search.basic`.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from config_file.errors import UserError, choose
from config_file.foreign import Content, Form, say_unread, section
from config_file.plugins import is_reference
from search.strategies import STRATEGIES
from supernet.spaces import SPACES

TOOL = "Neural Compressor"
TRIALS = 3
"""Trials of a search whose file says nothing."""

KEYS = {
    "": (
        "version", "model", "device", "nas", "train", "evaluation", "tuning", "quantization", "pruning", "distillation",
    ),
    "model": ("name", "framework", "inputs", "outputs"),
    "nas": ("approach", "search", "dynas"),
    "nas.search": ("search_space", "search_algorithm", "metrics", "higher_is_better", "max_trials", "seed"),
    "nas.dynas": (
        "supernet", "metrics", "population", "num_evals", "results_csv_path", "dataset_path", "supernet_ckpt_path",
        "batch_size", "eval_batch_size", "num_workers", "distributed", "test_fraction",
    ),
    "train": (
        "start_epoch", "end_epoch", "epoch", "iteration", "frequency", "optimizer", "criterion", "dataloader",
        "execution_mode", "postprocess", "hostfile",
    ),
    "train.dataloader": ("batch_size", "dataset", "transform", "filter", "last_batch", "shuffle", "num_workers"),
}  # fmt: skip
"""What its files may hold, as far as a search reads them, by section."""

UNREAD = {
    "evaluation", "tuning", "quantization", "pruning", "distillation", "model.inputs", "model.outputs",
    "train.iteration", "train.frequency", "train.criterion", "train.execution_mode", "train.postprocess",
    "train.hostfile", "train.dataloader.transform", "train.dataloader.filter", "train.dataloader.last_batch",
    "train.dataloader.shuffle", "nas.dynas.supernet_ckpt_path", "nas.dynas.distributed", "nas.dynas.test_fraction",
}  # fmt: skip
"""Those that nothing here reads."""

OF_THE_OTHER = {"basic": "nas.dynas", "dynas": "train"}
"""Of every approach the section that only the other one has."""

ALGORITHMS = {"bo": "bayesian", "grid": "grid", "random": "random"}
PREDICTING = dict.fromkeys(("nsga2", "age", "dynas", "predictor"), "predictor")
METRICS = {"acc": "accuracy", "macs": "flops", "lat": "latency"}
DYNAMIC_METRICS = {
    **METRICS,
    **{name: name for name in ("params", "accuracy", "loss", "flops", "latency")},
    "accuracy_top1": "accuracy",
}
"""Those of a supernet, DyNAS-T's names too."""
POPULATION, EVALUATIONS = 50, 100_000
"""Those of a dynamic search whose file says nothing."""
SUPERNETS: dict[str, tuple[str, float | None]] = {
    "ofa_resnet50": ("ofa_resnet50", None),
    "ofa_mbv3_d234_e346_k357_w1.0": ("ofa_mbv3", None),
    "ofa_mbv3_d234_e346_k357_w1.2": ("ofa_mbv3", 1.2),
    "ofa_proxyless_d234_e346_k357_w1.3": ("ofa_proxyless", None),
}
"""{name there: (our space, --width-mult where it is not the usual)}."""
NOT_HERE = ("transformer_lt", "bert_", "vit_", "inc_quantization_", "bootstrapnas")
"""How the names of supernets begin that there are none of."""
OPTIMIZERS = {"sgd": "sgd", "adam": "adam", "adamw": "adamw"}
OF_OPTIMIZER = {
    "learning_rate": "lr", "momentum": "momentum", "weight_decay": "weight_decay", "beta_1": "beta", "beta_2": None,
    "nesterov": None, "epsilon": None, "amsgrad": None,
}  # fmt: skip
DATASETS = {"CIFAR10": "cifar10", "CIFAR100": "cifar100", "ImageFolder": "imagefolder", "ImagenetRaw": "imagenet"}
OF_DATASET = {"root": "data_path", "data_path": "data_path", "download": "download", "train": None, "image_list": None}
DEVICES = {"cpu": "cpu", "gpu": "cuda"}


def recognises(content: Content) -> bool:
    """True for a file with its section `nas`."""
    return isinstance(content.get("nas"), Mapping)


def check_keys(content: Content) -> None:
    """Raise UserError for a key that its files do not have, with the nearest that they do."""
    for name, known in KEYS.items():
        section(content, name, known)


def strategies() -> dict[str, str]:
    """{name that search_algorithm may have: strategy}: theirs, and all of ours."""
    return {**{name: name for name in STRATEGIES}, **ALGORITHMS}


def options(content: Content) -> dict[str, Any]:
    """The options of a search that a file means.

    Raises:
        UserError: a key or a value that there is nothing of.
    """
    check_keys(content)
    approach = str(section(content, "nas", KEYS["nas"]).get("approach") or "basic").lower()
    if approach not in ("basic", "dynas"):
        raise UserError(
            f"nas.approach {approach!r}: search.py has basic and dynas; one of your own is searched from Python "
            "(search.basic)"
        )
    found = dict(_general(content))
    found.update(_basic(content) if approach == "basic" else _dynas(content))
    say_unread(TOOL, [*_unread(content, approach)])
    return {name: value for name, value in found.items() if value is not None}


def objectives(metrics: Any, higher_is_better: Any) -> str | None:
    """Lists of metrics and of directions as one text of --objective; None without metrics.

    Raises:
        UserError: they are no lists, or of different lengths.
    """
    if metrics is None:
        if higher_is_better:
            raise UserError("nas.search.higher_is_better needs nas.search.metrics")
        return None
    metrics = [metrics] if isinstance(metrics, str) else metrics
    directions = ["true"] * len(metrics) if higher_is_better is None else higher_is_better
    if not isinstance(metrics, list) or not isinstance(directions, list) or len(metrics) != len(directions):
        raise UserError(f"metrics {metrics!r:.60} and higher_is_better {directions!r:.60} are lists of one length")
    ways = [{"true": "max", "false": "min"}.get(str(direction).lower()) for direction in directions]
    if None in ways:
        raise UserError(f"higher_is_better holds true and false, not {directions!r:.60}")
    names = [METRICS.get(str(metric), str(metric)) for metric in metrics]
    return ",".join(f"{name}:{way}" for name, way in zip(names, ways, strict=True))


def _general(content: Content) -> Iterator[tuple[str, Any]]:
    """The options that both approaches have: the run, and a training."""
    model = section(content, "model", KEYS["model"])
    yield "title", model.get("name")
    framework = str(model.get("framework") or "pytorch")
    if not framework.startswith("pytorch"):
        raise UserError(f"model.framework {framework!r}: networks are PyTorch's here")
    if (device := content.get("device")) is not None:
        yield "device", choose("device", str(device), DEVICES)
    yield "random_seed", section(content, "nas.search", KEYS["nas.search"]).get("seed")


def _basic(content: Content) -> Iterator[tuple[str, Any]]:
    """Real trainings: grid, random or Bayesian."""
    search = section(content, "nas.search", KEYS["nas.search"])
    space = search.get("search_space")
    if isinstance(space, Mapping):
        raise UserError(
            "nas.search.search_space holds values for a model_builder of your own: search them from Python, with "
            "NAS(FILE).search() of search.basic; here it is the name of one of our spaces"
        )
    yield "search_space", space
    yield "evaluator", "training"
    strategy = choose("search_algorithm", str(search.get("search_algorithm") or "bo"), strategies())
    yield "search_strategy", strategy
    trials = search.get("max_trials", TRIALS)
    yield ("random_iteration" if strategy == "random" else "budget_evaluations"), trials
    if strategy == "bayesian":  # two random points first; an upper bound of 2.576 standard deviations is our default
        yield "startup", 2
        yield "bo_acquisition", "ucb"
    yield "objective", objectives(search.get("metrics"), search.get("higher_is_better"))
    yield from _training(content)


def _training(content: Content) -> Iterator[tuple[str, Any]]:
    """The recipe of a training."""
    train = section(content, "train", KEYS["train"])
    epochs, start = train.get("end_epoch", train.get("epoch")), train.get("start_epoch")
    if epochs is not None:
        try:
            yield "epochs", int(epochs) - int(start or 0)
        except ValueError:
            raise UserError(f"train.end_epoch {epochs!r} and start_epoch {start!r} are integers") from None
    if (optimizer := _only(train, "train.optimizer")) is not None:
        name, settings = optimizer
        yield "optimizer", choose("optimizer", name.lower(), OPTIMIZERS)
        for key, value in section({name: settings}, name, OF_OPTIMIZER).items():
            if (ours := OF_OPTIMIZER[key]) is not None:
                yield ours, value
    loader = section(content, "train.dataloader", KEYS["train.dataloader"])
    yield "batch_size", loader.get("batch_size")
    yield "num_workers", loader.get("num_workers")
    if (dataset := _only(loader, "train.dataloader.dataset")) is not None:
        name, settings = dataset
        yield "dataset", choose("data set", name, DATASETS)
        for key, value in section({name: settings}, name, OF_DATASET).items():
            if (ours := OF_DATASET[key]) is not None:
                yield ours, value


def _dynas(content: Content) -> Iterator[tuple[str, Any]]:
    """A search on predictors with the weights of a supernet."""
    search = section(content, "nas.search", KEYS["nas.search"])
    dynas = section(content, "nas.dynas", KEYS["nas.dynas"])
    yield "search_strategy", choose("search_algorithm", str(search.get("search_algorithm") or "nsga2"), PREDICTING)
    yield from _supernet(dynas)
    metrics = dynas.get("metrics")
    measured = [metrics] if isinstance(metrics, str) else metrics
    if measured is not None:
        if not isinstance(measured, list) or not measured:
            raise UserError(f"nas.dynas.metrics is a list such as [acc, macs], not {measured!r:.60}")
        names = [choose("metric of nas.dynas.metrics", str(metric), DYNAMIC_METRICS) for metric in measured]
        yield "objective", objectives(names, ["true" if name == "accuracy" else "false" for name in names])
    yield "population", dynas.get("population", POPULATION)
    yield "budget_evaluations", dynas.get("num_evals", EVALUATIONS)
    if (table := dynas.get("results_csv_path")) is not None:
        yield "results_csv", table
        yield "results_form", "neural_compressor"
    yield "data_path", dynas.get("dataset_path")
    yield "eval_batch_size", dynas.get("eval_batch_size", dynas.get("batch_size"))
    yield "num_workers", dynas.get("num_workers")


def _supernet(dynas: Content) -> Iterator[tuple[str, Any]]:
    """The space of a supernet, and the folder of its weights where that is what the file names."""
    name, weights = str(dynas.get("supernet") or ""), dynas.get("supernet_ckpt_path")
    if name.startswith(NOT_HERE):
        raise UserError(f"nas.dynas.supernet {name!r} is no supernet of images: there are {', '.join(SUPERNETS)}")
    if name and name not in SUPERNETS and not is_reference(name) and not name.endswith((".yml", ".yaml")):
        choose("supernet of nas.dynas", name, dict.fromkeys([*SUPERNETS, *SPACES], ""))
    space, width = SUPERNETS.get(name, (name or None, None))
    yield "search_space", space
    yield "width_mult", width
    if weights is not None and Path(str(weights)).is_dir():
        yield "supernet", weights
    elif weights is not None:
        named = f"--search-space {space} " if space else ""
        words = f"{named}{f'--width-mult {width} ' if width else ''}--pretrained {weights} --epochs 0"
        print(f"note: {weights} becomes a supernet of ours once, by train_supernet.py {words}", file=sys.stderr)


def _only(content: Content, name: str) -> tuple[str, Any] | None:
    """The one key of a mapping and what stands there; None where there is no such mapping."""
    found = content.get(name.rpartition(".")[2])
    if found is None:
        return None
    if not isinstance(found, Mapping) or len(found) != 1:
        raise UserError(f"{name} names one thing with its settings, not {found!r:.60}")
    ((key, settings),) = found.items()
    return str(key), settings or {}


def _unread(content: Content, approach: str) -> Iterator[str]:
    """The keys of a file that say nothing here, by their dotted names."""
    others = OF_THE_OTHER[approach]
    for name, known in KEYS.items():
        for key in section(content, name, known):
            dotted = f"{name}.{key}".lstrip(".")
            if dotted == "nas.dynas.supernet_ckpt_path" and approach == "dynas":
                continue  # read, or there is a note
            if dotted == others or (dotted in UNREAD and not dotted.startswith(f"{others}.")):
                yield dotted


NEURAL_COMPRESSOR = Form(TOOL, recognises, options)
