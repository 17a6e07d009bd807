"""python -m search.predictor train|predict|best ...: predictors that are kept."""

from collections.abc import Sequence

from config_file.errors import run_main


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with these arguments; see `--help`."""
    from search.predictor.cli import main as run  # noqa: PLC0415  # seconds, in which Ctrl-C is one line too

    run(argv)


if __name__ == "__main__":
    run_main(main)
