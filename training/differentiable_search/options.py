"""Options of architecture parameters: how they are relaxed and fitted, and how cost counts.

They are read by ``train_supernet.py --sample-strategy differentiable`` and ``search.py --search-strategy
differentiable``; the search takes them from the supernet's run unless told otherwise.
"""

import math
from functools import partial
from typing import Any

from config_file.errors import choose
from config_file.fields import option
from config_file.options import options
from lookup_tables.options import ConstraintOptions
from supernet.relaxations import RELAXATIONS
from training.differentiable_search.penalties import PENALTIES, WEIGHTS
from training.optimizers import OPTIMIZERS
from training.recipe_options import FittingOptions

# A later stage takes what the supernet was trained with; another value changes what is learned, or only the weights.
learned = partial(option, inherit=True, decides="training learning")
trained = partial(option, inherit=True, decides="training")


SGD_RATE = 0.05
TRAVEL = 30.0
"""Learning rate times architecture steps: how far the steps of an adaptive optimizer can move a logit in a training."""

RATES = (0.001, 0.3)
"""The least (ProxylessNAS's, whose trainings are long) and the greatest rate that is chosen by the number of steps."""

MULTIPLIER_TRAVEL = 30.0
"""Rate of the multipliers times architecture steps."""


@options("Gradient")
class GradientOptions:
    """Architecture parameters: relaxation, optimizer, temperature and hardware loss."""

    relaxation: str | None = learned(
        None,
        "{names}; all options run in softmax and gumbel, one in gumbel_hard, binary and reinforce (ProxylessNAS's RL, "
        "also for widths); thresholds are those of single_path's super-kernels; none: binary_two, or gumbel with "
        "--sample-strategy differentiable_gumbel",
        metavar="NAME",
        names=RELAXATIONS,
    )
    a_order: int = trained(1, "of DARTS: 2 looks through one step of the weights", at_least=1, at_most=2)
    a_optimizer: str | None = learned(
        None,
        "optimizer of the architecture parameters: {names}; none: adam, but sgd where the task's gradient is rounding "
        "alone if a batch norm follows: " + ", ".join(name for name, kind in RELAXATIONS.items() if kind.scaled),
        metavar="NAME",
        names=OPTIMIZERS,
    )
    a_lr: float | None = learned(
        None,
        f"its learning rate; none: {SGD_RATE} for sgd, for others {TRAVEL:g} over the number of architecture steps, "
        f"within {RATES[0]} (ProxylessNAS) and {RATES[1]}",
        above=0,
    )
    a_weight_decay: float = learned(0.0, "its L2 penalty (DARTS 0.001)", at_least=0)
    a_momentum: float = learned(0.9, "of its sgd or rmsprop", at_least=0, below=1)
    a_alpha: float | None = learned(None, "smoothing of its rmsprop; none: 0.99", at_least=0, below=1)
    a_beta: float = learned(0.5, "first beta of its adam or adamw (DARTS 0.5, ProxylessNAS 0)", at_least=0, below=1)
    a_beta2: float = learned(0.999, "second beta of its adam or adamw", at_least=0, below=1)
    a_warmup_epochs: float = trained(0.0, "epochs of weights alone before the first architecture step", at_least=0)
    a_every: int = trained(1, "steps of the weights per architecture step (ProxylessNAS 5)", at_least=1)
    a_portion: float = trained(
        0.5, "share of the training images that architecture steps see (DARTS: half)", above=0, below=1
    )
    max_skips: int | None = learned(
        None,
        "ends the search before more skips than this are derived, of cells in a normal one (DARTS+ 1): what was learnt "
        "an epoch before is kept; none: it goes on",
        at_least=0,
    )
    a_epochs: int = option(
        10,
        "search on a supernet trained by sampling: passes over the validation images that fit architecture parameters",
        at_least=1,
        at_most=10**6,
        decides="learning",
    )
    a_samples: int = option(
        50, "architectures drawn from what was learnt, ranked beside the derived one", at_least=0, at_most=10**5
    )
    a_paths: int = learned(
        4,
        "reinforce: paths per architecture step, each the baseline of the others (ProxylessNAS 10)",
        at_least=2,
        at_most=1000,
    )
    temperature: float = learned(1.0, "at the start (FBNet 5)", above=0)
    temperature_schedule: str = learned("constant", "how it falls", choices=("constant", "linear", "exponential"))
    temperature_end: float = learned(0.33, "linear: at the end", above=0, only={"temperature_schedule": ("linear",)})
    temperature_decay: float = learned(
        0.045, "exponential: times exp(-this) per epoch", at_least=0, only={"temperature_schedule": ("exponential",)}
    )
    recompute: bool = learned(False, "softmax, gumbel: run options again in the backward pass, to save memory")
    hc_mode: str = learned(
        "penalty",
        "bend the search towards the target, or hold it: adapted multipliers and an exact derivation",
        choices=("penalty", "constrained"),
    )
    hc_loss: str = learned("relative", "hardware loss of --hc-mode penalty: {names}", metavar="NAME", names=PENALTIES)
    hc_weight: float | None = learned(
        None,
        "weight of " + ", ".join(WEIGHTS) + "; none: " + ", ".join(f"{w:g}" for w in WEIGHTS.values()),
        at_least=0,
    )
    hc_alpha: float = learned(1.0, "alpha of fbnet_... and mul#log", above=0)
    hc_beta: float = learned(0.6, "beta of fbnet_... and mul#log")
    hc_scale: float = learned(2.0, "scale of nni_...")
    hc_rate: float | None = learned(
        None,
        f"constrained: step of the multipliers per architecture step; none: {MULTIPLIER_TRAVEL:g} over their number",
        above=0,
    )
    hc_fill: bool = learned(
        True, "constrained: also pull the tightest cost up to its target, and derive what uses 98 % of it if possible"
    )

    def rules(self) -> None:
        """Raise UserError where options contradict each other."""
        choose("hardware loss", self.hc_loss, dict.fromkeys(PENALTIES))


@options()
class LearningOptions(GradientOptions, ConstraintOptions, FittingOptions):
    """Everything that learning architecture parameters needs to know; part of every stage that learns them."""


def architecture_steps(options: Any, epochs: int, steps_per_epoch: int) -> int:
    """The number of architecture steps in a training of the weights, at least one."""
    after_warmup = epochs * steps_per_epoch - round(options.a_warmup_epochs * steps_per_epoch)
    return max(1, math.ceil(after_warmup / options.a_every))


def architecture_optimizer(options: Any, scaled: bool, steps: int) -> tuple[str, float]:
    """Name and learning rate of the architecture parameters' optimizer in a training with that many steps of them.

    `scaled`: as of `supernet.relaxations.Relaxation`.
    """
    name = options.a_optimizer or ("sgd" if scaled else "adam")
    low, high = RATES
    rate = SGD_RATE if name == "sgd" else min(high, max(low, TRAVEL / steps))
    return name, rate if options.a_lr is None else options.a_lr
