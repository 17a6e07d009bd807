"""Options of the gradient-based search: how architectures are relaxed, how their parameters are fitted, and cost.

They are read by ``train_supernet.py --sample-strategy differentiable`` and ``search.py --search-strategy
differentiable``; the search takes them from the supernet's run unless told otherwise.
"""

from dataclasses import dataclass
from math import inf

from config_file.errors import UserError, choose
from config_file.fields import check_options, option

RELAXATIONS = ("softmax", "gumbel", "gumbel_hard", "binary", "binary_two", "binary_full", "thresholds")
PENALTIES = (
    "squared",
    "hinge",
    "fbnet_mul",
    "fbnet_add",
    "mul#log",
    "add#linear",
    *(f"nni_{form}_{name}" for form in ("add", "mul") for name in ("linear", "positive", "negative", "absolute")),
)


@dataclass(frozen=True, kw_only=True)
class GradientOptions:
    """Architecture parameters: relaxation, optimizer, temperature and hardware loss."""

    relaxation: str | None = option(
        None,
        "softmax, gumbel (all options run), gumbel_hard, binary (one runs), binary_two, binary_full, thresholds "
        "(of single_path's super-kernels); none: binary_two, "
        "or gumbel with --sample-strategy differentiable_gumbel",
        group="Gradient",
        metavar="NAME",
        known=RELAXATIONS,
        inherit=True,
    )
    a_order: int = option(
        1, "of DARTS: 2 looks through one step of the weights", group="Gradient", at_least=1, at_most=2, inherit=True
    )
    a_optimizer: str = option(
        "sgd",
        "optimizer of the architecture parameters",
        group="Gradient",
        metavar="NAME",
        known=("sgd", "rmsprop", "adam", "adamw"),
        inherit=True,
    )
    a_lr: float = option(0.05, "its learning rate", group="Gradient", above=0, inherit=True)
    a_weight_decay: float = option(0.0004, "its L2 penalty", group="Gradient", at_least=0, inherit=True)
    a_momentum: float = option(0.9, "of its sgd or rmsprop", group="Gradient", at_least=0, below=1, inherit=True)
    a_alpha: float | None = option(
        None, "smoothing of its rmsprop; none: 0.99", group="Gradient", at_least=0, below=1, inherit=True
    )
    a_beta: float = option(
        0.5, "first beta of its adam or adamw (DARTS 0.5, ProxylessNAS 0)", group="Gradient", at_least=0, below=1,
        inherit=True,
    )  # fmt: skip
    a_beta2: float = option(
        0.999, "second beta of its adam or adamw", group="Gradient", at_least=0, below=1, inherit=True
    )
    a_warmup_epochs: float = option(
        0.0, "epochs of weights alone before the first architecture step", group="Gradient", at_least=0, inherit=True
    )
    a_every: int = option(
        1, "steps of the weights per architecture step (ProxylessNAS 5)", group="Gradient", at_least=1, inherit=True
    )
    a_portion: float = option(
        0.5, "share of the training images that architecture steps see (DARTS: half)", group="Gradient", above=0,
        below=1, inherit=True,
    )  # fmt: skip
    a_epochs: int = option(
        10,
        "search on a supernet trained by sampling: passes over the validation images that fit architecture parameters",
        group="Gradient",
        at_least=1,
    )
    a_samples: int = option(
        50, "architectures drawn from what was learnt, ranked beside the derived one", group="Gradient", at_least=0
    )
    temperature: float = option(1.0, "at the start (FBNet 5)", group="Gradient", above=0, inherit=True)
    temperature_schedule: str = option(
        "constant", "how it falls", group="Gradient", choices=("constant", "linear", "exponential"), inherit=True
    )
    temperature_end: float = option(0.33, "linear: at the end", group="Gradient", above=0, inherit=True)
    temperature_decay: float = option(
        0.045, "exponential: times exp(-this) per epoch", group="Gradient", at_least=0, inherit=True
    )
    recompute: bool = option(
        False, "softmax, gumbel: run options again in the backward pass, to save memory", group="Gradient", inherit=True
    )
    hc_mode: str = option(
        "penalty",
        "bend the search towards the target, or hold it: adapted multipliers and an exact derivation",
        group="Gradient",
        choices=("penalty", "constrained"),
        inherit=True,
    )
    hc_loss: str = option(
        "squared",
        "hardware loss of --hc-mode penalty: squared, hinge, fbnet_mul, fbnet_add, mul#log, add#linear, "
        "nni_add_linear, nni_add_positive, nni_add_negative, nni_add_absolute, "
        "nni_mul_linear, nni_mul_positive, nni_mul_negative, nni_mul_absolute",
        group="Gradient",
        metavar="NAME",
        known=PENALTIES,
        inherit=True,
    )
    hc_weight: float = option(
        0.005, "weight of squared, hinge and add#linear", group="Gradient", at_least=0, inherit=True
    )
    hc_alpha: float = option(1.0, "alpha of fbnet_... and mul#log", group="Gradient", above=0, inherit=True)
    hc_beta: float = option(0.6, "beta of fbnet_... and mul#log", group="Gradient", inherit=True)
    hc_scale: float = option(2.0, "scale of nni_...", group="Gradient", inherit=True)
    hc_rate: float = option(
        0.05, "constrained: step of the multipliers per architecture step", group="Gradient", above=0, inherit=True
    )
    hc_fill: bool = option(
        True,
        "constrained: also pull the tightest cost up to its target, and derive what uses 98 % of it if possible",
        group="Gradient",
        inherit=True,
    )
    constraint: str | None = option(
        None,
        "further hard limits, as 'flops<=300' or '10<=latency<=20' (a band: not for differentiable searches); may be "
        "repeated, implies --hc-mode constrained",
        group="Gradient",
        metavar="[Y<=]METRIC<=X",
        repeat=True,
        inherit=True,
    )

    def __post_init__(self) -> None:
        check_options(self)

    def rules(self) -> None:
        """What concerns several options together."""
        choose("hardware loss", self.hc_loss, dict.fromkeys(PENALTIES))  # also where no cost counts
        parse_limits(self.constraint)


