"""Who may lean on whom: an import points down the rooms, never up."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("config_file", "tasks", "supernet", "deployment", "lookup_tables", "training", "search")
SCRIPTS = ("train_supernet.py", "search.py", "retrain.py", "export.py")
# Scripts and benchmarks stand on the rooms, not on each other; tests may lean on everything.
ABOVE = ("train_supernet", "retrain", "export", "benchmarks", "tests")


def imported_modules(source: str | bytes, package: str) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute module name) of every import in a module of ``package``, wherever in the file it stands."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, level=0):
                yield node.lineno, module or ""
            case ast.ImportFrom(module=module, level=level, names=names):
                parents = package.split(".")
                base = parents[: len(parents) - level + 1]
                yield from ((node.lineno, ".".join([*base, module or alias.name])) for alias in names)
            case ast.Call(func=ast.Name(id="import_module" | "__import__"), args=[ast.Constant(value=str(name)), *_]):
                yield node.lineno, name
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]):
                yield node.lineno, name


def allowed_rooms(room: str) -> set[str]:
    """Return the first names of our own modules that code in ``room`` may import."""
    if room in ROOMS:
        return set(ROOMS[: ROOMS.index(room) + 1])
    if room == "benchmarks":
        return {*ROOMS, "benchmarks"}
    return set(ROOMS)


def violations(source: str | bytes, path: Path) -> list[str]:
    """Return one line per import of ``path`` (relative to the root) that points up."""
    room = path.parts[0] if len(path.parts) > 1 else "script"
    package = ".".join(path.parent.parts)
    wrong = {*ROOMS, *ABOVE} - allowed_rooms(room)
    return [
        f"{path}:{line}: {room} must not import {name}"
        for line, name in imported_modules(source, package)
        if name.split(".")[0] in wrong
    ]


def _our_files() -> list[Path]:
    files = [path for room in (*ROOMS, "benchmarks") for path in sorted((ROOT / room).rglob("*.py"))]
    return [path.relative_to(ROOT) for path in (*files, *(ROOT / name for name in SCRIPTS)) if path.exists()]


def test_imports_point_down() -> None:
    files = _our_files()
    assert {path.parts[0] for path in files} >= set(ROOMS), "a room is missing: the check would pass on nothing"
    found = [line for path in files for line in violations((ROOT / path).read_bytes(), path)]
    assert not found, "\n".join(found)


def test_rooms_are_packages() -> None:
    # A room without __init__.py would lose against the script of its name.
    missing = [room for room in ROOMS if not (ROOT / room / "__init__.py").is_file()]
    assert not missing, f"no __init__.py in {missing}"


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("config_file/loader.py", "import supernet"),
        ("supernet/spec.py", "from training.loop import step"),
        ("supernet/spaces/fbnet.py", "from ...search import cli"),
        ("supernet/spaces/fbnet.py", "from ... import search"),
        ("deployment/card.py", "def late():\n    import lookup_tables.build as build"),
        (
            "lookup_tables/table.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from search import archive",
        ),
        ("training/loop.py", "import importlib\nimportlib.import_module('search.cli')"),
        ("training/loop.py", "from importlib import import_module\nimport_module('search.cli')"),
        ("search/cli.py", "import retrain"),
        ("search/cli.py", "from tests.house import test_imports"),
        ("search.py", "import benchmarks.step"),
        ("benchmarks/step.py", "from tests.conftest import ROOT"),
        ("benchmarks/step.py", "import train_supernet"),
    ],
)
def test_an_import_that_points_up_is_caught(path: str, source: str) -> None:
    assert len(violations(source, Path(path))) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "supernet/spaces/fbnet.py",
            "from ..blocks import conv\nfrom . import table\nimport torch, config_file.errors",
        ),
        ("search/cli.py", "from training.checkpoint import load\nimport search.archive, supernet, searchlight"),
        ("search.py", "from search.cli import main"),
        ("benchmarks/step.py", "from benchmarks.timing import pairs\nfrom search import archive"),
    ],
)
def test_an_import_that_points_down_is_not(path: str, source: str) -> None:
    assert violations(source, Path(path)) == []
