"""python -m search.verdict: Did the search help? See `search.comparison`."""

from collections.abc import Sequence

from config_file.errors import run_main


def main(argv: Sequence[str] | None = None) -> int | None:
    """Run the command with these arguments; see `--help`."""
    from search.comparison.verdict import main as run  # noqa: PLC0415  # seconds, in which Ctrl-C is one line too

    return run(argv)


if __name__ == "__main__":
    run_main(main)
