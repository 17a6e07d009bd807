"""python -m search.zero_cost: What do untrained networks tell? See `search.ranking.untrained`."""

from collections.abc import Sequence

from config_file.errors import run_main


def main(argv: Sequence[str] | None = None) -> int | None:
    """Run the command with these arguments; see `--help`."""
    from search.ranking.untrained import main as run  # noqa: PLC0415  # seconds, in which Ctrl-C is one line too

    return run(argv)


if __name__ == "__main__":
    run_main(main)
