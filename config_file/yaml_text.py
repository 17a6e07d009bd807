"""YAML whose scalars stay text.

YAML 1.1 reads ``off`` as false, ``12:30`` as 750 and ``4e-5`` as text. Here only null means something by itself; what a
scalar is, the option it is meant for decides, exactly as on the command line.
"""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from config_file.errors import UserError, system_error
from config_file.files import atomic_write_text

_NULL = ("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"))


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {first: [_NULL] for first in ["~", "n", "N", ""]}  # noqa: RUF012 - PyYAML's own table

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        for key, _ in reversed(node.value):
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a name", key.start_mark)
            if keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is set twice", key.start_mark)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    # What other readers of YAML take for more than text is quoted: a value = and a merge <<.
    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers | {
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
        UserError: the file cannot be read, is not YAML or not a mapping, or sets a key twice.
    """
    try:
        content = _Loader(Path(path).read_text(encoding="utf-8")).get_single_data()
    except OSError as error:
        raise UserError(system_error(error) or str(error)) from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text file") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise UserError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', None) or error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold 'option: value' lines")
    return content


def write_mapping(path: str | Path, content: dict[str, dict[str, Any]]) -> None:
    """Write groups of options as YAML that ``read_mapping`` gives back; leaves are text, ``None`` or lists of text."""
    atomic_write_text(path, yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))
