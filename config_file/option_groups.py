"""The options by group: frozen dataclasses that the stages are composed of, checked where they are made.

Names and defaults are those users of OSNASLib know; where its code and its README differ, the README's. Names of
search spaces, strategies, data sets, optimizers, ... are open sets: here they are text, the room with the registry
checks them.
"""

from dataclasses import dataclass

from config_file.errors import UserError
from config_file.fields import check_options, option

FLOPS_OR_MS = "millions for flops and params, ms for latency"
_LARGEST_SEED = 2**32 - 1  # numpy takes no larger one


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Where a run lives and what it runs on; part of every stage."""

    title: str | None = option(None, "name of the run; its stages lie in ROOT_PATH/NAME/", group="Run", metavar="NAME")
    config: str | None = option(
        None, "YAML file with options; the command line wins over it", group="Run", metavar="FILE.yml", saved=False
    )
    root_path: str = option("runs", "folder of all runs", group="Run", metavar="FOLDER")
    output: str | None = option(None, "write this stage to exactly this folder instead", group="Run", metavar="FOLDER")
    resume: bool = option(False, "continue an interrupted run, with its saved options", group="Run", saved=False)
    overwrite: bool = option(False, "start anew where this stage has been run before", group="Run", saved=False)
    plan: bool = option(False, "print what would run, its time and memory, and stop", group="Run", saved=False)
    random_seed: int = option(42, "seed of everything random", group="Run", at_least=0, at_most=_LARGEST_SEED)
    device: str = option("auto", "auto (a GPU if there is one), cpu, cuda, cuda:1, ...", group="Run", metavar="DEVICE")
    threads: int = option(0, "CPU threads; 0 leaves the choice to PyTorch", group="Run", at_least=0, at_most=1024)
    num_workers: int = option(2, "processes that load data too large for memory", group="Run", at_least=0)
    amp: str = option(
        "auto", "mixed precision; auto: where it pays", group="Run", choices=("auto", "off", "bf16", "fp16")
    )
    channels_last: bool = option(True, "NHWC memory layout", group="Run")
    tensorboard: bool = option(True, "write TensorBoard files beside metrics.jsonl", group="Run")

    def __post_init__(self) -> None:
        check_options(self)

    def rules(self) -> None:
        """What concerns several options together."""
        if self.title is None and self.output is None:
            raise UserError("--title NAME is missing: it names the run (or give --output FOLDER)")
        if self.title is not None and (self.title[:1] in ("", ".") or not set(self.title).isdisjoint("/\\:\0\n")):
            raise UserError(f"--title is the name of a folder, without / or a leading dot, not {self.title!r}")
        if self.resume and self.overwrite:
            raise UserError("--resume continues a run and --overwrite starts it anew: give one of them")


@dataclass(frozen=True, kw_only=True)
class SpaceOptions:
    """Which networks there are. Later stages take these from the supernet's run unless told otherwise."""

    search_space: str = option(
        "proxylessnas",
        "proxylessnas, fbnet_s, fbnet_l, spos, mobilenetv2, single_path, nasbench_macro, pfld (landmarks), FILE.yml or "
        "module:callable",
        group="Space",
        metavar="NAME",
        known=(
            "proxylessnas",
            "fbnet",
            "fbnet_s",
            "fbnet_l",
            "spos",
            "mobilenetv2",
            "single_path",
            "nasbench_macro",
            "pfld",
        ),
        inherit=True,
    )
    resolution: int | None = option(
        None,
        "height and width of the input; none: the data set's own",
        group="Space",
        unit="pixels",
        flags=("input_size",),
        at_least=1,
        at_most=16384,
        inherit=True,
    )
    widths: tuple[int, ...] | None = option(
        None, "channels: stem,first,stage...,head; none: the space's", group="Space", at_least=1, inherit=True
    )
    depths: tuple[int, ...] | None = option(
        None, "layers per stage; none: the space's", group="Space", at_least=1, inherit=True
    )
    strides: tuple[int, ...] | None = option(
        None, "stride of the stem and of each stage; none: by resolution", group="Space", at_least=1, inherit=True
    )
    skip: str | None = option(
        None,
        "what skip is where the shape changes: a 1x1 convolution + BN, or not offered; none: as the space declares",
        group="Space",
        choices=("conv", "identity"),
        inherit=True,
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Images, and how they are split. Later stages take these from the supernet's run unless told otherwise."""

    dataset: str = option(
        "digits",
        "digits (embedded), cifar10, cifar100, imagenet, imagefolder, landmarks (106 points) or module:callable",
        group="Data",
        metavar="NAME",
        known=("digits", "cifar10", "cifar100", "imagenet", "imagefolder", "landmarks"),
        inherit=True,
    )
    data_path: str = option(
        "./data", "folder of the data set", group="Data", metavar="FOLDER", flags=("dataset_path",), inherit=True
    )
    list_file: str | None = option(
        None,
        "landmarks: images and points to train on; none: train_data/list.txt or list.txt in the data set's folder",
        group="Data",
        metavar="FILE",
        inherit=True,
    )
    test_list_file: str | None = option(
        None,
        "landmarks: the same to test on; none: test_data/list.txt, or a fifth of the others",
        group="Data",
        metavar="FILE",
        inherit=True,
    )
    download: bool = option(False, "download the data set where torchvision can", group="Data")
    train_portion: float = option(
        0.8,
        "share of the training images that weights are fitted on; the rest validates",
        group="Data",
        above=0,
        below=1,
        inherit=True,
    )
    split_seed: int = option(
        42,
        "seed of that split, apart from --random-seed so that all stages and seeds validate on the same images",
        group="Data",
        at_least=0,
        at_most=_LARGEST_SEED,
        inherit=True,
    )
    flip: bool | None = option(
        None,
        "mirror half of the training images; none: unless the data set says not to (digits). Letters and signs: no",
        group="Data",
        inherit=True,
    )
    memory_limit: float = option(
        2.0,
        "decoded images are kept in memory up to this; larger sets of files are read by --num-workers processes",
        group="Data",
        unit="GiB",
        at_least=0,
        inherit=True,
    )
    batch_size: int = option(128, "images per step", group="Data", at_least=1)

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How weights are fitted, of a supernet or of one network."""

    epochs: int = option(120, "passes over the training images", group="Training", at_least=1)
    optimizer: str = option(
        "sgd",
        "sgd, rmsprop, adam, adamw",
        group="Training",
        metavar="NAME",
        known=("sgd", "rmsprop", "adam", "adamw"),
    )
    lr: float = option(0.045, "learning rate after warm-up", group="Training", above=0)
    weight_decay: float = option(4e-5, "L2 penalty", group="Training", at_least=0)
    momentum: float = option(0.9, "of sgd and rmsprop", group="Training", at_least=0, below=1)
    alpha: float | None = option(None, "smoothing of rmsprop; none: 0.99", group="Training", at_least=0, below=1)
    beta: float | None = option(None, "first beta of adam, adamw; none: 0.9", group="Training", at_least=0, below=1)
    lr_scheduler: str = option(
        "cosine",
        "cosine, linear, step, constant",
        group="Training",
        metavar="NAME",
        known=("cosine", "linear", "step", "constant"),
    )
    warmup_epochs: float = option(0.0, "linear warm-up before the schedule", group="Training", at_least=0)
    decay_step: int | None = option(
        None,
        "step schedule: between two drops; none: a third of the training",
        group="Training",
        unit="epochs",
        at_least=1,
    )
    decay_ratio: float | None = option(
        None, "step schedule: factor of a drop; none: 0.1", group="Training", above=0, at_most=1
    )
    loss: str | None = option(
        None,
        "cross_entropy (classes), wing or l2 (landmarks), or module:callable; none: cross_entropy, for landmarks wing",
        group="Training",
        metavar="NAME",
        known=("cross_entropy", "wing", "l2"),
    )
    label_smoothing: float = option(0.1, "of the cross entropy", group="Training", at_least=0, below=1)
    decay_vectors: bool = option(
        True, "weight decay also on biases and on BN's scales and shifts (SPOS itself: false)", group="Training"
    )
    clip_grad_norm: float = option(5.0, "largest norm of a step's gradient; 0: no limit", group="Training", at_least=0)
    bn_momentum: float = option(
        0.1, "weight of the newest batch in BN's running statistics", group="Training", above=0, at_most=1
    )
    checkpoint_every: int = option(1, "between two checkpoints", group="Training", unit="epochs", at_least=1)
    validate_every: int = option(1, "between two validations", group="Training", unit="epochs", at_least=1)

    def __post_init__(self) -> None:
        check_options(self)

    def rules(self) -> None:
        """What concerns several options together."""
        if self.warmup_epochs > self.epochs:
            raise UserError(f"--warmup-epochs {self.warmup_epochs:g} must be at most --epochs {self.epochs}")


@dataclass(frozen=True, kw_only=True)
class ConstraintOptions:
    """What an architecture may cost, and how that is counted."""

    info_metric: str = option(
        "flops",
        "what --target-hc limits: flops (multiply-accumulates, batch 1), params, or that of a --lookup-table (latency)",
        group="Constraint",
        metavar="NAME",
        known=("flops", "params", "latency"),
        aliases={"param": "params", "macs": "flops"},
        inherit=True,
    )
    target_hc: float = option(
        100.0, "largest cost allowed", group="Constraint", unit=FLOPS_OR_MS, above=0, inherit=True
    )
    min_hc: float | None = option(None, "smallest cost allowed", group="Constraint", unit=FLOPS_OR_MS, at_least=0)
    lookup_table: str | None = option(
        None,
        "table of costs, NAME=FILE.json to call its metric NAME; several in a search; none: counted from the blocks",
        group="Constraint",
        metavar="[NAME=]FILE.json",
        repeat=True,
        flags=("lookup_table_path",),
        inherit=True,
    )
    counter: str = option(
        "analytic",
        "what counts: our formulas, or fvcore or thop on the built blocks",
        group="Constraint",
        choices=("analytic", "fvcore", "thop"),
    )

    def __post_init__(self) -> None:
        check_options(self)

    def rules(self) -> None:
        """What concerns several options together."""
        if self.target_hc is not None and self.min_hc is not None and self.min_hc > self.target_hc:
            raise UserError(f"--min-hc {self.min_hc:g} must be at most --target-hc {self.target_hc:g}")


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """How a candidate is scored with the supernet's weights."""

    calibration_images: int = option(
        1024, "training images that re-calibrate a candidate's BN; 0: none", group="Evaluation", at_least=0
    )
    eval_images: tuple[int, ...] = option(
        (0,),
        "validation images per candidate, 0: all; several, as 500,2000,0: everyone on the first, the better half of a "
        "population on the next, what is chosen on the last",
        group="Evaluation",
        at_least=0,
    )
    eval_batch_size: int = option(64, "images per batch of an evaluation", group="Evaluation", at_least=1)
    refit_head: bool = option(
        False,
        "judge a candidate by its features: its last linear layer is fitted anew, in closed form, each validation "
        "image is predicted by the fit on all others, and the loss is the squared error",
        group="Evaluation",
    )
    prefix_sharing: bool = option(
        True, "compute layers that several candidates begin with once (chains; same results)", group="Evaluation"
    )
    eval_memory: float = option(
        4.0, "activations that shared prefixes may hold", group="Evaluation", unit="GiB", at_least=0
    )
    workers: int = option(
        1,
        "processes that evaluate, each with --threads or else one; same results in the same order",
        group="Evaluation",
        at_least=1,
    )

    def __post_init__(self) -> None:
        check_options(self)

    def rules(self) -> None:
        """What concerns several options together."""
        if self.refit_head and 1 in self.eval_images:
            raise UserError("--refit-head fits on the validation images, at least 2 of them: not --eval-images 1")


@dataclass(frozen=True, kw_only=True)
class StrategyOptions:
    """How candidates are proposed."""

    search_strategy: str = option(
        "evolution",
        "random, grid, evolution, regularized_evolution, local_search, tpe, bayesian, rl; for a front nsga2, nsga3, "
        "predictor; differentiable; or module:callable",
        group="Strategy",
        metavar="NAME",
        known=(
            "random",
            "grid",
            "evolution",
            "regularized_evolution",
            "local_search",
            "tpe",
            "bayesian",
            "rl",
            "nsga2",
            "nsga3",
            "predictor",
            "differentiable",
        ),
        aliases={
            "ageing_evolution": "regularized_evolution",
            "random_search": "random",
            "random-search": "random",
            "differentiable_gumbel": "differentiable",
        },
    )
    random_iteration: int = option(1000, "architectures that random evaluates", group="Strategy", at_least=1)
    dedup: bool = option(True, "never propose the same architecture twice", group="Strategy")

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class EvolutionOptions:
    """Evolution, in OSNASLib's form (elites and their children) and SPOS's (mutants, crossovers, random ones)."""

    evolution_form: str = option(
        "osnaslib",
        "children by crossover, then mutation; or so many of each",
        group="Evolution",
        choices=("osnaslib", "spos"),
    )
    generation_num: int = option(20, "generations after the first", group="Evolution", at_least=0)
    population: int = option(60, "architectures per generation", group="Evolution", at_least=2)
    parent_num: int = option(10, "best architectures that have children", group="Evolution", at_least=1)
    crossover: str | None = option(
        None,
        "cut once, or take every decision from either parent; none: single_point for osnaslib, uniform for spos",
        group="Evolution",
        choices=("single_point", "uniform"),
    )
    mutation_prob: float = option(0.1, "probability to redraw a decision", group="Evolution", above=0, at_most=1)
    mutation_num: int | None = option(
        None, "spos form: children by mutation; none: half the population", group="Evolution", at_least=0
    )
    crossover_num: int | None = option(
        None, "spos form: children by crossover; none: half the population", group="Evolution", at_least=0
    )

    def __post_init__(self) -> None:
        check_options(self)

    def rules(self) -> None:
        """What concerns several options together."""
        if self.parent_num > self.population:
            raise UserError(f"--parent-num {self.parent_num} must be at most --population {self.population}")
        if (self.mutation_num or 0) + (self.crossover_num or 0) > self.population:
            raise UserError(
                f"--mutation-num {self.mutation_num} and --crossover-num {self.crossover_num} are together more than "
                f"--population {self.population}"
            )
