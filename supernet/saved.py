"""Saved spaces and architectures read back: the one place where files say which networks they are about.

Trust: a file never decides which code is run. A space of the user's own code (`package.module:callable`) is rebuilt
from a file only if the command at hand names the same code; shipped spaces, and those of a YAML file, are data.

Fingerprints: weights and lookup tables are of the very space they were made for (`macro_fingerprint`), an architecture
is of any space with the same decisions (`decisions_fingerprint`), which may be wider, deeper or for other images.
"""

import inspect
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from config_file.errors import UserError
from config_file.plugins import is_reference
from supernet.decisions import Architecture, DecisionSpace
from supernet.space import SearchSpace
from supernet.spaces import SETTINGS, build_space

FORMS = "FILE, a JSON list of names or indices, or random"
RANDOM = "random"


def named_space(options: Any, **image: Any) -> SearchSpace:
    """The search space that options name, for images and classes (`image`) as `build_space` takes them."""
    settings = {name: getattr(options, name) for name in SETTINGS}
    return build_space(options.search_space, **settings, **image)


def space_of(record: Mapping[str, Any], where: str | Path, trusted: str | None = None, **changes: Any) -> SearchSpace:
    """The space that a saved file is about.

    Args:
        record: its content, with `space_options` and, of weights and tables, `macro_fingerprint`.
        where: the file, for messages.
        trusted: the space that the command at hand names (`options.search_space`): of code no file may name it.
        changes: settings that the file's are replaced with, such as `resolution` or `widths`; the result then need not
            have the same weights any more, and only `architecture_of` can tell whether it has the same decisions.

    Raises:
        UserError: the file says no space, one of the user's own code that the command does not name, or one that is
            declared differently now.
    """
    recipe, known = record.get("space_options"), tuple(inspect.signature(build_space).parameters)
    unreadable = UserError(f"{where}: its 'space_options' are not those of a search space ({', '.join(known)})")
    if not isinstance(recipe, dict) or not recipe.keys() <= set(known):
        raise unreadable
    name = recorded_name(record)
    recipe = recipe | {"search_space": name} | changes
    if isinstance(name, str) and is_reference(name) and name != trusted:
        raise UserError(
            f"{where}: {name} is code of your own that a file names, and no file decides which code is run: "
            f"give --search-space {name} in this command too"
        )
    try:
        space = build_space(**recipe)
    except TypeError:
        raise unreadable from None
    if not changes and record.get("macro_fingerprint", space.macro_fingerprint) != space.macro_fingerprint:
        raise UserError(f"{where}: the search space {space.name} is declared differently than when this was made")
    return space


def recorded_name(record: Mapping[str, Any]) -> Any:
    """The search space that a saved file names; of one from YAML its content."""
    recipe = record.get("space_options")
    return recipe.get("search_space", record.get("search_space")) if isinstance(recipe, dict) else None


def decisions_of(record: Mapping[str, Any], where: str | Path, trusted: str | None = None) -> str:
    """The fingerprint of the decisions that a saved file's architectures make: recorded, or else that of its space."""
    return str(record.get("decisions_fingerprint") or space_of(record, where, trusted).decisions_fingerprint)


def space_or_none(record: Mapping[str, Any], where: str | Path, trusted: str | None = None) -> SearchSpace | None:
    """As `space_of`; None where there is no such space, for those who can do without."""
    try:
        return space_of(record, where, trusted)
    except UserError:
        return None


def read_architecture(text: str) -> Any:
    """The content of an architecture as users give it: "random", the JSON that `text` is, or that of the file it names.

    Raises:
        UserError: it is none of these.
    """
    if text.strip() == RANDOM:
        return RANDOM
    if text.lstrip().startswith(("[", "{")):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise UserError(f"--architecture {text}: not JSON; a list of names or indices is expected") from None
    path = Path(text).expanduser()
    if not path.is_file():
        raise UserError(f"--architecture {text}: no such file ({FORMS})")
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False).astype(int).ravel().tolist()
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, EOFError, RecursionError):
        raise UserError(f"--architecture {text}: not an architecture ({FORMS})") from None


def architecture_of(content: Any, space: DecisionSpace, where: str | Path, random_seed: int = 42) -> Architecture:
    """The architecture of a space that `read_architecture` read.

    Args:
        content: "random", a list of option names or indices, or an object with such a list under "architecture" or
            "names" (a search's best.json).
        where: it comes from, for messages.

    Raises:
        UserError: it is none of these, or of a space with other decisions.
    """
    if content == RANDOM:
        return space.sample(random.Random(random_seed))
    if isinstance(content, dict):
        if content.get("decisions_fingerprint", space.decisions_fingerprint) != space.decisions_fingerprint:
            raise UserError(f"{where}: it is of another space than {space.name} as described here")
        if "architecture" not in content and "names" not in content:
            raise UserError(f"{where}: it has neither a key 'architecture' nor a key 'names'")
        content = content.get("architecture", content.get("names"))
    return space.parse(content)
