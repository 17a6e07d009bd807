"""Zero-cost scores of our own beside those of a table: what `python -m search.zero_cost` wrote of its networks."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from config_file.errors import UserError
from search.proxies import SCORES
from search.result_table import read_rows
from search.tabular.benchmark import Benchmark

SECONDS = "seconds"


def with_scores(benchmark: Benchmark, path: str | Path) -> Benchmark:
    """The table with the scores of a CSV file, which are charged its column `seconds` where it has one.

    A network without a row has the worst score, and so has one without a number.

    Raises:
        UserError: no such file, no score in it, or an architecture that the table does not have.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"--table-scores: no such file {path}")
    rows = read_rows(path, (*SCORES, SECONDS), benchmark.space)
    names = [name for name in SCORES if rows and name in rows[0].numbers and name not in ("params", "flops")]
    if not names:
        raise UserError(f"--table-scores {path}: it has no score (such as {', '.join(list(SCORES)[:4])})")
    found = {name: np.full(len(benchmark), -np.inf) for name in names}
    seconds = np.zeros(len(benchmark))
    for row in rows:
        try:
            position = benchmark.row(row.architecture)
        except KeyError:
            raise UserError(f"{path}, line {row.line}: {benchmark.title} does not have this architecture") from None
        seconds[position] = row.numbers.get(SECONDS, 0.0)
        for name in names:
            found[name][position] = row.numbers[name]
    return replace(benchmark, scores=dict(benchmark.scores) | {name: (found[name], seconds) for name in names})
