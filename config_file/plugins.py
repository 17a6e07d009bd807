"""The user's own code by name, found from the folder the command is started in.

``package.module:callable`` names one thing. ``--plugins package.module`` imports a module that enters what it has into
our registries (``STRATEGIES["mine"] = Mine``), where it can be named like ours.
"""

import functools
import importlib
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from config_file.errors import UserError, nearest
from config_file.fields import option
from config_file.options import options

_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

ELASTIC = "elastic:"
"""What stands before the name of a network that becomes a search space; settings follow it behind commas."""


@options("Run")
class PluginOptions:
    """Code of the user's own; part of every command that takes names."""

    plugins: str | None = option(
        None,
        "modules of your own, imported first: what they enter into our registries can be named like ours",
        metavar="MODULE",
        repeat=True,
        saved=False,
    )


def import_plugins(texts: Iterable[str]) -> None:
    """Import the modules of ``--plugins``, each text one or several with commas in between.

    Raises:
        UserError: there is no such module, or it raises an exception.
    """
    for name in (part.strip() for text in texts for part in text.split(",")):
        if not all(word.isidentifier() for word in name.split(".")):
            raise UserError(f"--plugins takes names of modules such as my_package.strategies, not {name!r}")
        _import(name, f"--plugins {name}")


def is_reference(text: str) -> bool:
    """True if ``text`` has the form ``package.module:callable``, or names such a network (`ELASTIC`)."""
    return _REFERENCE.fullmatch(_code(text)) is not None


def _code(text: str) -> str:
    return text.removeprefix(ELASTIC).partition(",")[0] if text.startswith(ELASTIC) else text


def load_object(reference: str) -> Any:
    """The object that ``package.module:callable`` names; modules are also looked for in the current folder.

    Raises:
        UserError: not of that form, no such module, no such name in it, not callable, or the module has a syntax error
            or raises an exception itself.
    """
    if not is_reference(reference):
        raise UserError(f"{reference!r} is not of the form package.module:callable")
    module_name, _, path = _code(reference).partition(":")
    found = _import(module_name, repr(reference))
    for name in path.split("."):
        if not hasattr(found, name):
            public = [other for other in dir(found) if not other.startswith("_")]
            raise UserError(f"{reference!r}: {module_name} has no {name!r}{nearest(name, public)}")
        found = getattr(found, name)
    if not callable(found):
        raise UserError(f"{reference!r} is a {type(found).__name__}, not something to call")
    return found


def _import(module_name: str, where: str) -> Any:
    """A module, also from the current folder; `where` begins the message of an error."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise UserError(f"{where}: no module {error.name!r} here or on the Python path") from None
        raise UserError(f"{where}: its module needs {error.name!r}, which is not installed") from None
    except SyntaxError as error:
        raise UserError(f"{where}: {error.msg} ({error.filename}, line {error.lineno})") from None
    except UserError:
        raise
    except Exception as error:
        raise _in_one_line(where, module_name, error) from error


def reference_of(name: str, entry: Any, room: str) -> str | None:
    """``module:name`` of an entry that a module of the user's own made in a registry of a room; ``None`` of ours."""
    module: str = getattr(entry, "__module__", room)
    return None if module.partition(".")[0] == room else f"{module}:{name}"


def guarded(reference: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, of the user's module that ``reference`` names, with its exceptions as a UserError of one line.

    The line says the exception, and where in the user's module it arose; the exception itself is its ``__cause__``.
    """

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        try:
            return function(*arguments, **keywords)
        except UserError:
            raise
        except Exception as error:
            raise _in_one_line(repr(reference), reference.partition(":")[0], error) from error

    return call


def _in_one_line(where: str, module_name: str, error: Exception) -> UserError:
    frames = traceback.extract_tb(error.__traceback__)
    module = sys.modules.get(module_name)
    file = getattr(module, "__file__", None)  # a module that is built in has none
    own = module_name.rpartition(".")[2] + ".py" if module is None else Path(file or "").name
    inside = [frame for frame in frames if Path(frame.filename).name == own]
    line = f" ({inside[-1].filename}, line {inside[-1].lineno})" if inside else ""
    text = " ".join(str(error).split())
    return UserError(f"{where} raised {type(error).__name__}{f': {text}' if text else ''}{line}")
