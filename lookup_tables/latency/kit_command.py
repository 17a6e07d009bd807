"""python -m lookup_tables kit --search-space proxylessnas --resolution 224 --output kit
python -m lookup_tables import --format kit --file kit
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from config_file.errors import UserError
from config_file.fields import option
from config_file.loader import parse
from config_file.options import options
from lookup_tables.cost_table import CostTable
from lookup_tables.imports import FORMATS, read_foreign
from lookup_tables.latency.kit import MANIFEST, read_about, read_kit, write_kit
from lookup_tables.table_options import PROG, TABLE, PlaceOptions, save_and_report, space_of, table_path
from supernet.metrics import METRICS
from supernet.saved import space_or_none

KIT = "kit"


@options()
class KitOptions(PlaceOptions):
    """A kit to measure on another device."""

    output: str | None = option(None, "folder to write; none: kit-SPACE-RESOLUTION", group=TABLE, metavar="FOLDER")
    networks: int = option(12, "whole networks that the sum of blocks is corrected by", group=TABLE, at_least=0)
    exporter: str = option("legacy", "PyTorch's exporter", group=TABLE, choices=("legacy", "dynamo"))
    opset: int = option(17, "ONNX operator set: 13 to 20 (legacy), 18 to 23 (dynamo)", group=TABLE, at_least=7)
    random_seed: int = option(0, "chooses the networks", group=TABLE, at_least=0)


@options()
class ImportOptions(PlaceOptions):
    """A table from a kit or another project's file."""

    file: str | None = option(None, "the file, or the kit's folder", group=TABLE, metavar="FILE")
    format: str = option(
        KIT, "what it is: kit, proxylessnas, ofa (YAML), osnaslib (JSON), fbnet, nni (text) or csv (layer, option, ms)",
        group=TABLE, choices=(KIT, *FORMATS),
    )  # fmt: skip
    metric: str = option(
        "latency", "what is taken of an osnaslib file", group=TABLE, choices=("latency", "flops", "params")
    )
    device: str | None = option(None, "what it was measured on, in words", group=TABLE, metavar="NAME")
    engine: str | None = option(None, "what ran it, in words", group=TABLE, metavar="NAME")
    threads: int | None = option(None, "that it used", group=TABLE, at_least=1)
    date: str | None = option(None, "when", group=TABLE, metavar="DATE")


def kit(argv: Sequence[str]) -> None:
    """Write ONNX files of all blocks and a sheet to fill in, for measuring on another device."""
    options = parse(
        KitOptions,
        argv,
        prog=f"{PROG} kit",
        description="Write a folder with one ONNX file per distinct block, some whole networks and a sheet to fill in.",
        examples=[f"{PROG} kit --search-space proxylessnas --resolution 224 --networks 12 --output kit"],
    )
    space = space_of(options)
    resolution = space.input_shape[1]
    folder = Path(options.output or f"kit-{space.name.replace('/', '-')}-{resolution}")
    command = f"{PROG} import --format kit --file {folder} --device 'YOUR DEVICE' --engine 'YOUR ENGINE'"
    count = write_kit(
        folder,
        space,
        resolution,
        networks=options.networks,
        exporter=options.exporter,
        opset=options.opset,
        seed=options.random_seed,
        command=command,
    )
    print(f"wrote {count} ONNX files of {space.name} at {resolution} pixels to {folder}/")
    print(f"next: run them on your device, fill in the column ms of {folder / MANIFEST}, then\n{command}")


def import_table(argv: Sequence[str]) -> None:
    """Make a table of a filled-in kit, or of another project's file."""
    options = parse(
        ImportOptions,
        argv,
        prog=f"{PROG} import",
        description="Make a lookup table of a kit that was filled in, or of another project's table.",
        examples=[
            f"{PROG} import --format kit --file kit --device 'Pixel 8' --engine 'TFLite 2.16, XNNPACK' --threads 1",
            f"{PROG} import --format proxylessnas --file mobile_trim.yaml --search-space proxylessnas --skip identity",
            f"{PROG} import --format fbnet --file lookup_table.txt --search-space fbnet_l --resolution 224",
        ],
    )
    if options.file is None:
        raise UserError("--file is missing: the file to import, or the folder of the kit")
    on = {name: getattr(options, name) for name in ("device", "engine", "threads", "date")}
    if options.format == KIT:
        folder = Path(options.file)
        if folder.name == MANIFEST:
            folder = folder.parent
        about = read_about(folder)
        space = space_or_none(about, folder, options.search_space) or space_of(options)
        path = table_path(options, space.name, "latency", str(about["resolution"]))
        save_and_report(read_kit(folder, space, about, **on), path)
        return
    space = space_of(options)
    resolution = space.input_shape[1]
    path = table_path(options, space.name, options.metric, str(resolution))
    found = read_foreign(options.file, options.format, space, options.metric)
    table = CostTable(
        space,
        METRICS[options.metric],
        resolution,
        found.entries,
        counted=f"as imported from a table of {options.format}",
        counter=f"import {options.format}",
        offset=found.offset,
        **on,
    )
    save_and_report(table, path)
