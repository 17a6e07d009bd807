"""Files from outside come through the doors of `config_file/readers`; nobody else parses one."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.test_imports import ROOMS, ROOT

PARSERS = {
    ("json", "load"), ("json", "loads"), ("yaml", "load"), ("yaml", "safe_load"), ("yaml", "load_all"), ("np", "load"),
    ("numpy", "load"), ("np", "loadtxt"), ("np", "genfromtxt"), ("csv", "reader"), ("csv", "DictReader"),
    ("torch", "load"), ("ast", "literal_eval"), ("zipfile", "ZipFile"), ("safetensors", "safe_open"),
}  # fmt: skip
PLAIN = {"safe_open", "load_file", "literal_eval"}
# What torch pickled with plain content, a line of Python literals, a cell in a pasted line, what is JSON already, and
# what our own processes say to each other.
ELSEWHERE = {
    "training/checkpoint.py": {"torch.load", "zipfile.ZipFile"},
    "supernet/pretrained.py": {"torch.load"},
    "lookup_tables/imports.py": {"ast.literal_eval"},
    "supernet/written.py": {"csv.reader"},
    "supernet/spec.py": {"json.loads"},
    "search/archive.py": {"json.loads"},
    "config_file/ranks.py": {"json.loads"},
    "search/evaluators/crew.py": {"json.loads"},
}


def parsers(source: str) -> Iterator[str]:
    """Yield what a module calls to parse a file."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=name)) if (module, name) in PARSERS:
                yield f"{module}.{name}"
            case ast.Call(func=ast.Name(id=name)) if name in PLAIN:
                yield name


def test_files_are_parsed_at_the_doors_only() -> None:
    found = []
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if name.startswith("config_file/readers/") or "testing" in name:
                continue
            found += [f"{name}: {what}" for what in parsers(path.read_text()) if what not in ELSEWHERE.get(name, ())]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("source", ["json.loads(text)", "np.load(p)", "csv.DictReader(f)", "x = safe_open(p, 'pt')"])
def test_a_parser_is_caught(source: str) -> None:
    assert list(parsers(source))
