"""python -m search.tabular convert|generate ...: tables of benchmarks."""

from collections.abc import Sequence

from config_file.errors import run_main


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with these arguments; see `--help`."""
    from search.tabular.cli import main as run  # noqa: PLC0415  # seconds, in which Ctrl-C is one line too

    run(argv)


if __name__ == "__main__":
    run_main(main)
