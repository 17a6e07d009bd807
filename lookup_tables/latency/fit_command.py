"""python -m lookup_tables fit --measurements measured.csv --search-space proxylessnas --resolution 224"""

from __future__ import annotations

from collections.abc import Sequence

from config_file.errors import UserError
from config_file.fields import option
from config_file.loader import parse
from config_file.options import options
from lookup_tables.latency.fit import CurvePoint, as_problem, fit_table, learning_curve
from lookup_tables.latency.learning_curve import draw_learning_curve
from lookup_tables.latency.measurements import read_measurements
from lookup_tables.table_options import PROG, TABLE, PlaceOptions, save_and_report, space_of, table_path


@options()
class FitOptions(PlaceOptions):
    """A latency table from measured networks."""

    measurements: str | None = option(
        None, "measured networks: the columns architecture (names or indices) and ms", group=TABLE, metavar="FILE.csv"
    )
    device: str | None = option(None, "what they were measured on, in words", group=TABLE, metavar="NAME")
    random_seed: int = option(0, "of the parts that are held out", group=TABLE, at_least=0)


def fit(argv: Sequence[str]) -> None:
    """Solve for per-block latencies from measured networks, and say the held-out error."""
    options = parse(
        FitOptions,
        argv,
        prog=f"{PROG} fit",
        description="Solve for the latency of every block from measurements of whole networks.",
        examples=[
            f"{PROG} fit --measurements measured.csv --search-space proxylessnas --resolution 224 --device 'Pixel 8'"
        ],
    )
    if options.measurements is None:
        raise UserError("--measurements FILE.csv is missing: the measured networks")
    space = space_of(options)
    resolution = space.input_shape[1]
    path = table_path(options, space.name, "latency", str(resolution))
    measurements = read_measurements(options.measurements, space)
    table = fit_table(space, resolution, measurements, device=options.device, seed=options.random_seed)
    curve = learning_curve(as_problem(space, resolution, measurements), options.random_seed, show_progress=True)
    save_and_report(table, path)
    unmeasured = sum(entry.count == 0 for entry in table.entries.values())
    print(f"fitted to {len(measurements.ms):,} networks; {unmeasured} of {len(table.entries)} blocks stand in none")
    print("\n".join(curve_lines(curve)))
    picture = path.with_suffix(".png")
    draw_learning_curve(picture, {options.device or "held out": curve}, f"latency fit of {space.name}")
    print(f"wrote {picture}")


def curve_lines(curve: Sequence[CurvePoint]) -> list[str]:
    """A learning curve as text."""
    lines = [f"{'measured':>10}{'Spearman':>10}{'MAPE %':>9}{'(range)':>16}   held out"]
    for point in curve:
        span = f"({point.least:.2f}-{point.most:.2f})"
        lines.append(f"{point.measurements:10,}{point.spearman:10.3f}{point.mape:9.2f}{span:>16}   {point.held_out:,}")
    return lines
