"""Options of evaluators that look architectures up in the table of a benchmark."""

from config_file.fields import option
from config_file.options import options
from search.evaluators.fidelity_options import FidelityOptions


@options("Table")
class BenchmarkOptions(FidelityOptions):
    """The table of a benchmark."""

    table: str | None = option(
        None,
        "the benchmark's table, as python -m search.tabular convert writes it; none: the one of its name in the folder "
        "that NAS_SHARED_DATA names",
        metavar="FILE.npz",
    )
    table_dataset: str | None = option(
        None, "of a benchmark's data sets the one to search on; none: its first, or the one of --table", metavar="NAME"
    )
    table_scores: str | None = option(
        None,
        "zero-cost scores of the benchmark's networks, as python -m search.zero_cost writes them, beside those of the "
        "table",
        metavar="FILE.csv",
    )
