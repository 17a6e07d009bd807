"""python train_supernet.py --title first --dataset cifar10 --search-space proxylessnas --sample-strategy fair

Train a supernet, the shared weights of all networks of a search space, into runs/<title>/supernet/. Without further
options it trains on the embedded digits. `--help` lists the options, `--plan` says what would run and how long it
takes, `--resume` goes on after an interruption as if there had been none. Afterwards: python search.py --title first
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from config_file.errors import run_main


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script with these arguments; see `--help`."""
    from training.cli import main_train_supernet  # noqa: PLC0415  # seconds, in which Ctrl-C is one line too
    from training.trainers.uniform import PREDICTORS  # noqa: PLC0415

    PREDICTORS["search.predictor"] = expectation
    main_train_supernet(argv)


def expectation(file: Path, space: Any) -> Any:
    """The scores by which a predictor of a search expects networks to do, for --attentive-by."""
    from search.predictor import kept  # noqa: PLC0415  # seldom needed, and training knows no search

    return kept.expectation(file, space)


if __name__ == "__main__":
    run_main(main)
