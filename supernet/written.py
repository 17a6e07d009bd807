"""Architectures as people and our tools write them: published names, options, lines of tables, and files."""

import csv
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from config_file.errors import UserError, nearest
from config_file.quantity import quantity
from config_file.readers.arrays import read_array
from config_file.readers.csv_text import read_csv
from config_file.readers.door import read_text
from config_file.readers.json_text import parse_json, read_json_of_anybody, read_jsonl
from config_file.readers.tensors import read_tensors
from supernet.genotype import is_genotype, parse_genotype
from supernet.net_config import is_net_config, record_of
from supernet.nni_form import genotype_in, is_cells
from supernet.saved import RANDOM
from supernet.spaces.published import NAMES, published

FORMS = (
    "NAME of a published one, options or indices in a row, a JSON list of them, 'Genotype(...)', FILE, TABLE.csv:ROW, "
    "or random"
)

ABOUT = FORMS.replace("a published one", f"a published one ({', '.join(NAMES)})")
"""The same, with the names."""

_ROW = re.compile(r"(?P<file>.+\.(?:csv|jsonl)):(?P<row>\d{1,9})")
_OPTION = re.compile(r"[\w.]+")
_KEYS = ("search_space", "space_options", "architecture", "names", "decisions_fingerprint")


def read_architecture(text: str) -> Any:
    """The content of an architecture as users give it; of a `net.config` the network of our spaces that it is.

    Any of: "random"; the name of a published network; JSON; options or indices with blanks or commas in between; a
    genotype as papers print it; a line of results.csv; a file that holds one of these or is ours (best.json,
    architecture.json, result.json, card.json, model.safetensors, OSNASLib's .npy) or NNI's; a row of a table, as
    results.csv:3 or archive.jsonl:3; a folder with one.

    Returns:
        "random", a list, an object with what files say of a network, or text for `architecture_of`.

    Raises:
        UserError: it is none of these.
    """
    where, text = f"--architecture {text}", text.strip()
    content = _read(text, where)
    if is_cells(content):
        return genotype_in(content, where).record
    return record_of(content, where) if is_net_config(content) else content


def _read(text: str, where: str) -> Any:
    if text == RANDOM:
        return RANDOM
    if is_genotype(text):
        return parse_genotype(text, "--architecture").record
    if text.startswith(("[", "{")):
        return parse_json(text, "--architecture LIST")
    if match := _ROW.fullmatch(text):
        return _row(Path(match["file"]).expanduser(), int(match["row"]), where)
    path = Path(text).expanduser()
    files = [path, *(path / inside for inside in ("best.json", "search/best.json", "architecture.json"))]
    with suppress(OSError):  # too long for the name of a file
        files = [file for file in files if file.is_file()]
        if files:
            return _content(files[0], where)
    network = published(text)
    if network is not None:
        return network.record
    options = _options(text)
    if options is not None:
        return options
    raise UserError(f"{where}: no such file or published network{nearest(text, NAMES)} ({FORMS})")


def _content(path: Path, where: str) -> Any:
    if path.suffix in (".csv", ".jsonl"):
        return _row(path, None, where)
    if path.suffix == ".safetensors":
        described, _ = read_tensors(path)
        return {key: parse_json(described[key], path) for key in _KEYS if key in described}
    if path.suffix == ".npy":
        array = read_array(path)
        if array.dtype.kind not in "iuf" or (array % 1).any():
            raise UserError(f"{where}: it holds {array.dtype}, not indices of options")
        return array.astype(int).ravel().tolist()
    if path.suffix == ".txt" and is_genotype(text := read_text(path)):
        return parse_genotype(text, where).record
    content = read_json_of_anybody(path, where)
    if isinstance(content, dict) and isinstance(inner := content.get("architecture"), dict):  # a deployment card
        content = {"architecture": inner.get("indices"), **inner}
    if isinstance(content, dict) and "derived" in content and "architecture" not in content:  # learnt by gradients
        content = content | {"architecture": content["derived"]}
    return content


def _row(path: Path, number: int | None, where: str) -> Any:
    """A row of a table by its number from 1, or the only one."""
    rows: list[Any]
    if path.suffix == ".csv":
        rows = [row.get("architecture") or row.get("indices") for _, row in read_csv(path).rows]
    else:
        rows = [row for row in read_jsonl(path) if "architecture" in row or "names" in row]
    if number is None and len(rows) != 1:
        raise UserError(f"{where}: it has {quantity(len(rows), 'row')}; name one, as {path.name}:1")
    number = 1 if number is None else number
    if not 1 <= number <= len(rows):
        raise UserError(f"{where}: it has {quantity(len(rows), 'row')}, the first of which is 1")
    found = rows[number - 1]
    if not found:
        raise UserError(f"{where}: the table has neither a column architecture nor a column indices")
    return found


def _options(text: str) -> str | None:
    """Options or indices in a row, also those in a pasted line of results.csv (its last such cell); None for others."""
    cells = [cell.strip() for cell in next(csv.reader([text]), [])]
    rows = [cell for cell in cells if len(cell.split()) > 1]
    words = rows[-1].split() if rows else cells if len(cells) > 1 else text.split("-") if text[:1].isdigit() else []
    fits = len(words) > 1 and all(_OPTION.fullmatch(word) for word in words)
    return " ".join(words) if fits else None
