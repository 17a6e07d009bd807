"""python -m lookup_tables build --metric flops --search-space proxylessnas
python -m lookup_tables show tables/proxylessnas-flops-224.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from config_file.errors import UserError, choose
from config_file.fields import option
from config_file.loader import parse
from config_file.options import options
from deployment.engines import ENGINES
from lookup_tables.cost_table import CostTable
from lookup_tables.counters import COUNTERS, OURS, build_table
from lookup_tables.differences import TRACERS, explain_difference, explanation, params_difference
from lookup_tables.latency.fit_command import fit
from lookup_tables.latency.kit_command import import_table, kit
from lookup_tables.latency.measure import measure_table
from lookup_tables.table_file import read_table
from lookup_tables.table_options import PROG, TABLE, PlaceOptions, save_and_report, space_of, table_path
from lookup_tables.table_text import extremes, flat, grid, heading
from supernet import SearchSpace
from supernet.metrics import LATENCY, METRICS, PARAMS, Metric, metric_called
from supernet.saved import space_or_none

_LATENCY = "Latency"


@options()
class TableOptions(PlaceOptions):
    """A lookup table to build."""

    metric: str = option(
        "flops", "what a network costs: {names} (flops: multiply-accumulates, batch 1; latency is measured here)",
        group=TABLE, metavar="NAME", names=METRICS,
    )  # fmt: skip
    counter: str = option(
        OURS,
        "who counts: our own arithmetic, or a tool that traces the built blocks, with its difference explained",
        group=TABLE, choices=tuple(COUNTERS),
    )  # fmt: skip
    engine: str = option("onnxruntime", "what runs the blocks", group=_LATENCY, metavar="NAME", names=ENGINES)
    threads: int = option(1, "that the engine uses", group=_LATENCY, at_least=1, at_most=1024)
    rounds: int = option(10, "in which everything is run, each time in another order", group=_LATENCY, at_least=1)
    networks: int = option(
        12, "whole networks that the sum of blocks is corrected by and judged on", group=_LATENCY, at_least=0
    )
    random_seed: int = option(0, "chooses the networks", group=_LATENCY, at_least=0)
    overwrite: bool = option(False, "measure anew; otherwise finished rounds are kept and added to", group=_LATENCY)


def build(argv: Sequence[str]) -> None:
    """Build a table, write it, and say what it holds."""
    options = parse(
        TableOptions,
        argv,
        prog=f"{PROG} build",
        description="Count or measure every distinct block of a search space once and write a lookup table.",
        examples=[
            f"{PROG} build --search-space proxylessnas",
            f"{PROG} build --metric params --search-space mobilenetv2 --resolution 32 --num-classes 10",
            f"{PROG} build --search-space spos --counter fvcore --output spos.json",
            f"{PROG} build --metric latency --search-space proxylessnas --engine onnxruntime --threads 1",
        ],
    )
    space = space_of(options)
    if options.metric == LATENCY.name:
        _measure(space, options)
        return
    by = [] if options.counter == OURS else [options.counter]
    path = table_path(options, space.name, *by, options.metric, str(space.input_shape[1]))
    table = build_table(space, options.metric, counter=options.counter, progress=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    table.save(path)
    header, _ = read_table(path)
    print("\n".join(heading(header)))
    print(f"blocks   {len(table.entries)} distinct, for {_placed(space)} options in {len(space.sites)} layers")
    print("\n".join(extremes(table)))
    if options.counter in TRACERS and table.metric.traced:
        print("\n" + "\n".join(_compared(space, table.metric, options.counter)))
    print(f"\nwritten to {path}; next: {PROG} show {path}")


def _measure(space: SearchSpace, options: TableOptions) -> None:
    resolution = space.input_shape[1]
    path = table_path(options, space.name, options.engine, "latency", str(resolution))
    kept = path.with_suffix(".rounds.jsonl")
    kept.parent.mkdir(parents=True, exist_ok=True)
    if options.overwrite:
        kept.unlink(missing_ok=True)
    try:
        table = measure_table(
            space,
            resolution,
            kept,
            engine=options.engine,
            threads=options.threads,
            rounds=options.rounds,
            networks=options.networks,
            seed=options.random_seed,
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"finished rounds are kept in {kept}; the same command continues") from None
    save_and_report(table, path)
    print(f"rounds   {kept}: more --rounds are added to these")


def show(argv: Sequence[str]) -> None:
    """Print a table, layers down and options across."""
    parser = _Parser(
        prog=f"{PROG} show",
        description="Print a lookup table: layers down, options across.",
        epilog=f"example:\n  {PROG} show tables/proxylessnas-flops-224.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="a lookup table")
    path = parser.parse_args(argv).file
    header, entries = read_table(path)
    print("\n".join(heading(header)))
    space = space_or_none(header, path)
    if space is None:
        metric = metric_called(str(header.get("metric")))
        print(f"{len(entries)} blocks, in {metric.cells} (the search space is not a shipped one):")
        print("\n".join(flat(entries, metric)))
        return
    table = CostTable.load(path, space, header.get("resolution"))
    print(f"\nin {table.metric.cells}:")
    print("\n".join(grid(table)))
    print()
    print("\n".join(extremes(table)))


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "build": build,
    "kit": kit,
    "import": import_table,
    "fit": fit,
    "show": show,
}
"""By name: what the words after `python -m lookup_tables` can start with."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command.

    Raises:
        UserError: an unknown command, or whatever the user can mend.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(f"usage: {PROG} {{{','.join(COMMANDS)}}} ...\n\nWhat the networks of a search space cost.\n")
        for name, command in COMMANDS.items():
            print(f"  {name:8}{(command.__doc__ or '').splitlines()[0]}")
        print(f"\n{PROG} COMMAND --help says more.")
        return
    command = choose("command", words[0], COMMANDS)
    try:
        command(words[1:])
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(str(interrupt) or "a table is written whole or not at all") from None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see --help)")


def _compared(space: SearchSpace, metric: Metric, counter: str) -> list[str]:
    if metric is PARAMS:
        return [f"{counter} beside our own arithmetic:", *params_difference(space, counters=[counter])]
    totals = explain_difference(space, counters=[counter])
    return [f"{counter} beside our own arithmetic, over the distinct blocks, each once:", *explanation(totals, counter)]


def _placed(space: SearchSpace) -> int:
    return sum(keys.size for _, keys in space.factors())
