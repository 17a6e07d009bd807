"""Results of trials as text for people, laid out as Neural Compressor's files are."""

from collections.abc import Iterable, Sequence
from itertools import chain

from search.basic.trials import PARAMS
from search.basic.values import config_of
from search.result import Result
from supernet.decisions import DecisionSpace

RULE = "=" * 30


def results_text(space: DecisionSpace, results: Iterable[Result], best: Sequence[Result]) -> str:
    """All results in the order made, failed ones with their line, and the best of them, numbered."""
    every = (line_of(space, result) for result in results)
    chosen = (f"{number}. {line_of(space, result)}" for number, result in enumerate(best, start=1))
    parts = [f"{RULE} All Search Results {RULE}", "", *every, "", "", ""]
    return "\n".join(chain(parts, [f"{RULE} Best Search Results {RULE}", ""], chosen, [""]))


def line_of(space: DecisionSpace, result: Result) -> str:
    """A result in a line: `channels_16,dimensions_32: {'acc': 0.5} Paras: 0.000577M`."""
    name = ",".join(f"{key}_{value}" for key, value in config_of(space, result.architecture).items())
    if result.failed:
        return f"{name}: failed: {result.note}"
    numbers = dict(result.metrics)
    params = numbers.get(PARAMS, result.cost.get(PARAMS))
    shown = {key: value for key, value in numbers.items() if key != PARAMS}
    return f"{name}: {shown}" + ("" if params is None else f" Paras: {params / 10**6:g}M")
