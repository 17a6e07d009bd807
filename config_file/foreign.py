"""Files of options as another tool has them, read by `--config FILE.yml` as if our own options stood there.

A form says whether a file is one of its tool's and which of our options it means. What it gives is checked like
anything else that a file says; a key that neither the tool nor the form knows is refused with the nearest that it does.
"""

import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config_file.errors import UserError, nearest
from config_file.readers.door import reading

Content = Mapping[str, Any]
"""A file of options: its scalars are text, as `config_file.readers.yaml_text.read_mapping` gives them."""


@dataclass(frozen=True)
class Form:
    """A tool's file of options.

    Attributes:
        tool: its name, for people.
        recognises: True for the content of one of its files.
        options: the content as {our option: value}; raises UserError for what is wrong in it.
    """

    tool: str
    recognises: Callable[[Content], bool]
    options: Callable[[Content], dict[str, Any]]


def translated(content: Content, forms: Iterable[Form], path: str | Path) -> Content:
    """The content in our own form: of the first tool that recognises it, else as it is.

    Raises:
        UserError: that begins with the path and the tool.
    """
    for form in forms:
        if form.recognises(content):
            with reading(f"{path} (of {form.tool})"):
                return form.options(content)
    return content


def section(content: Content, name: str, known: Collection[str]) -> Content:
    """The mapping at a dotted name, "" for all of it; {} where there is none.

    Raises:
        UserError: it is no mapping, or has a key that is not known.
    """
    found: Any = content
    for word in filter(None, name.split(".")):
        found = found.get(word) if isinstance(found, Mapping) else None
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise UserError(f"{name} holds keys and values, not {found!r:.60}")
    for key in found:
        if key not in known:
            inside = f" in {name}" if name else ""
            raise UserError(f"unknown key {key!r}{inside}{nearest(key, known)} (there are: {', '.join(known)})")
    return found


def say_unread(tool: str, keys: Iterable[str]) -> None:
    """Print which keys of a file there is no counterpart of."""
    if names := ", ".join(keys):
        print(f"note: {tool}'s {names}: nothing here reads that", file=sys.stderr)
