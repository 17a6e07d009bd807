"""The two scripts of this room: flags in, one call, result out."""

from collections.abc import Sequence

from config_file.loader import parse
from training.options import RetrainOptions, TrainSupernetOptions
from training.retrain import plan_retrain, retrain_stage
from training.train_supernet import plan_supernet, train_supernet


def main_train_supernet(argv: Sequence[str] | None = None) -> None:
    """`train_supernet.py`; argv without the program's name, None for this process's.

    Raises:
        UserError: whatever the user can mend.
    """
    options = parse(
        TrainSupernetOptions,
        argv,
        prog="train_supernet.py",
        description="Train a supernet: the shared weights of all networks of a search space.",
        examples=(
            "python train_supernet.py --title first --epochs 10",
            "python train_supernet.py --title first --dataset cifar10 --search-space fbnet --sample-strategy fair",
            "python train_supernet.py --title mine --dataset imagefolder --data-path DIR --plan",
            "python train_supernet.py --title first --resume",
        ),
    )
    (plan_supernet if options.plan else train_supernet)(options)


def main_retrain(argv: Sequence[str] | None = None) -> None:
    """`retrain.py`; argv without the program's name, None for this process's.

    Raises:
        UserError: whatever the user can mend.
    """
    options = parse(
        RetrainOptions,
        argv,
        prog="retrain.py",
        description="Train one network for good, and test it once.",
        examples=(
            "python retrain.py --title first",
            "python retrain.py --title first --init supernet --epochs 30",
            "python retrain.py --title other --architecture random --search-space spos --dataset cifar10",
            "python retrain.py --title first --resume",
        ),
    )
    (plan_retrain if options.plan else retrain_stage)(options)
