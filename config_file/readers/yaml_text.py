"""YAML: every key once, aliases that do not multiply, and no deeper than anybody writes.

YAML 1.1 reads ``off`` as false, ``12:30`` as 750 and ``4e-5`` as text. In files of options only null means something by
itself: what a scalar is, the option it is meant for decides, exactly as on the command line. Tables of numbers
(``read_yaml``) have YAML's own numbers and truth values, but no dates.
"""

import re
from collections.abc import Hashable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from config_file.errors import UserError
from config_file.files import atomic_write_text
from config_file.readers.door import MEBI, check_plain, read_text, reading
from config_file.readers.json_text import parse_json

_MOST_BYTES, _MOST_LEVELS, _MOST_NODES = 16 * MEBI, 64, 10**6
_NULL = ("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"))


class _NumberLoader(yaml.SafeLoader):
    """YAML's own scalars, bounded."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own table
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._open = 0
        self._extents: dict[int, tuple[int, int]] = {}  # of finished nodes: (nodes, levels), aliases unfolded

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark = self.peek_event().start_mark
        self._open += 1
        if self._open > _MOST_LEVELS:
            raise yaml.composer.ComposerError(None, None, f"nested deeper than {_MOST_LEVELS} levels", mark)
        alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        self._open -= 1
        if alias and id(node) not in self._extents:
            raise yaml.composer.ComposerError(None, None, "an alias stands inside of what it names", mark)
        if node is not None and not alias:
            inner = [self._extents[id(part)] for part in _parts(node)]
            nodes, levels = 1 + sum(count for count, _ in inner), 1 + max((deep for _, deep in inner), default=0)
            self._extents[id(node)] = nodes, levels
            if nodes > _MOST_NODES or levels > _MOST_LEVELS:
                raise yaml.composer.ComposerError(None, None, "its aliases unfold to more than can be read", mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        for key, _ in reversed(node.value):
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a name", key.start_mark)
            if keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is set twice", key.start_mark)
        return super().construct_mapping(node, deep)


class _TextLoader(_NumberLoader):
    """Scalars stay text, but for null."""

    yaml_implicit_resolvers = {first: [_NULL] for first in ["~", "n", "N", ""]}  # noqa: RUF012 - PyYAML's own table


class _Dumper(yaml.SafeDumper):
    # What other readers of YAML take for more than text is quoted: a value = and a merge <<.
    yaml_implicit_resolvers = _TextLoader.yaml_implicit_resolvers | {
        "=": [("tag:yaml.org,2002:value", re.compile(r"^=$"))],
        "<": [("tag:yaml.org,2002:merge", re.compile(r"^<<$"))],
    }

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        # Unquoted, YAML would fold its rarer line breaks into spaces.
        style = '"' if not set(text).isdisjoint("\x85\u2028\u2029") else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _Dumper.represent_text)


def read_mapping(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file: keys are text, values text, ``None``, lists and mappings of such. Empty file: ``{}``.

    Raises:
        UserError: the file cannot be read, is not YAML or not a mapping, sets a key twice, or is nested without end.
    """
    content = _read(path, _TextLoader)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold 'option: value' lines")
    return content


def read_yaml(path: str | Path) -> Any:
    """The content of a YAML file with numbers and truth values. Raises UserError as `read_mapping`."""
    return _read(path, _NumberLoader)


def write_mapping(path: str | Path, content: dict[str, dict[str, Any]], heading: str = "") -> None:
    """Write groups of options as YAML that ``read_mapping`` gives back; leaves are text, ``None`` or lists of text."""
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    atomic_write_text(path, heading + text)


def _read(path: str | Path, loader: type[_NumberLoader]) -> Any:
    text = read_text(path, _MOST_BYTES)
    if loader is _NumberLoader and text.lstrip()[:1] in ("{", "["):
        with suppress(UserError):  # JSON is YAML, but only JSON may be indented by tabs
            return parse_json(text, path)
    with reading(path, "is not valid YAML"):
        try:
            content = loader(text).get_single_data()
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark is not None else ""
            raise UserError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', None) or error}") from None
    check_plain(content, path)
    return content


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
