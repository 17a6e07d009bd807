"""The tables of published benchmarks as evaluators: a training is looked up, and charged what it took."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from config_file.errors import UserError, alike
from config_file.options import was_given
from search.evaluators.benchmark_options import BenchmarkOptions
from search.evaluators.context import Context
from search.evaluators.evaluator import Entry
from search.evaluators.fidelity_options import parse_fidelities
from search.evaluators.table import TableEvaluator
from search.result import FULL, Fidelity, Result
from search.schedules import Schedule
from search.tabular import BENCHMARKS, Benchmark, find_benchmark
from search.tabular.scores import with_scores
from supernet import Architecture
from supernet.decisions import DecisionSpace


class BenchmarkEvaluator(TableEvaluator):
    """Looks up what a network reached on validation after so many epochs; one that the table lacks has failed.

    What a training took is charged from scratch, and the engine charges the difference to what lower fidelities of the
    same network were charged (`cumulative`).

    Args:
        benchmark: the table.
        fidelities: numbers of epochs that it has, rising; none: its last.

    Attributes:
        key: architecture -> what its row is known by, the same for isomorphic ones that share it.
    """

    cumulative = True

    def __init__(self, benchmark: Benchmark, fidelities: Sequence[Fidelity] = ()) -> None:
        super().__init__(
            {},
            measures={benchmark.metric: benchmark.kind.maximise},
            name=benchmark.title,
            fingerprint=benchmark.fingerprint,
        )
        self.benchmark = benchmark
        self.dataset = benchmark.dataset
        self.key = benchmark.key
        self.fidelities = tuple(fidelities) or (Fidelity(epochs=benchmark.epochs[-1]),)
        for fidelity in self.fidelities:
            benchmark.rung(fidelity["epochs"])
        self.record = {
            "table": benchmark.name,
            "table_dataset": benchmark.dataset,
            "table_notes": list(benchmark.notes),
            "sha256": benchmark.fingerprint,
        }

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        fidelity = fidelity or self.fidelities[-1]
        rung = self.benchmark.rung(fidelity["epochs"])
        for architecture in dict.fromkeys(architectures):
            try:
                row = self.benchmark.row(architecture)
            except KeyError:
                missing = {self.benchmark.metric: math.nan}
                yield Result(architecture, missing, fidelity, note=f"not in {self.method}")
                continue
            found = {self.benchmark.metric: float(self.benchmark.validation[row, rung])}
            yield Result(architecture, found, fidelity, self.benchmark.spent(row, rung))

    def price(self, architecture: Architecture, fidelity: Fidelity) -> Mapping[str, float]:
        """{what: amount} of an evaluation from scratch; nothing of a network that the table lacks."""
        try:
            row = self.benchmark.row(architecture)
        except KeyError:
            return {}
        return self.benchmark.spent(row, self.benchmark.rung(fidelity["epochs"]))

    def test(self, architecture: Architecture) -> float | None:
        """The network's metric on test images after the last epoch of the table; None where that is not known.

        For the end of a search, once: nothing may be selected by it.
        """
        try:
            found = float(self.benchmark.test[self.benchmark.row(architecture)])
        except KeyError:
            return None
        return found if math.isfinite(found) else None

    def scorer(self, names: Sequence[str]) -> TableEvaluator | None:
        """An evaluator of zero-cost scores of the table; None where it lacks one of them."""
        return ScoreEvaluator(self.benchmark, names) if self.benchmark.scores.keys() >= set(names) else None

    def describe(self, schedule: Schedule) -> str:
        amounts = schedule.in_words([f"{fidelity['epochs']:g} epochs" for fidelity in schedule.fidelities])
        notes = f" ({'; '.join(self.benchmark.notes)})" if self.benchmark.notes else ""
        return f"looked up in {self.method}: {', '.join(self.measures)} on validation after {amounts}{notes}"

    def spell(self, fidelity: Fidelity) -> str:
        return f"on validation after {fidelity['epochs']:g} epochs"


class ScoreEvaluator(TableEvaluator):
    """Looks up zero-cost scores, and charges what they took where that is known.

    Args:
        benchmark: the table.
        names: of its scores, the first one is what a network is picked by.
    """

    def __init__(self, benchmark: Benchmark, names: Sequence[str]) -> None:
        super().__init__({}, measures=dict.fromkeys(names, True), name=benchmark.title)
        self._benchmark = benchmark
        self.key = benchmark.key

    @property
    def fingerprints(self) -> Mapping[str, Any]:
        return {"table": self._benchmark.fingerprint, "scores": list(self.measures)}

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        columns = {name: self._benchmark.scores[name] for name in self.measures}
        for architecture in dict.fromkeys(architectures):
            try:
                row = self._benchmark.row(architecture)
            except KeyError:
                yield Result(architecture, dict.fromkeys(columns, math.nan), note=f"not in {self.method}")
                continue
            found = {name: float(values[row]) for name, (values, _) in columns.items()}
            yield Result(architecture, found, FULL, {"seconds": sum(float(took[row]) for _, took in columns.values())})


def benchmark_of(name: str, context: Context) -> Benchmark:
    """The table that the options name. Raises UserError where there is none, or it is of another benchmark."""
    options = context.options
    asked = getattr(options, "search_space", None)
    if asked is not None and was_given(options, "search_space") and alike(asked, {name: name}) is None:
        raise UserError(f"--evaluator {name} is a table of {BENCHMARKS[name].title}, not of --search-space {asked}")
    if name not in context.read:
        benchmark = find_benchmark(name, options.table_dataset, options.table)
        scores = options.table_scores
        context.read[name] = benchmark if scores is None else with_scores(benchmark, scores)
    found: Benchmark = context.read[name]
    return found


def _space(name: str, context: Context) -> DecisionSpace:
    return benchmark_of(name, context).space


def _evaluator(name: str, context: Context) -> BenchmarkEvaluator:
    text = context.options.fidelities
    return BenchmarkEvaluator(benchmark_of(name, context), parse_fidelities(text, ("epochs",)) if text else ())


TABLES = {
    name: Entry(
        partial(_evaluator, name),
        {kind.metric: kind.maximise},
        Options=BenchmarkOptions,
        space=partial(_space, name),
    )
    for name, kind in BENCHMARKS.items()
}
"""The evaluators of benchmarks, by the name of the benchmark."""