def parse_constraints(text: str | None) -> dict[str, float]:
    """{metric: upper limit} of ``--constraint``, in the unit of ``--target-hc``, where only those can be kept.

    Raises:
        UserError: as `parse_limits`, or a lower limit.
    """
    limits = parse_limits(text)
    for metric, (lower, _) in limits.items():
        if lower is not None:
            raise UserError(f"--constraint {lower:g}<={metric}<=...: a differentiable search keeps upper limits only")
    return {metric: upper for metric, (_, upper) in limits.items()}


def parse_limits(text: str | None) -> dict[str, tuple[float | None, float]]:
    """{metric: (lower limit or None, upper limit)} of ``--constraint``, in the unit of ``--target-hc``.

    Raises:
        UserError: an entry that is not [NUMBER<=]METRIC<=NUMBER, or a metric limited twice.
    """
    limits: dict[str, tuple[float | None, float]] = {}
    for entry in filter(None, (part.strip() for part in (text or "").split(","))):
        *low, metric, high = parts if len(parts := entry.split("<=")) > 1 else ("", "")
        metric = {"macs": "flops", "param": "params"}.get(metric.strip(), metric.strip())
        try:
            lower, upper = [*map(float, low), *([] if low else [None])], float(high)
        except ValueError:
            lower, upper = [], inf
        if not metric or len(lower) != 1 or not 0 <= (lower[0] or 0) <= upper or not 0 < upper < inf:
            raise UserError(
                f"--constraint {entry!r}: write METRIC<=NUMBER or NUMBER<=METRIC<=NUMBER, such as flops<=300"
            )
        if metric in limits:
            raise UserError(f"--constraint limits {metric} twice")
        limits[metric] = (lower[0], upper)
    return limits
