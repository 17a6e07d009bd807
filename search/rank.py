"""python -m search.rank: How well does a supernet rank networks? See `search.ranking`."""

from collections.abc import Sequence

from config_file.errors import run_main


def main(argv: Sequence[str] | None = None) -> int | None:
    """Run the command with these arguments; see `--help`."""
    from search.ranking.rank import main as run  # noqa: PLC0415  # seconds, in which Ctrl-C is one line too

    return run(argv)


if __name__ == "__main__":
    run_main(main)
