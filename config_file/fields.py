"""An option: a dataclass field that knows its help, group, unit and valid values.

Command line, YAML and Python all give their values to ``convert``, so that
all three accept the same things and complain in the same words.
"""

import dataclasses
import json
import math
import types
import typing
import weakref
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from config_file.errors import UserError, alike, nearest

METADATA_KEY = "option"
MOST = 10**9
MOST_FLOAT = 1e30
"""The greatest numbers of options that have no limit of their own: an integer may become a loop or an allocation, and
what others are multiplied by is still finite."""

_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}


@dataclass(frozen=True, kw_only=True)
class Option:
    """Everything about one option.

    Attributes:
        meaning: what it does, without default and unit, which are added; "{names}" becomes the list of `names`.
        group: heading in ``--help`` and (lower case) in the saved YAML; by default that of its class.
        unit: unit of the number.
        choices: all valid values; anything else is an error here.
        names: the registry of an open set; who looks the value up in it checks it. It may grow.
        aliases: other spellings of values, ``{other: ours}``; those that an entry of `names` carries come on top.
        flags: other names of the option itself.
        at_least, above, at_most, below: bounds of a number, or of every entry of a tuple.
        only: ``{other option: values}``: it counts only where the other one has one of these values.
        inherit: a later stage takes the value from the stage it builds upon unless told otherwise.
        saved: whether it belongs in ``config.yaml`` (what a run is), not only to one invocation.
        as_json: text that may also be written as a YAML list or mapping; it is kept as JSON text.
        metavar: how ``--help`` shows the value of a text option.
        decides: the courses that another value changes, such as "training" (several in one text, with blanks
            between): work that was begun with one value is not continued with another.
        derived: where nobody gives a value, `rules` of its class puts one in that follows from other options; it is
            saved as not given, and follows again.
        repeat: text that may be given several times on the command line; it is kept with commas in between.
        name, kind, optional, default: those of its field: the type without ``| None``, and whether that was there.
    """

    meaning: str
    group: str = ""
    unit: str = ""
    choices: tuple[str, ...] = ()
    names: Collection[str] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    only: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    inherit: bool = False
    saved: bool = True
    as_json: bool = False
    metavar: str = ""
    decides: str = ""
    derived: bool = False
    repeat: bool = False
    name: str = ""
    kind: type = str
    optional: bool = False
    default: Any = None

    @property
    def flag(self) -> str:
        """Its spelling on the command line, such as ``--batch-size``."""
        return "--" + self.name.replace("_", "-")

    @property
    def text(self) -> str:
        """The meaning, with the names that are registered by now."""
        return self.meaning.replace("{names}", ", ".join(self.names))

    @property
    def entries(self) -> list[Any]:
        """The entries of the registry whose names it takes; [] where it takes none."""
        return list(self.names.values()) if isinstance(self.names, Mapping) else []


def option(default: Any, meaning: str, **settings: Any) -> Any:
    """A dataclass field that is also a flag, a YAML key and a line of ``--help``; `settings` are those of `Option`.

    Its type is the field's annotation: ``bool``, ``int``, ``float``, ``str`` or ``tuple[int, ...]``, also ``| None``.
    """
    return field(default=default, metadata={METADATA_KEY: Option(meaning=meaning, **settings)})


_OPTIONS: weakref.WeakKeyDictionary[type, Mapping[str, Option]] = weakref.WeakKeyDictionary()


def options_of(options_class: type) -> Mapping[str, Option]:
    """The options of a dataclass by field name, in order of declaration."""
    if options_class not in _OPTIONS:  # a stage asks hundreds of times, and types are slow to read
        hints = typing.get_type_hints(options_class)
        found = {}
        for entry in dataclasses.fields(options_class):
            if METADATA_KEY not in entry.metadata:
                continue
            kind, optional = _kind(hints[entry.name])
            spec: Option = entry.metadata[METADATA_KEY]
            found[entry.name] = dataclasses.replace(
                spec, name=entry.name, kind=kind, optional=optional, default=entry.default
            )
        _OPTIONS[options_class] = types.MappingProxyType(found)
    return _OPTIONS[options_class]


