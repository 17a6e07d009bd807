"""Classes of options, and how a stage's options are composed of them.

    @options("Local search")
    class LocalSearchOptions:
        ls_improvement: str = option("first", "move to the first better neighbour, ...", choices=("first", "best"))

Options stand beside what they configure. An entry of a registry (a strategy, a trainer, an evaluator, a data set, ...)
that has options of its own carries their class as `Options`; a stage that can name the entry has these options.
"""

import dataclasses
import inspect
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast, dataclass_transform

from config_file.fields import METADATA_KEY, Option, convert, options_of

T = TypeVar("T")

_GIVEN = "given"


@dataclass_transform(frozen_default=True, kw_only_default=True)
def options(group: str = "") -> Callable[[type[T]], type[T]]:
    """Make a class of `option` fields a frozen dataclass that checks itself when it is made.

    Args:
        group: of its options that name none.
    """

    def make(cls: type[T]) -> type[T]:
        for name, entry in list(vars(cls).items()):
            if isinstance(entry, dataclasses.Field) and METADATA_KEY in entry.metadata:
                spec: Option = entry.metadata[METADATA_KEY]
                grouped = dataclasses.replace(spec, group=spec.group or group)
                setattr(cls, name, field(default=entry.default, metadata={METADATA_KEY: grouped}))
        cls.__annotations__ = {**inspect.get_annotations(cls), _GIVEN: "frozenset[str] | None"}
        setattr(cls, _GIVEN, field(default=None, repr=False, compare=False))
        cls.__post_init__ = check_options  # type: ignore[attr-defined]
        return dataclass(frozen=True, kw_only=True)(cls)

    return make


def was_given(options: Any, name: str) -> bool:
    """True if somebody asked for this value: on the command line, in a file, or (made in Python) by another value than
    the default.
    """
    given: frozenset[str] = getattr(options, _GIVEN)
    return name in given


def part_of(options: Any, part: type[T]) -> T:
    """The options of a stage seen as one of the classes they are composed of.

    Where they are not composed of it, that class with their values of the same names, and else with its defaults.
    """
    if isinstance(options, part):
        return options
    names = options_of(part)
    return part(**{name: getattr(options, name) for name in names if hasattr(options, name)})


def compose(*registries: Mapping[str, Any]) -> Any:
    """One options class with the options of all entries of registries, in their order, as a base of a stage's."""
    parts = _options_of_entries(entry for registry in registries for entry in registry.values())
    bases = _outermost(parts)[::-1]  # a dataclass has the fields of its last base first
    return options()(type("RegisteredOptions", bases, {"__doc__": "Options of registered entries."}))


def with_registered(options_class: type[T], *entries: Any) -> type[T]:
    """The class extended by the options (`Options`) of all entries that its options can name, and of further ones."""
    named = [entry for spec in options_of(options_class).values() for entry in spec.entries]
    missing = [part for part in _options_of_entries([*entries, *named]) if not issubclass(options_class, part)]
    return options_class if not missing else with_registered(_extended(options_class, tuple(missing)))


def _options_of_entries(entries: Iterable[Any]) -> list[type]:
    """The classes `Options` that entries of registries carry; each once, in order."""
    classes = (getattr(entry, "Options", None) for entry in entries)
    return list(dict.fromkeys(cls for cls in classes if cls is not None))


def _extended(options_class: type[T], parts: tuple[type, ...]) -> type[T]:
    bases = _outermost((options_class, *parts))
    return cast("type[T]", options()(type(options_class.__name__, bases, {"__doc__": options_class.__doc__})))


def _outermost(parts: Collection[type]) -> tuple[type, ...]:
    """The parts without those that another one is derived from already."""
    return tuple(p for p in parts if not any(other is not p and issubclass(other, p) for other in parts))


def in_use(options: Any) -> dict[str, Option]:
    """The options that matter: without those of entries of a registry, such as a strategy, that was not chosen, and
    without those that count with other values only (`Option.only`).
    """
    specs = options_of(type(options))
    owned, used = ({name for part in parts for name in options_of(part)} for parts in _parts_of_entries(options))
    return {
        name: spec for name, spec in specs.items() if (name in used or name not in owned) and not _idle(options, spec)
    }


SHOWN = 3
"""Flags that a message lists of an entry."""


