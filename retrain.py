"""python retrain.py --title first

Train the network that the search found into runs/<title>/retrain/, and report its accuracy on the test images, once.
`--architecture FILE|LIST|random` takes another network, `--init supernet` starts from the supernet's weights. `--help`
lists the options, `--plan` says what would run and how long it takes, `--resume` goes on after an interruption.
Afterwards: python export.py --title first
"""

from collections.abc import Sequence

from config_file.errors import run_main


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script with these arguments; see `--help`."""
    from training.cli import main_retrain  # noqa: PLC0415  # seconds, in which Ctrl-C is one line too

    main_retrain(argv)


if __name__ == "__main__":
    run_main(main)
