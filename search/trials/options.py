"""Options of the trainings of a search, and the recipe that they make."""

from collections.abc import Mapping
from typing import Any

from config_file.fields import option, options_of
from config_file.options import options, was_given, with_registered
from training.options import NetworkOptions, RetrainOptions
from training.trainers import NETWORK_TRAINERS

DEFAULTS_OF_RETRAIN = ("lr", "weight_decay")
"""Options whose defaults are those of `retrain.py`, not of the supernet's training that a search may begin with."""

OF_THE_COMMAND = ("resume", "overwrite", "plan", "plan_seconds", "config")


@options("Trials")
class TrialOptions(NetworkOptions):
    """The trainings of the evaluator `training`: the recipe is that of retrain.py, with its options and defaults."""

    low_fidelity_trainer: str | None = option(
        None,
        "what a step trains at all fidelities but the last: {names}, or module:callable; none: as --trainer. Networks "
        "then begin anew at the last one",
        metavar="NAME",
        names=NETWORK_TRAINERS,
    )
    early_stop: int = option(
        0, "epochs without a better validation after which a trial ends; 0: it never does", unit="epochs", at_least=0
    )
    keep_trials: int = option(
        1, "trials whose weights are kept: those of the best validation (retrain.py --init trial starts from them)",
        at_least=0,
    )  # fmt: skip


def recipe_values(given: Any) -> dict[str, Any]:
    """Plain {option of retrain.py: value} of a stage's options, which another process can be sent."""
    return {
        name: getattr(given, name)
        for name in options_of(with_registered(RetrainOptions))
        if hasattr(given, name)
        and name not in OF_THE_COMMAND
        and (name not in DEFAULTS_OF_RETRAIN or was_given(given, name))
    } | {"train_on": "train"}


def recipe_of(values: Mapping[str, Any]) -> RetrainOptions:
    """The options of a training from such values. Raises UserError where they contradict each other."""
    return with_registered(RetrainOptions)(**values)
