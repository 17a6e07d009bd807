"""python search.py --title first --search-strategy evolution --info-metric flops --target-hc 60

Second of four stages: reads the supernet that train_supernet.py left in runs/<title>/supernet, evaluates architectures
within the target with inherited weights, judges the most accurate one once more on images that nothing was selected by,
and leaves it in runs/<title>/search/best.json, with every evaluation (results.csv, archive.jsonl) and a picture
(accuracy_vs_cost.png). Next: python retrain.py --title first

    python search.py --help                        # all flags, with defaults and units
    python search.py --title first --plan          # feasible range, number of evaluations, time and memory
    python search.py --title first --resume        # continue an interrupted search to the identical end
"""

# Beside the package search/ this file is only ever run, never imported: a package wins over a module of its name.
from collections.abc import Sequence

from config_file.errors import run_main


def main(argv: Sequence[str] | None = None) -> int | None:
    """Run the script with these arguments; see `--help`."""
    from search.cli import main as run  # noqa: PLC0415  # seconds, in which Ctrl-C is one line too

    return run(argv)


if __name__ == "__main__":
    run_main(main)
