"""The options of the four stages, each composed of groups.

options = SearchOptions(title="first", target_hc=60)      # or config_file.loader.parse(SearchOptions, argv, ...)
"""

from dataclasses import dataclass
from typing import ClassVar

from config_file.errors import UserError
from config_file.fields import Option, check_options, option, options_of
from config_file.gradient_options import GradientOptions
from config_file.option_groups import (
    FLOPS_OR_MS,
    ConstraintOptions,
    DataOptions,
    EvaluationOptions,
    EvolutionOptions,
    RunOptions,
    SpaceOptions,
    StrategyOptions,
    TrainingOptions,
)
from config_file.strategy_options import OneStrategyOptions

__all__ = [
    "STAGE_OPTIONS",
    "ConstraintOptions",
    "DataOptions",
    "EvaluationOptions",
    "EvolutionOptions",
    "ExportOptions",
    "GradientOptions",
    "OneStrategyOptions",
    "Option",
    "RetrainOptions",
    "RunOptions",
    "SearchOptions",
    "SpaceOptions",
    "StrategyOptions",
    "SupernetOptions",
    "TrainSupernetOptions",
    "TrainingOptions",
    "check_options",
    "option",
    "options_of",
]


@dataclass(frozen=True, kw_only=True)
class SupernetOptions:
    """How paths are sampled, and what the supernet starts from."""

    sample_strategy: str = option(
        "uniform",
        "uniform, fair (FairNAS: every candidate once per step), differentiable (weights and architecture parameters), "
        "differentiable_gumbel or module:callable",
        group="Training",
        metavar="NAME",
        known=("uniform", "fair", "differentiable", "differentiable_gumbel"),
        aliases={"strict_fairness": "fair", "strict-fairness": "fair"},
    )
    pretrained: str | None = option(
        None,
        "start matching blocks from torchvision's MobileNetV2: file of its weights, or 'torchvision' to download them",
        group="Training",
        metavar="FILE",
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class TrainSupernetOptions(
    SupernetOptions, GradientOptions, ConstraintOptions, TrainingOptions, SpaceOptions, DataOptions, RunOptions
):
    """Options of ``train_supernet.py``."""

    stage: ClassVar[str] = "supernet"

    target_hc: float | None = option(  # type: ignore[assignment]  # a training may have none, a search has one
        None,
        "uniform: train only paths that cost at most this; differentiable: what the search is bent towards or held to; "
        "none: cost does not count",
        group="Constraint",
        unit=FLOPS_OR_MS,
        above=0,
        inherit=True,
    )


@dataclass(frozen=True, kw_only=True)
class SearchOptions(
    GradientOptions,
    OneStrategyOptions,
    EvolutionOptions,
    StrategyOptions,
    EvaluationOptions,
    ConstraintOptions,
    SupernetOptions,
    TrainingOptions,
    SpaceOptions,
    DataOptions,
    RunOptions,
):
    """Options of ``search.py``. Those of the training are read with ``--directly-search`` only."""

    stage: ClassVar[str] = "search"

    supernet: str | None = option(
        None, "folder of the trained supernet; none: by --title", group="Run", metavar="FOLDER"
    )
    directly_search: bool = option(
        False, "train the supernet first, differentiably, with the options given here", group="Run", saved=False
    )


@dataclass(frozen=True, kw_only=True)
class RetrainOptions(TrainingOptions, SpaceOptions, DataOptions, RunOptions):
    """Options of ``retrain.py``."""

    stage: ClassVar[str] = "retrain"

    supernet: str | None = option(
        None, "folder of the trained supernet; none: by --title", group="Run", metavar="FOLDER"
    )
    search: str | None = option(None, "folder of the search; none: by --title", group="Run", metavar="FOLDER")
    architecture: str | None = option(
        None,
        "FILE, JSON list of names or indices, or random; none: what the search found",
        group="Network",
        metavar="WHICH",
        flags=("searched_model_path",),
        as_json=True,
    )
    init: str = option(
        "scratch", "start from random weights or the supernet's", group="Network", choices=("scratch", "supernet")
    )
    train_on: str = option(
        "trainval",
        "learn from training and validation images (nothing is chosen by them any more), or from training images only",
        group="Network",
        choices=("trainval", "train"),
        aliases={"train+val": "trainval"},
    )
    lr: float = option(0.05, "learning rate after warm-up", group="Training", above=0)
    weight_decay: float = option(4e-4, "L2 penalty", group="Training", at_least=0)
    trainer: str = option(
        "plain",
        "what a step trains: plain (one pass by the loss), or module:callable, such as one with a teacher",
        group="Training",
        metavar="NAME",
        known=("plain",),
    )
    ema_decay: float = option(
        0.0, "decay of the moving average of the weights; 0: none", group="Training", at_least=0, below=1
    )


@dataclass(frozen=True, kw_only=True)
class ExportOptions(RunOptions):
    """Options of ``export.py``."""

    stage: ClassVar[str] = "export"

    retrain: str | None = option(
        None, "folder of the retrained network; none: by --title", group="Run", metavar="FOLDER"
    )
    weights: str | None = option(
        None, "a network's file instead of that folder", group="Run", metavar="FILE.safetensors"
    )
    samples: str | None = option(
        None,
        "real images to compare on (images, labels); none: samples.npz beside the weights",
        group="Run",
        metavar="FILE.npz",
    )
    exporter: str = option("dynamo", "PyTorch's exporter", group="Export", choices=("dynamo", "legacy"))
    opset: int = option(18, "ONNX operator set: 18 (dynamo), 13 or 17 (legacy)", group="Export", at_least=7)
    dynamic_batch: bool = option(False, "leave the batch size open; otherwise it is 1", group="Export")
    fold_normalisation: bool = option(
        False, "put mean and std into the graph, which then takes pixels in 0..1", group="Export"
    )
    tolerance: float = option(
        1e-4, "largest |difference| of onnxruntime's logits, relative to max(1, |logit|)", group="Export", above=0
    )
    parity_images: int = option(32, "real images compared with onnxruntime", group="Export", at_least=1)

    def rules(self) -> None:
        """What concerns several options together."""
        if self.weights is not None and self.retrain is not None:
            raise UserError("--weights and --retrain both name the network: give one of them")


STAGE_OPTIONS: dict[str, type[RunOptions]] = {
    cls.stage: cls for cls in (TrainSupernetOptions, SearchOptions, RetrainOptions, ExportOptions)
}
"""The options of every stage by its name."""
