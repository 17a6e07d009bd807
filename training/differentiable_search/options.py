"""Options of architecture parameters: how they are relaxed and fitted, and how cost counts.

They are read by ``train_supernet.py --sample-strategy differentiable`` and ``search.py --search-strategy
differentiable``; the search takes them from the supernet's run unless told otherwise.
"""

from config_file.errors import choose
from config_file.fields import option
from config_file.options import options
from lookup_tables.constraint_text import parse_limits
from lookup_tables.options import ConstraintOptions
from supernet.relaxations import RELAXATIONS
from training.differentiable_search.penalties import PENALTIES
from training.optimizers import OPTIMIZERS
from training.recipe_options import FittingOptions


@options("Gradient")
class GradientOptions:
    """Architecture parameters: relaxation, optimizer, temperature and hardware loss."""

    relaxation: str | None = option(
        None,
        "{names}; all options run in softmax and gumbel, one in gumbel_hard and binary; thresholds are those of "
        "single_path's super-kernels; none: binary_two, or gumbel with --sample-strategy differentiable_gumbel",
        metavar="NAME",
        names=RELAXATIONS,
        inherit=True,
        decides="training learning",
    )
    a_order: int = option(
        1, "of DARTS: 2 looks through one step of the weights", at_least=1, at_most=2, inherit=True, decides="training"
    )
    a_optimizer: str = option(
        "sgd",
        "optimizer of the architecture parameters: {names}",
        metavar="NAME",
        names=OPTIMIZERS,
        inherit=True,
        decides="training learning",
    )
    a_lr: float = option(0.05, "its learning rate", above=0, inherit=True, decides="training learning")
    a_weight_decay: float = option(0.0004, "its L2 penalty", at_least=0, inherit=True, decides="training learning")
    a_momentum: float = option(
        0.9, "of its sgd or rmsprop", at_least=0, below=1, inherit=True, decides="training learning"
    )
    a_alpha: float | None = option(
        None, "smoothing of its rmsprop; none: 0.99", at_least=0, below=1, inherit=True, decides="training learning"
    )
    a_beta: float = option(
        0.5, "first beta of its adam or adamw (DARTS 0.5, ProxylessNAS 0)", at_least=0, below=1,
        inherit=True, decides="training learning")  # fmt: skip
    a_beta2: float = option(
        0.999, "second beta of its adam or adamw", at_least=0, below=1, inherit=True, decides="training learning"
    )
    a_warmup_epochs: float = option(
        0.0, "epochs of weights alone before the first architecture step", at_least=0, inherit=True, decides="training"
    )
    a_every: int = option(
        1, "steps of the weights per architecture step (ProxylessNAS 5)", at_least=1, inherit=True, decides="training"
    )
    a_portion: float = option(
        0.5, "share of the training images that architecture steps see (DARTS: half)", above=0,
        below=1, inherit=True, decides="training")  # fmt: skip
    a_epochs: int = option(
        10,
        "search on a supernet trained by sampling: passes over the validation images that fit architecture parameters",
        at_least=1,
        decides="learning",
    )
    a_samples: int = option(50, "architectures drawn from what was learnt, ranked beside the derived one", at_least=0)
    temperature: float = option(1.0, "at the start (FBNet 5)", above=0, inherit=True, decides="training learning")
    temperature_schedule: str = option(
        "constant",
        "how it falls",
        choices=("constant", "linear", "exponential"),
        inherit=True,
        decides="training learning",
    )
    temperature_end: float = option(0.33, "linear: at the end", above=0, inherit=True, decides="training learning")
    temperature_decay: float = option(
        0.045, "exponential: times exp(-this) per epoch", at_least=0, inherit=True, decides="training learning"
    )
    recompute: bool = option(
        False,
        "softmax, gumbel: run options again in the backward pass, to save memory",
        inherit=True,
        decides="training learning",
    )
    hc_mode: str = option(
        "penalty",
        "bend the search towards the target, or hold it: adapted multipliers and an exact derivation",
        choices=("penalty", "constrained"),
        inherit=True,
        decides="training learning",
    )
    hc_loss: str = option(
        "squared",
        "hardware loss of --hc-mode penalty: {names}",
        metavar="NAME",
        names=PENALTIES,
        inherit=True,
        decides="training learning",
    )
    hc_weight: float = option(
        0.005, "weight of squared, hinge and add#linear", at_least=0, inherit=True, decides="training learning"
    )
    hc_alpha: float = option(1.0, "alpha of fbnet_... and mul#log", above=0, inherit=True, decides="training learning")
    hc_beta: float = option(0.6, "beta of fbnet_... and mul#log", inherit=True, decides="training learning")
    hc_scale: float = option(2.0, "scale of nni_...", inherit=True, decides="training learning")
    hc_rate: float = option(
        0.05,
        "constrained: step of the multipliers per architecture step",
        above=0,
        inherit=True,
        decides="training learning",
    )
    hc_fill: bool = option(
        True,
        "constrained: also pull the tightest cost up to its target, and derive what uses 98 % of it if possible",
        inherit=True,
        decides="training learning",
    )
    constraint: str | None = option(
        None,
        "further hard limits, as 'flops<=300' or '10<=latency<=20' (a band: not for differentiable searches); may be "
        "repeated, implies --hc-mode constrained",
        metavar="[Y<=]METRIC<=X",
        repeat=True,
        inherit=True,
        decides="training learning",
    )

    def rules(self) -> None:
        """Raise UserError where options contradict each other."""
        choose("hardware loss", self.hc_loss, dict.fromkeys(PENALTIES))  # also where no cost counts
        parse_limits(self.constraint)


@options()
class LearningOptions(GradientOptions, ConstraintOptions, FittingOptions):
    """Everything that learning architecture parameters needs to know; part of every stage that learns them."""
