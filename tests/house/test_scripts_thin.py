"""The four scripts are doors, not rooms: flags in, one call, result out."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ("train_supernet.py", "search.py", "retrain.py", "export.py")


def test_all_four_scripts_exist() -> None:
    assert [name for name in SCRIPTS if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_is_thin_and_opens_with_its_command(name: str) -> None:
    source = (ROOT / name).read_bytes()
    assert len(source.splitlines()) <= 90
    docstring = ast.get_docstring(ast.parse(source)) or ""
    assert docstring.startswith(f"python {name}"), "a script opens with the command that runs it"


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_does_nothing_when_it_is_imported(name: str) -> None:
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.If, ast.Assign, ast.AnnAssign)
    first, *body = ast.parse((ROOT / name).read_bytes()).body
    assert isinstance(first, ast.Expr)
    assert all(isinstance(node, allowed) for node in body)
    assert ast.unparse(body[-1]).startswith("if __name__ == '__main__':")


@pytest.mark.parametrize("name", SCRIPTS)
def test_ctrl_c_while_torch_is_imported_is_one_line(name: str) -> None:
    # Whatever takes seconds to import is imported inside run_main(main), which knows what to do with Ctrl-C.
    body = ast.parse((ROOT / name).read_bytes()).body
    modules = {node.module for node in body if isinstance(node, ast.ImportFrom)}
    assert modules <= {"__future__", "collections.abc", "pathlib", "typing", "config_file.errors"}  # no time
    assert not any(isinstance(node, ast.Import) for node in body)
