"""python -m search.tabular convert --benchmark nasbench101 --file '[NB101]_data.p'
python -m search.tabular generate --benchmark nasbench_asr
"""

from collections.abc import Sequence
from pathlib import Path

from config_file.errors import UserError, choose
from config_file.fields import option
from config_file.loader import parse
from config_file.options import options
from config_file.readers.arrays import array_names
from config_file.readers.door import reading
from config_file.subcommands import Command, run_command
from search.tabular.benchmark import Benchmark
from search.tabular.benchmarks import BENCHMARKS
from search.tabular.files import read_benchmark, write_benchmark
from search.tabular.generated import generate
from search.tabular.public_files import PUBLIC

PROG = "python -m search.tabular"


@options("Table")
class PlaceOptions:
    """A benchmark on a data set, and where its table goes."""

    benchmark: str = option("nasbench201", "which: {names}", metavar="NAME", names=BENCHMARKS)
    table_dataset: str | None = option(None, "of its data sets the one; none: its first", metavar="NAME")
    output: str | None = option(
        None, "file to write; none: tables/BENCHMARK_DATASET.npz, the name that --evaluator BENCHMARK looks for in the "
        "folder of NAS_SHARED_DATA", metavar="FILE.npz",
    )  # fmt: skip


@options("Table")
class ConvertOptions(PlaceOptions):
    """A table from public files."""

    file: str | None = option(
        None,
        f"the public file, of {', '.join(PUBLIC)}; of nasbench_asr also several of the benchmark's own",
        metavar="FILE",
        repeat=True,
    )
    scores: str | None = option(None, "public file of zero-cost scores of the same networks", metavar="FILE")


@options("Table")
class GenerateOptions(PlaceOptions):
    """A table of numbers that mean nothing."""

    epochs: tuple[int, ...] | None = option(
        None, "after which the networks are judged, as 12,25,50,100,200; none: as published searches do", at_least=1
    )
    random_seed: int = option(0, "of the numbers", at_least=0)


def convert(argv: Sequence[str]) -> None:
    """Make a table of the files that a benchmark, or MF-NAS, was published as."""
    asked = parse(
        ConvertOptions,
        argv,
        prog=f"{PROG} convert",
        description="Make a table of the files that a benchmark, or MF-NAS, was published as.",
        examples=[
            f"{PROG} convert --benchmark nasbench101 --file '[NB101]_data.p' --scores '[NB101]_zc_data.p'",
            f"{PROG} convert --benchmark nasbench201 --table-dataset cifar100 --file '[NB201][cifar100]_data.p'",
            f"{PROG} convert --benchmark nasbench_asr --file nb-asr-e40-1234.pickle,nb-asr-info.pickle",
        ],
    )
    if asked.file is None:
        raise UserError("--file is missing: the public file of the benchmark")
    choose("benchmark", asked.benchmark, BENCHMARKS)
    if asked.benchmark not in PUBLIC:
        raise UserError(
            f"--benchmark {asked.benchmark}: its public file is read as it is ({', '.join(PUBLIC)} are not)"
        )
    path = _output(asked)
    files = [Path(file.strip()).expanduser() for file in asked.file.split(",") if file.strip()]
    for file in (*files, *([Path(asked.scores)] if asked.scores else [])):
        if not file.is_file():
            raise UserError(f"no such file {file}")
    scores = None if asked.scores is None else Path(asked.scores).expanduser()
    _write(PUBLIC[asked.benchmark](files, _dataset(asked), scores), path)


def generate_table(argv: Sequence[str]) -> None:
    """Make a table of all of a benchmark's space whose numbers mean nothing, to try a search on."""
    asked = parse(
        GenerateOptions,
        argv,
        prog=f"{PROG} generate",
        description="Make a table whose numbers mean nothing, to try a search on where the real one is not at hand.",
        examples=[
            f"{PROG} generate --benchmark nasbench_asr",
            f"{PROG} generate --benchmark nasbench201 --table-dataset cifar100 --epochs 12,25,50,90 --random-seed 3",
        ],
    )
    choose("benchmark", asked.benchmark, BENCHMARKS)
    path = _output(asked)
    epochs = asked.epochs or ()
    with reading(f"--epochs {','.join(map(str, epochs))}", "cannot be"):
        table = generate(asked.benchmark, _dataset(asked), epochs, asked.random_seed)
    _write(table, path)


COMMANDS: dict[str, Command] = {"convert": convert, "generate": generate_table}
"""By name: the word after `python -m search.tabular`."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command.

    Raises:
        UserError: an unknown command, or whatever the user can mend.
    """
    run_command(PROG, "Tables of benchmarks.", COMMANDS, argv, "a table is written whole or not at all")


def _dataset(asked: PlaceOptions) -> str:
    kind = BENCHMARKS[asked.benchmark]
    known = {title: title for title in kind.datasets}
    return choose(f"data set of {kind.title}", asked.table_dataset or next(iter(known)), known)


def _output(asked: PlaceOptions) -> Path:
    """The file to write. Raises UserError where something stands there that is no table of a benchmark."""
    path = Path(asked.output or f"tables/{asked.benchmark}_{_dataset(asked)}.npz").expanduser()
    if path.suffix != ".npz":
        raise UserError(f"--output {path}: a table is an .npz file")
    if path.exists():
        try:
            ours = "format" in array_names(path)
        except UserError:
            ours = False
        if not ours:
            raise UserError(f"--output {path} exists and is not a table of ours; it is left alone")
    return path


def _write(table: Benchmark, path: Path) -> None:
    """Write a table and say what is in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_benchmark(path, table)
    found = read_benchmark(path)
    best = found.test.max() if found.kind.maximise else found.test.min()
    few = found.epochs if len(found.epochs) < 8 else (*found.epochs[:3], "...", found.epochs[-1])
    print(f"{found.title}: {len(found):,} networks after {', '.join(map(str, few))} epochs")
    print(f"best       test {found.metric} {best:.4f}")
    print(f"scores     {', '.join(found.scores)}")
    for note in found.notes:
        print(f"note       {note}")
    dataset = f" --table-dataset {found.dataset}"
    print(f"written to {path}; next: python search.py --evaluator {found.name} --table {path}{dataset}")
