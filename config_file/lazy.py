"""Public names of a package, imported when they are asked for: a command can hear Ctrl-C before torch is there."""

import ast
import importlib
import sys
from collections.abc import Callable
from functools import cache
from typing import Any


def lazy_names(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The functions `__getattr__` and `__dir__` of a package (PEP 562) whose `__init__.py` imports for types only.

        if TYPE_CHECKING:
            from package.module import Name
        else:
            __getattr__, __dir__ = lazy_names(__name__)

    What is imported there is what the package has, from the same modules, when it is first asked for.
    """
    module = sys.modules[package]

    @cache
    def places() -> dict[str, str]:
        """{name: module that has it}, of the imports for types."""
        source = getattr(module.__loader__, "get_source")(package)  # noqa: B009  # of every loader of files
        nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom) and node.module]
        inside = [(node, str(node.module)) for node in nodes if str(node.module).startswith(f"{package}.")]
        return {alias.name: place for node, place in inside for alias in node.names}

    def get(name: str) -> Any:
        """The object of a name. Raises AttributeError where the package has none."""
        if name.startswith("__") or name not in places():
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=module)
        found = getattr(importlib.import_module(places()[name]), name)
        setattr(module, name, found)
        return found

    def names() -> list[str]:
        """Names of what the package has, imported already or not."""
        return sorted({*vars(module), *places()})

    return get, names
