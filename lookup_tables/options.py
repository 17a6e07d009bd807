"""Options that limit what an architecture may cost, and say how that is counted."""

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options
from lookup_tables.counters import COUNTERS, OURS
from supernet.limit_text import parse_limits
from supernet.metrics import METRICS

FLOPS_OR_MS = "millions for flops and params, ms for latency"


@options("Constraint")
class ConstraintOptions:
    """Limits of the cost of an architecture, and its counting."""

    info_metric: str = option(
        "flops",
        "what --target-hc limits: {names} (flops: multiply-accumulates, batch 1), or that of a --lookup-table",
        metavar="NAME",
        names=METRICS,
        inherit=True,
        decides="training learning",
    )
    target_hc: float = option(
        100.0, "largest cost allowed", unit=FLOPS_OR_MS, above=0, inherit=True, decides="training learning"
    )
    min_hc: float | None = option(None, "smallest cost allowed", unit=FLOPS_OR_MS, at_least=0, decides="training")
    lookup_table: str | None = option(
        None,
        "table of costs, NAME=FILE.json to call its metric NAME; several in a search; none: counted from the blocks",
        metavar="[NAME=]FILE.json",
        repeat=True,
        flags=("lookup_table_path",),
        inherit=True,
        decides="training learning",
    )
    counter: str = option(
        OURS,
        "what counts: our formulas, or fvcore or thop on the built blocks",
        choices=tuple(COUNTERS),
        decides="training learning",
    )

    constraint: str | None = option(
        None,
        "further hard limits, as 'flops<=300' or '10<=latency<=20' (a band: not for differentiable searches); may be "
        "repeated; of a differentiable search it implies --hc-mode constrained",
        metavar="[Y<=]METRIC<=X",
        repeat=True,
        inherit=True,
        decides="training learning",
    )

    def rules(self) -> None:
        """Raise UserError where options contradict each other."""
        parse_limits(self.constraint)
        if self.target_hc is not None and self.min_hc is not None and self.min_hc > self.target_hc:
            raise UserError(f"--min-hc {self.min_hc:g} must be at most --target-hc {self.target_hc:g}")
