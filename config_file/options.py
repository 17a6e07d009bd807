"""The options of the four stages: frozen dataclasses composed of groups, checked where they are made.

Names and defaults are those users of OSNASLib know; where its code and its README differ, the README's. Names of search
spaces, strategies, data sets, optimizers, ... are open sets: here they are text, and the room with the registry checks them.
"""

from dataclasses import dataclass
from typing import ClassVar

from config_file.errors import UserError
from config_file.fields import Option, check_options, option, options_of

__all__ = [
    "DataOptions",
    "EvolutionOptions",
    "ExportOptions",
    "GradientOptions",
    "Option",
    "RetrainOptions",
    "RunOptions",
    "SearchOptions",
    "SpaceOptions",
    "TrainSupernetOptions",
    "TrainingOptions",
    "check_options",
    "option",
    "options_of",
]

_RUN, _SPACE, _DATA, _TRAINING = "Run", "Space", "Data", "Training"
_SEARCH, _EVOLUTION, _GRADIENT, _RETRAIN, _EXPORT = "Search", "Evolution", "Gradient", "Retrain", "Export"


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Where a run lives and what it runs on; in every stage."""

    title: str | None = option(None, "name of the run; its stages lie in ROOT_PATH/TITLE/", group=_RUN)
    config: str | None = option(None, "YAML file with options; the command line wins over it", group=_RUN, saved=False)
    root_path: str = option("runs", "folder of all runs", group=_RUN)
    output: str | None = option(None, "write this stage to exactly this folder instead", group=_RUN)
    resume: bool = option(False, "continue an interrupted run, with its saved options", group=_RUN, saved=False)
    overwrite: bool = option(False, "start anew where this stage has been run before", group=_RUN, saved=False)
    plan: bool = option(False, "print what would run, its time and memory, and stop", group=_RUN, saved=False)
    random_seed: int = option(42, "seed of everything random", group=_RUN, at_least=0, at_most=2**32 - 1)
    device: str = option("auto", "auto (a GPU if there is one), cpu, cuda, cuda:1, ...", group=_RUN)
    threads: int = option(0, "CPU threads; 0 leaves the choice to PyTorch", group=_RUN, at_least=0)
    num_workers: int = option(2, "processes that load data too large for memory", group=_RUN, at_least=0)
    amp: str = option(
        "auto", "mixed precision; auto: where it pays", group=_RUN, choices=("auto", "off", "bf16", "fp16")
    )
    channels_last: bool = option(True, "NHWC memory layout", group=_RUN)
    tensorboard: bool = option(True, "write TensorBoard files beside metrics.jsonl", group=_RUN)

    __post_init__ = check_options

    def rules(self) -> None:
        if self.title is None and self.output is None:
            raise UserError("--title NAME is missing: it names the run (or give --output FOLDER)")
        if self.title is not None and (
            self.title.startswith(".") or set(self.title) & set("/\\:\0\n") or not self.title
        ):
            raise UserError(f"--title is the name of a folder, without / or a leading dot, not {self.title!r}")
        if self.resume and self.overwrite:
            raise UserError("--resume continues a run and --overwrite starts it anew: give one of them")


@dataclass(frozen=True, kw_only=True)
class SpaceOptions:
    """Which networks there are. Later stages take these from the supernet's run unless told otherwise."""

    search_space: str = option(
        "proxylessnas",
        "proxylessnas, fbnet_s, fbnet_l, spos, mobilenetv2, single_path, nasbench_macro, FILE.yml or module:callable",
        group=_SPACE, inherit=True,
        known=("proxylessnas", "fbnet", "fbnet_s", "fbnet_l", "spos", "mobilenetv2", "single_path", "nasbench_macro"),
    )  # fmt: skip
    resolution: int | None = option(
        None, "height and width of the input; none: the data set's own", group=_SPACE, unit="pixels", at_least=1,
        flags=("input_size",), inherit=True,
    )  # fmt: skip
    widths: tuple[int, ...] | None = option(
        None, "channels: stem,first,stage...,head", group=_SPACE, at_least=1, inherit=True
    )
    depths: tuple[int, ...] | None = option(None, "layers per stage", group=_SPACE, at_least=1, inherit=True)
    strides: tuple[int, ...] | None = option(
        None, "stride of the stem and of each stage; none: by resolution", group=_SPACE, at_least=1, inherit=True
    )
    skip: str | None = option(
        None, "what skip is where the shape changes: a 1x1 convolution + BN, or not offered; none: as the space declares",
        group=_SPACE, choices=("conv", "identity"), inherit=True,
    )  # fmt: skip

    __post_init__ = check_options


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Images, and how they are split. Later stages take these from the supernet's run unless told otherwise."""

    dataset: str = option(
        "digits", "digits (embedded), cifar10, cifar100, imagenet, imagefolder or module:callable",
        group=_DATA, inherit=True, known=("digits", "cifar10", "cifar100", "imagenet", "imagefolder"),
    )  # fmt: skip
    data_path: str = option("./data", "folder of the data set", group=_DATA, flags=("dataset_path",), inherit=True)
    download: bool = option(False, "download the data set where torchvision can", group=_DATA)
    train_portion: float = option(
        0.8, "share of the training images that weights are fitted on; the rest validates", group=_DATA,
        above=0, below=1, inherit=True,
    )  # fmt: skip
    split_seed: int = option(
        42, "seed of that split, apart from --random-seed so that every stage and seed validates on the same images",
        group=_DATA, at_least=0, at_most=2**32 - 1, inherit=True,
    )  # fmt: skip
    batch_size: int = option(128, "images per step", group=_DATA, at_least=1)

    __post_init__ = check_options


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How weights are fitted, of a supernet or of one network."""

    epochs: int = option(120, "passes over the training images", group=_TRAINING, at_least=1)
    optimizer: str = option(
        "sgd", "sgd, rmsprop, adam, adamw", group=_TRAINING, known=("sgd", "rmsprop", "adam", "adamw")
    )
    lr: float = option(0.045, "learning rate after warm-up", group=_TRAINING, above=0)
    weight_decay: float = option(4e-5, "L2 penalty", group=_TRAINING, at_least=0)
    momentum: float = option(0.9, "of sgd and rmsprop", group=_TRAINING, at_least=0, below=1)
    alpha: float | None = option(
        None, "smoothing of rmsprop; none: PyTorch's 0.99", group=_TRAINING, at_least=0, below=1
    )
    beta: float | None = option(
        None, "first beta of adam and adamw; none: PyTorch's 0.9", group=_TRAINING, at_least=0, below=1
    )
    lr_scheduler: str = option(
        "cosine", "cosine, linear, step, constant", group=_TRAINING, known=("cosine", "linear", "step", "constant")
    )
    warmup_epochs: float = option(0, "linear warm-up from zero", group=_TRAINING, unit="epochs", at_least=0)
    decay_step: float | None = option(
        None, "of the step schedule: epochs between two decays", group=_TRAINING, unit="epochs", above=0
    )
    decay_ratio: float | None = option(
        None, "of the step schedule: factor at each decay", group=_TRAINING, above=0, at_most=1
    )
    loss: str = option("cross_entropy", "cross_entropy or module:callable", group=_TRAINING, known=("cross_entropy",))
    label_smoothing: float = option(0.1, "of the cross entropy", group=_TRAINING, at_least=0, below=1)
    decay_vectors: bool = option(
        True, "weight decay also on biases and on BN's scales and shifts (SPOS's own training: false)", group=_TRAINING
    )
    clip_grad_norm: float = option(5.0, "largest norm of a step's gradient; 0: no limit", group=_TRAINING, at_least=0)
    bn_momentum: float = option(
        0.1, "weight of the newest batch in BN's running statistics", group=_TRAINING, above=0, at_most=1
    )
    checkpoint_every: float = option(1, "between two checkpoints", group=_TRAINING, unit="epochs", above=0)
    validate_every: float = option(1, "between two validations", group=_TRAINING, unit="epochs", above=0)

    __post_init__ = check_options

    def rules(self) -> None:
        if self.warmup_epochs >= self.epochs:
            raise UserError(f"--warmup-epochs {self.warmup_epochs:g} must be below --epochs {self.epochs}")
        if self.lr_scheduler == "step" and (self.decay_step is None or self.decay_ratio is None):
            raise UserError("--lr-scheduler step needs --decay-step (epochs) and --decay-ratio")


@dataclass(frozen=True, kw_only=True)
class EvolutionOptions:
    """Evolution in OSNASLib's form (elites, then crossover with mutation) and SPOS's (so many of each)."""

    evolution_form: str = option(
        "osnaslib", "osnaslib: children are crossover, then mutation; spos: so many children of each",
        group=_EVOLUTION, choices=("osnaslib", "spos"),
    )  # fmt: skip
    generation_num: int = option(20, "generations", group=_EVOLUTION, at_least=0)
    population: int = option(60, "architectures per generation", group=_EVOLUTION, at_least=2)
    parent_num: int = option(10, "best architectures that have children", group=_EVOLUTION, at_least=1)
    crossover: str = option(
        "single_point", "cut once, or choose every decision from either parent",
        group=_EVOLUTION, choices=("single_point", "uniform"),
    )  # fmt: skip
    mutation_prob: float = option(0.1, "probability to redraw a decision", group=_EVOLUTION, above=0, at_most=1)
    mutation_num: int = option(25, "children by mutation, spos form", group=_EVOLUTION, at_least=0)
    crossover_num: int = option(25, "children by crossover, spos form", group=_EVOLUTION, at_least=0)
    dedup: bool = option(True, "never evaluate the same architecture twice", group=_EVOLUTION)

    __post_init__ = check_options

    def rules(self) -> None:
        if self.parent_num > self.population:
            raise UserError(f"--parent-num {self.parent_num} must be at most --population {self.population}")
        if self.evolution_form == "spos" and self.mutation_num + self.crossover_num > self.population:
            raise UserError(
                f"--mutation-num {self.mutation_num} and --crossover-num {self.crossover_num} are together more than "
                f"--population {self.population}"
            )


@dataclass(frozen=True, kw_only=True)
class GradientOptions:
    """Read by gradient-based strategies only; accepted so that known command lines and files keep working."""

    hc_weight: float = option(
        0.005, "weight of the hardware loss (gradient-based strategies only)", group=_GRADIENT, at_least=0
    )
    a_optimizer: str = option(
        "sgd", "optimizer of the architecture parameters (gradient-based strategies only)",
        group=_GRADIENT, known=("sgd", "rmsprop", "adam", "adamw"),
    )  # fmt: skip
    a_lr: float = option(0.05, "its learning rate", group=_GRADIENT, above=0)
    a_weight_decay: float = option(0.0004, "its L2 penalty", group=_GRADIENT, at_least=0)
    a_momentum: float = option(0.9, "its momentum", group=_GRADIENT, at_least=0, below=1)

    __post_init__ = check_options


@dataclass(frozen=True, kw_only=True)
class TrainSupernetOptions(TrainingOptions, SpaceOptions, DataOptions, RunOptions):
    """Options of ``train_supernet.py``."""

    stage: ClassVar[str] = "supernet"

    sample_strategy: str = option(
        "uniform", "uniform, fair (FairNAS: every candidate once per step) or module:callable", group=_TRAINING,
        known=("uniform", "fair"), aliases={"strict_fairness": "fair", "strict-fairness": "fair"},
    )  # fmt: skip
    pretrained: str | None = option(
        None, "start matching blocks from a torchvision MobileNetV2: a state dict file, or 'torchvision' to download it",
        group=_TRAINING,
    )  # fmt: skip

    __post_init__ = check_options


@dataclass(frozen=True, kw_only=True)
class SearchOptions(EvolutionOptions, GradientOptions, SpaceOptions, DataOptions, RunOptions):
    """Options of ``search.py``."""

    stage: ClassVar[str] = "search"

    supernet: str | None = option(None, "folder of the trained supernet; none: by --title", group=_RUN)
    search_strategy: str = option(
        "evolution", "random, evolution or module:callable", group=_SEARCH, known=("random", "evolution"),
        aliases={"random_search": "random", "random-search": "random", "evolutionary": "evolution"},
    )  # fmt: skip
    info_metric: str = option(
        "flops", "what --target-hc limits: flops (multiply-accumulates, batch 1) or params", group=_SEARCH,
        known=("flops", "params"), aliases={"param": "params", "macs": "flops"},
    )  # fmt: skip
    target_hc: float = option(
        100.0, "largest cost allowed", group=_SEARCH, unit="millions for flops and params, ms for latency", above=0
    )
    min_hc: float | None = option(
        None, "smallest cost allowed", group=_SEARCH, unit="millions for flops and params, ms for latency", at_least=0
    )
    lookup_table: str | None = option(
        None, "table of costs (JSON); none: counted from the blocks", group=_SEARCH, flags=("lookup_table_path",)
    )
    counter: str = option(
        "analytic", "what counts: our formulas, or fvcore or thop on the built blocks",
        group=_SEARCH, choices=("analytic", "fvcore", "thop"),
    )  # fmt: skip
    random_iteration: int = option(1000, "architectures that random search evaluates", group=_SEARCH, at_least=1)
    calibration_images: int = option(
        1024, "training images that re-calibrate a candidate's BN; 0: none", group=_SEARCH, at_least=0
    )
    eval_images: int = option(0, "validation images per candidate; 0: all", group=_SEARCH, at_least=0)
    eval_batch_size: int = option(256, "images per batch of an evaluation", group=_SEARCH, at_least=1)

    __post_init__ = check_options

    def rules(self) -> None:
        if self.min_hc is not None and self.min_hc > self.target_hc:
            raise UserError(f"--min-hc {self.min_hc:g} must be at most --target-hc {self.target_hc:g}")


@dataclass(frozen=True, kw_only=True)
class RetrainOptions(TrainingOptions, SpaceOptions, DataOptions, RunOptions):
    """Options of ``retrain.py``."""

    stage: ClassVar[str] = "retrain"

    supernet: str | None = option(None, "folder of the trained supernet; none: by --title", group=_RUN)
    search: str | None = option(None, "folder of the search; none: by --title", group=_RUN)
    architecture: str | None = option(
        None, "FILE, JSON list of names or indices, or random; none: what the search found",
        group=_RETRAIN, as_json=True, flags=("searched_model_path",),
    )  # fmt: skip
    init: str = option(
        "scratch", "start from random weights or from the supernet's", group=_RETRAIN, choices=("scratch", "supernet")
    )
    train_on: str = option(
        "trainval", "the final network learns from training and validation images (nothing is chosen by them any more), or "
        "from the training images only, with validation accuracy reported",
        group=_RETRAIN, choices=("trainval", "train"), aliases={"train+val": "trainval"},
    )  # fmt: skip
    lr: float = option(0.05, "learning rate after warm-up", group=_TRAINING, above=0)
    weight_decay: float = option(4e-4, "L2 penalty", group=_TRAINING, at_least=0)
    ema_decay: float = option(
        0.0, "decay of the moving average of the weights; 0: none", group=_TRAINING, at_least=0, below=1
    )

    __post_init__ = check_options


@dataclass(frozen=True, kw_only=True)
class ExportOptions(RunOptions):
    """Options of ``export.py``."""

    stage: ClassVar[str] = "export"

    retrain: str | None = option(None, "folder of the retrained network; none: by --title", group=_RUN)
    exporter: str = option("dynamo", "PyTorch's exporter", group=_EXPORT, choices=("dynamo", "legacy"))
    opset: int = option(18, "ONNX opset: 18 (dynamo), 13 or 17 (legacy)", group=_EXPORT, at_least=7)
    dynamic_batch: bool = option(False, "leave the batch size open; otherwise it is 1", group=_EXPORT)
    tolerance: float = option(
        1e-4, "largest |difference| of onnxruntime's logits, relative to max(1, |logit|)", group=_EXPORT, above=0
    )
    parity_images: int = option(32, "real images compared with onnxruntime", group=_EXPORT, at_least=1)

    __post_init__ = check_options
