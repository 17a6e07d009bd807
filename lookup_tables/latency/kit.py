"""A kit to measure on another device: an ONNX file per distinct block, a few whole networks, and a sheet to fill in."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from config_file.errors import UserError
from config_file.fields import option
from config_file.files import atomic_write_bytes, atomic_write_text, is_leftover, remove_leftovers, write_sealed
from config_file.loader import parse
from config_file.lock import only_process
from config_file.options import options
from config_file.progress import progress
from config_file.readers.csv_text import read_csv
from config_file.readers.form import check_form
from config_file.readers.json_text import read_sealed
from deployment.onnx_export import to_onnx
from lookup_tables.cost_table import CostTable
from lookup_tables.hardware import HARDWARE, IMPORT, MEANING, with_hardware
from lookup_tables.imports import FORMATS, UNITS, read_foreign
from lookup_tables.latency.calibration import latency_table
from lookup_tables.latency.measurements import MS, milliseconds
from lookup_tables.latency.plausibility import doubts, doubts_of_sheet
from lookup_tables.latency.probes import all_probes, probe_names, spread_architectures, timed_blocks
from lookup_tables.table_options import PROG, PlaceOptions, save_and_report, space_of, table_path
from supernet import Architecture, SearchSpace
from supernet.metrics import LATENCY, METRICS
from supernet.saved import space_or_none
from supernet.space import with_sites

FORMAT = "oneshot-nas latency kit 2"
KIT = "kit"
ABOUT, MANIFEST, README = "kit.json", "manifest.csv", "README.txt"
COLUMNS = ("file", "kind", "what", "input", "mega_macs", MS)

INSTRUCTIONS = """A kit to measure latency on your device.

1. Run every file of manifest.csv on the device, with the engine, the number of threads and the precision that you will
   use. Convert the files first if the engine wants its own format. The input is one image: float32, N x C x H x W as in
   the column "input"; its values do not matter.
2. Run each file some 5 times to warm up and at least 20 times more; write the smallest of those into the column "ms"
   (milliseconds), or several numbers separated by spaces. Better still: go through all files several times, so that a
   phone that grows warm slows all of them and not only the last.
3. {command}
   makes the lookup table, corrects the sum of blocks by the whole networks, and says how well it predicts them.
"""


@options("Table")
class KitOptions(PlaceOptions):
    """A kit to measure on another device."""

    output: str | None = option(None, "folder to write; none: kit-SPACE-RESOLUTION", metavar="FOLDER")
    networks: int = option(12, "whole networks that the sum of blocks is corrected by", at_least=0, at_most=10**4)
    exporter: str = option("legacy", "PyTorch's exporter", choices=("legacy", "dynamo"))
    opset: int = option(17, "ONNX operator set: 13 to 20 (legacy), 18 to 23 (dynamo)", at_least=7, at_most=100)
    random_seed: int = option(0, "chooses the networks", at_least=0, at_most=2**32 - 1)


@options("Table")
class ImportOptions(PlaceOptions):
    """A table from a kit or another project's file."""

    file: str | None = option(None, "the file, or the kit's folder", metavar="FILE")
    format: str = option(
        KIT, "what it is: kit, proxylessnas, ofa (YAML), osnaslib (JSON), fbnet, nni (text) or csv (layer, option, ms)",
        choices=(KIT, *FORMATS)
    )  # fmt: skip
    hardware: str | None = option(
        None, f"a word for some of these: {MEANING}", metavar="|".join(HARDWARE), choices=tuple(HARDWARE)
    )
    metric: str = option("latency", "what is taken of an osnaslib file", choices=("latency", "flops", "params"))
    unit: str | None = option(
        None,
        "of the times in the file; none: " + ", ".join(
            f"{words} ({', '.join(name for name, form in FORMATS.items() if form.unit == unit)})"
            for unit, (words, _) in UNITS.items()
        ),
        choices=tuple(UNITS),
    )  # fmt: skip
    device: str | None = option(None, "what it was measured on, in words", metavar="NAME")
    engine: str | None = option(None, "what ran it, in words", metavar="NAME")
    threads: int | None = option(None, "that it used", at_least=1, at_most=1024)
    date: str | None = option(None, "when", metavar="DATE")


def write_kit(folder: Path, space: SearchSpace, asked: KitOptions, command: str) -> int:
    """Write a kit into an empty or new folder and return the number of ONNX files.

    Args:
        command: makes the table of the filled-in sheet.

    Raises:
        UserError: the folder holds something else, or a block that the exporter cannot write.
    """
    resolution = space.input_shape[1]
    if folder.exists() and not (folder / ABOUT).exists() and any(not is_leftover(path) for path in folder.iterdir()):
        raise UserError(f"--output {folder} is not empty and not a kit; it is left alone")
    if (folder / MANIFEST).exists() and any(row[MS] for _, row in read_csv(folder / MANIFEST)[1]):
        raise UserError(f"{folder / MANIFEST} has been filled in already; it is left alone")
    architectures = spread_architectures(space, resolution, asked.networks, asked.random_seed)
    probes = all_probes(space, resolution, architectures)
    blocks = [("block", block.label, block.macs(shape)) for block, shape in timed_blocks(space, resolution)]
    whole = [("network", " ".join(space.names(a)), space.decode(a).macs(space.image(a))) for a in architectures]
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    about = {
        "format": FORMAT,
        "search_space": space.name,
        "space_options": space.describe(),
        "macro_fingerprint": space.macro_fingerprint,
        "resolution": resolution,
        "networks": [list(architecture) for architecture in architectures],
    }
    write_sealed(folder / ABOUT, about)  # first: with it the folder is a kit
    for name in ("blocks", "networks"):
        (folder / name).mkdir(exist_ok=True)
    atomic_write_text(folder / README, INSTRUCTIONS.format(command=command))
    rows = []
    exported = progress([*zip(probes.items(), [*blocks, *whole], strict=True)], f"exporting {space.name}", "file")
    for (name, layer), (kind, what, macs) in exported:
        model = to_onnx(*layer, exporter=asked.exporter, opset=asked.opset)
        atomic_write_bytes(folder / f"{name}.onnx", model.SerializeToString())
        image = "x".join(map(str, (1, *layer.shape)))
        rows.append([f"{name}.onnx", kind, what, image, f"{macs / 1e6:.4f}", ""])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    atomic_write_text(folder / MANIFEST, text.getvalue())  # last: with it the kit is whole
    return len(rows)