def convert(spec: Option, value: Any, where: str) -> Any:
    """``value`` (text, or a value from YAML or Python) as the option's own type, aliases resolved, bounds checked.

    Args:
        where: how to call the option in a message: its flag, or the file and key.

    Raises:
        UserError: wrong type, not among the choices, or out of bounds.
    """
    if value is None:
        if spec.optional:
            return None
        raise UserError(f"{where} needs a value, it cannot be null")
    if spec.kind is not str and spec.optional and isinstance(value, str) and value.strip().lower() in ("none", "null"):
        return None
    if spec.kind is tuple:
        entries = _integers(where, value)
        for entry in entries:
            _check_bounds(spec, entry, where)
        return entries
    if spec.kind is bool:
        return _boolean(where, value)
    if spec.kind is str:
        return _text(spec, where, value)
    number: float = _integer(where, value) if spec.kind is int else _number(where, value)
    _check_bounds(spec, number, where)
    return number


def _kind(hint: Any) -> tuple[type, bool]:
    members = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    optional = types.NoneType in members
    (member,) = (m for m in members if m is not types.NoneType)
    kind = typing.get_origin(member) or member
    if kind not in (bool, int, float, str, tuple):
        raise TypeError(f"no option can have the type {hint}")
    return kind, optional


def _number(where: str, value: Any) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
        if not math.isfinite(number):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{where} takes a number, not {_shown(value)}") from None
    return number


def _integer(where: str, value: Any) -> int:
    try:
        if isinstance(value, bool):
            raise ValueError
        if isinstance(value, str) and value.strip().lstrip("+-").isdecimal():
            return int(value)
        number = float(value)  # also "1e3"
        if not number.is_integer():
            raise ValueError
        return value if isinstance(value, int) else int(number)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{where} takes an integer, not {_shown(value)}") from None


def _integers(where: str, value: Any) -> tuple[int, ...]:
    parts = value
    if isinstance(value, str):
        parts = value.strip().removeprefix("[").removesuffix("]").replace(",", " ").split()
    elif isinstance(value, int) and not isinstance(value, bool):
        parts = [value]
    try:
        numbers = tuple(_integer(where, part) for part in parts)
    except (TypeError, UserError):
        numbers = ()
    if not numbers:
        raise UserError(f"{where} takes integers such as 32,16,24, not {_shown(value)}")
    return numbers


def _boolean(where: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE | _FALSE:
        return text in _TRUE
    raise UserError(f"{where} takes true or false, not {_shown(value)}")


def _text(spec: Option, where: str, value: Any) -> str:
    if isinstance(value, (list, tuple, dict)) and spec.as_json:
        return json.dumps(_numbers_in(value))
    if isinstance(value, bool) or (not isinstance(value, (str, int, float)) and not hasattr(value, "__fspath__")):
        raise UserError(f"{where} takes text, not {_shown(value)}")
    text = str(value)
    entries = spec.names.items() if isinstance(spec.names, Mapping) else ()
    own = [(name, getattr(entry, "aliases", ())) for name, entry in entries]
    others = {**spec.aliases, **{alias: name for name, aliases in own for alias in aliases}}
    same = alike(text, [*(spec.choices or spec.names), *others])
    if same is not None:
        return others.get(same, same)
    if spec.choices:
        raise UserError(f"{where}: no value {text!r}{nearest(text, spec.choices)} (choices: {', '.join(spec.choices)})")
    return text


def _numbers_in(value: Any) -> Any:
    """A YAML list as JSON: YAML gives all scalars as text, indices are numbers."""
    if isinstance(value, dict):
        return {key: _numbers_in(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_numbers_in(item) for item in value]
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _check_bounds(spec: Option, number: float, where: str) -> None:
    low = spec.above if spec.above is not None else spec.at_least
    high = spec.below if spec.below is not None else spec.at_most
    least = -MOST_FLOAT if low is None else low
    most = high if high is not None else MOST_FLOAT if spec.kind is float else MOST
    too_low = number <= least if spec.above is not None else number < least
    too_high = number >= most if spec.below is not None else number > most
    if not (too_low or too_high):
        return
    bounds = []
    if low is not None or too_low:
        bounds.append(f"above {least:.15g}" if spec.above is not None else f"at least {least:.15g}")
    if high is not None or too_high:
        bounds.append(f"below {most:.15g}" if spec.below is not None else f"at most {most:.15g}")
    raise UserError(f"{where} must be {' and '.join(bounds)}, not {number}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
