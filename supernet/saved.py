"""Saved spaces and architectures read back: the one place where files say which networks they are about.

Trust: a file never decides which code is run. A space of the user's own code (`package.module:callable`) is rebuilt
from a file only if the command at hand names the same code; shipped spaces, and those of a YAML file, are data.

Fingerprints: weights and lookup tables are of the very space they were made for (`macro_fingerprint`), an architecture
is of any space with the same decisions (`decisions_fingerprint`), which may be wider, deeper or for other images.
"""

import inspect
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config_file.errors import UserError
from config_file.plugins import is_reference
from config_file.readers.door import reading
from config_file.readers.form import check_form
from config_file.readers.json_text import parse_json
from supernet.decisions import Architecture, DecisionSpace
from supernet.genotype import architecture_of_genotype, parse_genotype
from supernet.nni_form import architecture_in_choices, is_choices
from supernet.once_for_all import architecture_in_form, is_form
from supernet.space import NetworkSpace
from supernet.spaces import SETTINGS, build_network_space, definition_of

RANDOM = "random"

_NUMBERS = ([int], None)
_RECIPE = {
    "search_space": (str, dict),
    **dict.fromkeys(("resolution?", "num_classes?", "in_channels?"), (int, None)),
    **dict.fromkeys(("widths?", "depths?", "strides?"), _NUMBERS),
    **dict.fromkeys(("skip?", "image_sizes?", "inner_channels?", "elastic?"), (str, None)),
    "width_mult?": (int, float, None),
    "affine?": (bool, None),
    "partial_channels?": (int, None),
}


def named_space(options: Any, shared: bool = False, **image: Any) -> NetworkSpace:
    """The space that options name, for images and classes (`image`) as `build_network_space` takes them.

    Args:
        shared: it is a supernet's, which has settings of its own where none are given (`SpaceDef.shared`).
    """
    settings = {name: getattr(options, name) for name in SETTINGS}
    if shared:
        given = {name: value for name, value in settings.items() if value is not None}
        settings = dict(definition_of(options.search_space).shared) | given
    return build_network_space(options.search_space, **settings, **image)


def space_of(record: Mapping[str, Any], where: str | Path, trusted: str | None = None, **changes: Any) -> NetworkSpace:
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
    recipe, known = record.get("space_options"), tuple(inspect.signature(build_network_space).parameters)
    unreadable = UserError(f"{where}: its 'space_options' are not those of a search space ({', '.join(known)})")
    if not isinstance(recipe, dict) or not recipe.keys() <= set(known):
        raise unreadable
    name = recorded_name(record)
    recipe = recipe | {"search_space": name}
    if isinstance(name, str) and is_reference(name) and name != trusted:
        raise UserError(
            f"{where}: {name} is code of your own that a file names, and no file decides which code is run: "
            f"give --search-space {name} in this command too"
        )
    check_form(recipe, _RECIPE, f"{where}: its 'space_options' are not those of a search space")
    with reading(where, "does not describe a search space"):
        space = build_network_space(**(recipe | changes))
    if not changes and record.get("macro_fingerprint", space.macro_fingerprint) != space.macro_fingerprint:
        raise UserError(f"{where}: the search space {space.name} is declared differently than when this was made")
    return space


def recorded_name(record: Mapping[str, Any]) -> Any:
    """The search space that a saved file names; of one from YAML its content."""
    recipe = record.get("space_options")
    return recipe.get("search_space", record.get("search_space")) if isinstance(recipe, dict) else None


def widens(content: Any, asked: str | None) -> bool:
    """True for a genotype that a space of this name has not: it brings one with what it needs besides."""
    name = recorded_name(content) if isinstance(content, dict) and "genotype" in content else None
    return isinstance(name, dict) and name.get("name") == asked


def decisions_of(record: Mapping[str, Any], where: str | Path, trusted: str | None = None) -> str:
    """The fingerprint of the decisions that a saved file's architectures make: recorded, or else that of its space."""
    return str(record.get("decisions_fingerprint") or space_of(record, where, trusted).decisions_fingerprint)


def space_or_none(record: Mapping[str, Any], where: str | Path, trusted: str | None = None) -> NetworkSpace | None:
    """As `space_of`; None where there is no such space, for those who can do without."""
    try:
        return space_of(record, where, trusted)
    except UserError:
        return None


def architecture_in(text: str, space: DecisionSpace | None, where: str | Path) -> Architecture:
    """The canonical architecture that a cell or a line of a file says.

    Its options stand with blanks in between, as names (of a space) or indices, indices also with "-" or ","; or they
    are a JSON list of either.

    Raises:
        UserError: it is none of the space, or without a space no list of indices; begins with `where`.
    """
    if text.startswith("["):
        words = parse_json(text, where)
    else:
        words = text.replace(",", " ").replace("-", " ").split() if text[:1].isdigit() else text.split()
    options = [int(word) if isinstance(word, str) and word.isdecimal() and len(word) < 10 else word for word in words]
    if space is not None and space.are_names(words):  # such as widths, which are numbers too
        options = words
    if space is None:
        if not options or not all(type(option) is int and option >= 0 for option in options):
            raise UserError(f"{where}: without a search space an architecture is a list of indices, not {text!r:.60}")
        return tuple(options)
    try:
        return space.canonical(space.parse(options))
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def architecture_of(content: Any, space: DecisionSpace, where: str | Path, random_seed: int = 42) -> Architecture:
    """The architecture of a space that `supernet.written.read_architecture` read.

    Args:
        content: "random", a list of option names or indices, text of such with blanks in between, or an object with
            one of these under "architecture" or "names" (a search's best.json), a genotype under that name, or the
            form of once-for-all or of NNI.
        where: it comes from, for messages.

    Raises:
        UserError: it is none of these, or of a space with other decisions.
    """
    if content == RANDOM:
        return space.sample(random.Random(random_seed))
    if is_form(content):
        return architecture_in_form(content, space, str(where))
    if isinstance(content, dict):
        if content.get("decisions_fingerprint", space.decisions_fingerprint) != space.decisions_fingerprint:
            raise UserError(f"{where}: it is of another space than {space.name} as described here")
        if is_choices(content) or content.keys() == {decision.name for decision in space.decisions}:
            return architecture_in_choices(content, space, str(where))
        found = content.get("architecture") or content.get("names")
        if not found and "genotype" in content:
            return architecture_of_genotype(parse_genotype(str(content["genotype"]), str(where)), space, str(where))
        if not found:
            raise UserError(f"{where}: it has neither a key 'architecture' nor a key 'names'")
        content = found
    return architecture_in(content, space, where) if isinstance(content, str) else space.parse(content)
