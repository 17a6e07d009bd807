"""Metrics: what a network costs. One entry of METRICS is all that a new one needs.

A cost is a sum over the blocks of a network. It is counted from them (FLOPs, parameters), or measured and read from a
lookup table (latency). Files and results hold raw units; the options give limits in the unit of the flags.
"""

from collections.abc import Callable
from dataclasses import dataclass

from config_file.errors import alike
from supernet.blocks import Block, Identity, Shape

SCALES = {1.0: ("", ""), 1e3: (" k", "thousand"), 1e6: (" M", "million"), 1e9: (" G", "billion")}
"""Powers of a thousand, with their letter and their word."""


@dataclass(frozen=True)
class Metric:
    """One kind of cost, and how its values are read and shown.

    Args:
        name: in options, tables and results.
        unit: of costs and of the entries of tables, raw.
        per_flag: raw units in one unit of the flags, a power of a thousand.
        per_cell: raw units in one unit of a printed table, likewise.
        symbol: the unit in short, for reports and column heads; default the unit, or the name where there is none.
        words: the unit in full, for the axes of pictures; likewise.
        key: its name in descriptions of networks and in `lookup_tables.counters.Count`; default the name.
        aliases: other names that the options take.
        count: (block, (C, H, W) of its input) -> raw units; None where it can only be measured.
        counted: what is counted, in words.
        traced: whether the tools in `lookup_tables.counters` count it too.

    Raises:
        ValueError: a unit of flags or of a printed table that is no power of a thousand up to a billion.
    """

    name: str
    unit: str = ""
    per_flag: float = 1.0
    per_cell: float = 1.0
    symbol: str = ""
    words: str = ""
    key: str = ""
    aliases: tuple[str, ...] = ()
    count: Callable[[Block, Shape], float] | None = None
    counted: str = ""
    traced: bool = False

    def __post_init__(self) -> None:
        if not {self.per_flag, self.per_cell} <= SCALES.keys():
            scales = ", ".join(map(str, SCALES))
            raise ValueError(f"{self.name}: a unit of flags or of a printed table is one of {scales}")
        unit = self.unit or self.name
        for field, default in (("symbol", unit), ("words", unit), ("key", self.name)):
            object.__setattr__(self, field, getattr(self, field) or default)

    def axis(self, title: str) -> str:
        """The title of an axis in the unit of the flags, such as "million parameters" or "phone (ms)"."""
        words = f"{SCALES[self.per_flag][1]} {self.words}".strip()
        return words if title == self.name else f"{title} ({words})"

    @property
    def label(self) -> str:
        """Its head in a printed description of a network: MACs, params."""
        return self.symbol if self.symbol.lower() == self.key else self.key

    def of(self, block: Block, shape: Shape) -> float:
        """Raw units that a block adds at the shape of its input, if that is counted; none of an identity."""
        assert self.count is not None, f"{self.name} has to be measured"
        return 0 if isinstance(block, Identity) else self.count(block, shape)

    @property
    def cells(self) -> str:
        """The unit of a printed table, such as "millions of MACs"."""
        unit = self.unit or self.name
        return unit if self.per_cell == 1 else f"{SCALES[self.per_cell][1]}s of {unit}"

    def in_words(self, value: float) -> str:
        """A cost with the exact count and the unit of the flags: "60,000,000 (60 M)", "12.3400 ms"."""
        if self.count is None:
            return f"{value:,.4f} {self.unit}".rstrip()
        return f"{value:,.0f}" + (f" ({self.in_flags(value, '.4g')})" if self.per_flag != 1 else "")

    def in_flags(self, value: float, digits: str = ",.6g") -> str:
        """A cost in the unit of the flags: "60 M"."""
        return f"{value / self.per_flag:{digits}}{SCALES[self.per_flag][0]}"

    def in_short(self, value: float, title: str) -> str:
        """A cost with its short unit: "60 M MACs", "12.3 ms (phone)"."""
        words = f"{self.in_flags(value, ',.4g')} {self.symbol}".rstrip()
        return words if title == self.name else f"{words} ({title})"

    def in_full(self, value: float) -> str:
        """A cost with its raw unit: "60,000,000 MACs (60.00 M)", "12.34 ms"."""
        words = f"{value:{',.0f' if self.count else '.4g'}} {self.unit}".rstrip()
        return f"{words} ({self.in_flags(value, '.2f')})" if self.count and self.per_flag != 1 else words

    def in_cell(self, value: float) -> str:
        """A cost in the unit of a printed table."""
        if self.count is None:
            return f"{value:.4f}"
        return "0" if value == 0 else f"{value / self.per_cell:.3f}"


FLOPS = Metric(
    "flops", unit="MACs", per_flag=1e6, per_cell=1e6, words="multiply-accumulates", key="macs", aliases=("macs",),
    count=lambda block, shape: block.macs(shape), traced=True,
    counted="multiply-accumulates of convolution and linear layers, batch 1",
)  # fmt: skip
PARAMS = Metric(
    "params", unit="parameters", per_flag=1e6, per_cell=1e3, symbol="params", aliases=("param",),
    count=lambda block, shape: block.params(shape), traced=True,
    counted="learnable parameters: weights, biases and affine batch-norm parameters",
)  # fmt: skip
LATENCY = Metric("latency", unit="ms")

METRICS: dict[str, Metric] = {metric.name: metric for metric in (FLOPS, PARAMS, LATENCY)}
"""By name. FLOPs are multiply-accumulates, as in the papers; latency is of one image."""


def counted_metrics() -> list[Metric]:
    """The metrics that are known without measuring anything."""
    return [metric for metric in METRICS.values() if metric.count is not None]


def metric_name(text: str) -> str:
    """The name of the metric that a text means; a text that means none is returned as it is."""
    return next((m.name for m in METRICS.values() if alike(text, [m.name, *m.aliases]) is not None), text)


def metric_called(name: str) -> Metric:
    """The metric of a name; of a name that is not known a measured one without unit."""
    return METRICS.get(name) or Metric(name)
