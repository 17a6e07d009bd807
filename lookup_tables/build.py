"""python -m lookup_tables build: count or measure every distinct block of a search space once, and write the table."""

from collections.abc import Sequence

from config_file.fields import option
from config_file.files import remove_leftovers_of
from config_file.loader import parse
from config_file.lock import only_process
from config_file.options import options
from deployment.engines import ENGINES
from lookup_tables.counters import COUNTERS, OURS, TRACED, build_table
from lookup_tables.differences import explain_difference, explanation, params_difference
from lookup_tables.hardware import BUILD, HARDWARE, MEANING, with_hardware
from lookup_tables.latency.measure import measure_table
from lookup_tables.table_options import PROG, PlaceOptions, save_and_report, space_of, table_path
from supernet import SearchSpace
from supernet.metrics import LATENCY, METRICS, PARAMS, Metric

_LATENCY = "Latency"


@options("Table")
class TableOptions(PlaceOptions):
    """A lookup table to build."""

    metric: str = option(
        "flops", "what a network costs: {names} (flops: multiply-accumulates, batch 1; latency is measured here)",
        metavar="NAME", names=METRICS
    )  # fmt: skip
    hardware: str | None = option(
        None, f"a word for some of these: {MEANING}", metavar="|".join(HARDWARE), choices=tuple(HARDWARE)
    )
    counter: str = option(
        OURS,
        "who counts: our own arithmetic, or a tool that traces the built blocks, with its difference explained",
        choices=tuple(COUNTERS)
    )  # fmt: skip
    engine: str = option("onnxruntime", "what runs the blocks: {names}", group=_LATENCY, metavar="NAME", names=ENGINES)
    threads: int = option(1, "that the engine uses", group=_LATENCY, at_least=1, at_most=1024)
    batch: int = option(
        1, "images that are run at once, and that a latency is of; several with engines that take them",
        group=_LATENCY, at_least=1, at_most=65536
    )  # fmt: skip
    rounds: int = option(
        10, "in which everything is run, each time in another order", group=_LATENCY, at_least=1, at_most=10**5
    )
    networks: int = option(
        12,
        "whole networks that the sum of blocks is corrected by and judged on",
        group=_LATENCY,
        at_least=0,
        at_most=10**4,
    )
    random_seed: int = option(0, "chooses the networks", group=_LATENCY, at_least=0, at_most=2**32 - 1)
    overwrite: bool = option(False, "measure anew; otherwise finished rounds are kept and added to", group=_LATENCY)


def build(argv: Sequence[str]) -> None:
    """Build a table, write it, and print its range."""
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
            f"{PROG} build --hardware gpu8 --search-space proxylessnas",
        ],
    )
    options = with_hardware(options, BUILD)
    space = space_of(options)
    if options.metric == LATENCY.name:
        _measure(space, options)
        return
    by = [] if options.counter == OURS else [options.counter]
    path = table_path(options, space.name, *by, options.metric, str(space.input_shape[1]))
    table = build_table(space, options.metric, counter=options.counter, progress=True)
    placed = sum(keys.size for _, keys in space.factors())
    blocks = f"blocks   {len(table.entries)} distinct, for {placed} options in {len(space.sites)} layers"
    traced = options.counter in TRACED and table.metric.traced
    compared = ["", *_compared(space, table.metric, options.counter)] if traced else []
    save_and_report(table, path, [blocks], [*compared, ""])


def _measure(space: SearchSpace, options: TableOptions) -> None:
    resolution = space.input_shape[1]
    path = table_path(options, space.name, options.engine, "latency", str(resolution))
    kept = path.with_suffix(".rounds.jsonl")
    with only_process(kept):
        remove_leftovers_of(path)
        if options.overwrite:
            kept.unlink(missing_ok=True)
        try:
            asked = {name: getattr(options, name) for name in ("engine", "threads", "rounds", "networks", "batch")}
            table = measure_table(space, resolution, kept, **asked, seed=options.random_seed)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"finished rounds are kept in {kept}; the same command continues") from None
        save_and_report(table, path)
    print(f"rounds   {kept}: more --rounds are added to these")


def _compared(space: SearchSpace, metric: Metric, counter: str) -> list[str]:
    if metric is PARAMS:
        return [f"{counter} beside our own arithmetic:", *params_difference(space, counters=[counter])]
    totals = explain_difference(space, counters=[counter])
    return [f"{counter} beside our own arithmetic, over the distinct blocks, each once:", *explanation(totals, counter)]