def why_unused(options: Any, name: str) -> str | None:
    """The reason for which this run does not read one of its options, as a sentence; None if it does, or may.

    What an entry of somebody else's package reads, which does not say it by `Options`, is not known.
    """
    specs = options_of(type(options))
    spec = specs[name]
    unread: dict[str, str] = getattr(options, "unread", dict)()
    if name in unread:
        return f"{spec.flag} is not read here: {unread[name]}"
    if name in in_use(options):
        return None
    for other, values in _idle(options, spec).items():
        if specs[other].kind is bool:
            return f"{spec.flag} is for {specs[other].flag} only"
        return f"{spec.flag} is for {specs[other].flag} {' or '.join(values)}, not for {getattr(options, other)}"
    owners = {chooser.name: readers for chooser in specs.values() if (readers := _readers(chooser, name))}
    if any(_silent(options, specs[chooser]) for chooser in owners):
        return None
    chooser, readers = next(iter(owners.items()))
    chosen = getattr(options, chooser)
    part = getattr(_entry(specs[chooser], chosen), "Options", None)
    flags = [spec.flag for spec in options_of(part).values()] if part is not None else ["no options of its own"]
    own = ", ".join(flags[:SHOWN]) + (f" and {len(flags) - SHOWN} more" if len(flags) > SHOWN else "")
    set_ones = [(other, names) for other, names in [*owners.items()][1:] if getattr(options, other) is not None]
    others = "".join(f" or {specs[other].flag} {', '.join(names)}" for other, names in set_ones)
    return f"{spec.flag} is for {specs[chooser].flag} {', '.join(readers)}{others}, not for {chosen}, which has {own}"


def _readers(chooser: Option, name: str) -> list[str]:
    """The entries of a registry that have an option."""
    named = chooser.names.items() if isinstance(chooser.names, Mapping) else ()
    return [key for key, entry in named if any(name in options_of(part) for part in _options_of_entries([entry]))]


def _silent(options: Any, chooser: Option) -> bool:
    """True where it is not known what the chosen entry reads: one that there is not, or of another package than the
    option that names it, without `Options`.
    """
    entry = _entry(chooser, getattr(options, chooser.name))
    home = next(cls for cls in type(options).__mro__ if chooser.name in inspect.get_annotations(cls)).__module__
    package = getattr(entry, "__module__", home).partition(".")[0]
    foreign = package != home.partition(".")[0] and getattr(entry, "Options", None) is None
    return foreign or (entry is None and getattr(options, chooser.name) is not None)


def _entry(chooser: Option, value: Any) -> Any:
    """The chosen entry of a registry, or the user's own as ``module:callable``, which is never imported here."""
    if isinstance(chooser.names, Mapping) and value in chooser.names:
        return chooser.names[value]
    module, colon, path = str(value).partition(":")
    found: Any = sys.modules.get(module) if colon else None
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


def _parts_of_entries(options: Any) -> tuple[set[type], set[type]]:
    """The classes, bases included, that entries of its registries have as `Options`: of all, and of the chosen ones."""
    owned, used = set(), set()
    for name, spec in options_of(type(options)).items():
        if isinstance(spec.names, Mapping):
            owned |= {base for part in _options_of_entries(spec.entries) for base in _bases(part)}
            used |= {
                base for part in _options_of_entries([_entry(spec, getattr(options, name))]) for base in _bases(part)
            }
    return owned, used


def _bases(part: type) -> list[type]:
    return [base for base in part.__mro__ if dataclasses.is_dataclass(base)]


def _idle(options: Any, spec: Option) -> dict[str, tuple[Any, ...]]:
    """The conditions of an option (`Option.only`) that these options do not meet."""
    return {
        other: values
        for other, values in spec.only.items()
        if hasattr(options, other) and getattr(options, other) not in values
    }


def deciding(options: Any, course: str) -> dict[str, Any]:
    """{flag: value} of the options that decide a course, such as "training": what is continued needs the same ones."""
    return {
        spec.flag: getattr(options, name) for name, spec in in_use(options).items() if course in spec.decides.split()
    }


def check_options(options: Any) -> None:
    """Convert and check every option of an options class, in place; it runs whenever one is made.

    After the single values, each class's ``rules()`` method checks what concerns several options together; not that
    of a class whose options do not count, as those of a strategy that was not chosen.

    Raises:
        UserError: naming the flag, what is wrong with its value and what would be right.
    """
    for name, spec in options_of(type(options)).items():
        value = convert(spec, getattr(options, name), spec.flag)
        object.__setattr__(options, name, value)  # frozen for everybody else
    if getattr(options, _GIVEN) is None:
        changed = {name for name, spec in options_of(type(options)).items() if getattr(options, name) != spec.default}
        object.__setattr__(options, _GIVEN, frozenset(changed))
    owned, used = _parts_of_entries(options)
    for cls in type(options).__mro__:
        if "rules" in cls.__dict__ and (cls in used or cls not in owned):
            cls.__dict__["rules"](options)
