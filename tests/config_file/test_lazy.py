"""Public names of packages that are imported when they are asked for: the same names, from the same modules."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("supernet", "lookup_tables", "search")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_the_names_that_it_lists(package: str) -> None:
    module = importlib.import_module(package)
    imports = [node for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())) if isinstance(node, ast.If)]
    (types,) = imports
    places = {
        alias.name: node.module for node in types.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert sorted(places) == sorted(module.__all__)
    for name, place in places.items():
        assert getattr(module, name) is getattr(importlib.import_module(str(place)), name)
    assert set(dir(module)) >= {*places, "__name__"}
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        getattr(module, "nothing")  # noqa: B009


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_imported_without_torch(package: str) -> None:
    code = f"""
import sys
import {package}
assert "torch" not in sys.modules and set({package}.__all__) <= set(dir({package}))
from {package} import *
assert all(name in globals() for name in {package}.__all__)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
