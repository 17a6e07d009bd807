"""The user's own code by name: ``package.module:callable``, found from the folder the command is started in."""

import importlib
import re
import sys
from pathlib import Path
from typing import Any

from config_file.errors import UserError, nearest

_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_reference(text: str) -> bool:
    """Whether ``text`` has the form ``package.module:callable``."""
    return _REFERENCE.fullmatch(text) is not None


def load_object(reference: str) -> Any:
    """The object that ``package.module:callable`` names; modules are also looked for in the current folder.

    Raises:
        UserError: not of that form, no such module, no such name in it, not callable, or the module has a syntax error.
            Any other exception of the user's module passes through: its traceback is what the user needs.
    """
    if not is_reference(reference):
        raise UserError(f"{reference!r} is not of the form package.module:callable")
    module_name, _, path = reference.partition(":")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise UserError(f"{reference!r}: no module {error.name!r} here or on the Python path") from None
        raise UserError(f"{reference!r}: its module needs {error.name!r}, which is not installed") from None
    except SyntaxError as error:
        raise UserError(f"{reference!r}: {error.msg} ({error.filename}, line {error.lineno})") from None
    for name in path.split("."):
        if not hasattr(found, name):
            public = [other for other in dir(found) if not other.startswith("_")]
            raise UserError(f"{reference!r}: {module_name} has no {name!r}{nearest(name, public)}")
        found = getattr(found, name)
    if not callable(found):
        raise UserError(f"{reference!r} is a {type(found).__name__}, not something to call")
    return found