def read_about(folder: Path) -> dict[str, Any]:
    """The description in a kit. Raises UserError where the folder is no kit."""
    if not (folder / ABOUT).is_file():
        raise UserError(f"{folder} is not a kit: there is no {ABOUT} in it")
    about = read_sealed(folder / ABOUT, FORMAT)
    form = {"resolution": int, "networks": [[int]], "space_options": dict, "macro_fingerprint": str}
    check_form(about, form, f"{folder / ABOUT} is damaged")
    return about


def read_kit(folder: Path, space: SearchSpace, about: dict[str, Any], **measured_on: Any) -> CostTable:
    """The table of a kit whose sheet has been filled in.

    Args:
        about: from `read_about`.
        measured_on: `CostTable`'s device, engine, threads, date.

    Raises:
        UserError: the kit is of another space, the sheet is incomplete, or a number in it cannot be.
    """
    if about.get("macro_fingerprint") != space.macro_fingerprint:
        raise UserError(
            f"{folder} is a kit for {about.get('search_space')} ({about.get('macro_fingerprint')}), not for this "
            f"{space.name} ({space.macro_fingerprint})"
        )
    times, networks = sheet(folder, space, about)
    about_it = {"counter": "kit", "counter_version": "1", **measured_on}
    return latency_table(space, about["resolution"], times, networks, **about_it)


def sheet(folder: Path, space: SearchSpace, about: dict[str, Any]) -> tuple[dict[str, list[float]], list[Architecture]]:
    """Milliseconds by name of the probe, in the order of the sheet, and the kit's networks. Raises UserError."""
    networks = [space.parse(architecture) for architecture in about["networks"]]
    blocks = timed_blocks(space, about["resolution"])
    return _filled_in(folder / MANIFEST, probe_names(len(blocks), len(networks))), networks


def _filled_in(path: Path, expected: Sequence[str]) -> dict[str, list[float]]:
    _, rows = read_csv(path, ("file", MS))
    times: dict[str, list[float]] = {}
    for line, row in rows:
        name = row["file"].removesuffix(".onnx")
        if name not in expected or name in times:
            raise UserError(f"{path}, line {line}: {row['file']} is {'there twice' if name in times else 'unknown'}")
        if row[MS]:
            times[name] = [milliseconds(cell, f"{path}, line {line}") for cell in row[MS].replace(";", " ").split()]
    missing = [name for name in expected if name not in times]
    if missing:
        raise UserError(
            f"{path} is incomplete: {len(missing)} of {len(expected)} files have no {MS}, such as {missing[0]}.onnx"
        )
    return times


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
    with only_process(folder):
        count = write_kit(folder, space, options, command)
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
            f"{PROG} import --hardware mobile --file mobile_trim.yaml",
        ],
    )
    options = with_hardware(options, IMPORT)
    if options.file is None:
        raise UserError("--file is missing: the file to import, or the folder of the kit")
    on = {name: getattr(options, name) for name in ("device", "engine", "threads", "date")}
    if options.format == KIT:
        folder = Path(options.file)
        if options.unit not in (None, "ms"):
            raise UserError(f"--unit {options.unit}: the sheet of a kit is in milliseconds")
        if folder.name == MANIFEST:
            folder = folder.parent
        about = read_about(folder)
        known = space_or_none(about, folder, options.search_space)
        space = space_of(options) if known is None else with_sites(known)
        path = table_path(options, space.name, LATENCY.name, str(about["resolution"]))
        table = read_kit(folder, space, about, **on)
        save_and_report(table, path, after=[*doubts_of_sheet(table, *sheet(folder, space, about)), *doubts(table)])
        return
    space = space_of(options)
    resolution = space.input_shape[1]
    path = table_path(options, space.name, options.metric, str(resolution))
    entries, offset = read_foreign(options.file, options.format, space, options.metric, options.unit)
    read_as = "" if options.metric != LATENCY.name else UNITS[options.unit or FORMATS[options.format].unit][0]
    table = CostTable(
        space,
        METRICS[options.metric],
        resolution,
        entries,
        counted=f"as imported from a table of {options.format}" + (f", read as {read_as}" if read_as else ""),
        counter=f"import {options.format}",
        offset=offset,
        **on,
    )
    before = [f"read as {read_as}" + ("" if options.unit else "; --unit says another")] if read_as else []
    save_and_report(table, path, before, doubts(table))
