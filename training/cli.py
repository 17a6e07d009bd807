"""The two scripts of this room: flags in, one call, result out."""

from collections.abc import Callable, Sequence
from typing import Any

from config_file.loader import parse
from config_file.ranks import joined
from training.options import RetrainOptions, TrainSupernetOptions
from training.retrain import plan_retrain, retrain_stage
from training.train_supernet import plan_supernet, train_supernet


def _script(
    options_class: Any, plan: Callable[[Any], object], run: Callable[[Any], object], prog: str, *about: Any
) -> Callable[..., None]:
    def main(argv: Sequence[str] | None = None) -> None:
        """Run the script; argv without the program's name, None for this process's.

        Raises:
            UserError: whatever the user can mend.
        """
        with joined():
            options = parse(options_class, argv, prog, *about)
            (plan if options.plan else run)(options)

    return main


main_train_supernet = _script(
    TrainSupernetOptions,
    plan_supernet,
    train_supernet,
    "train_supernet.py",
    "Train a supernet: the shared weights of all networks of a search space.",
    (
        "python train_supernet.py --title first --epochs 10",
        "python train_supernet.py --title first --dataset cifar10 --search-space fbnet --sample-strategy fair",
        "python train_supernet.py --title mine --dataset imagefolder --data-path DIR --plan",
        "python train_supernet.py --title first --resume",
    ),
)
main_retrain = _script(
    RetrainOptions,
    plan_retrain,
    retrain_stage,
    "retrain.py",
    "Train one network for good, and test it once.",
    (
        "python retrain.py --title first",
        "python retrain.py --title first --init supernet --epochs 30",
        "python retrain.py --title other --architecture random --search-space spos --dataset cifar10",
        "python retrain.py --title first --resume",
    ),
)
