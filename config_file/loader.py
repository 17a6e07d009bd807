"""From command line and YAML file to options, and back to a YAML file.

    options = parse(SearchOptions, argv, prog="search.py", description="Search a trained supernet.")

The command line wins over ``--config FILE.yml``, the file over what an earlier stage of the same run was given (search
space and data), that over the defaults. With ``--resume`` the run's own saved options take the place of the defaults.
"""

import argparse
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from config_file.errors import UserError, nearest
from config_file.fields import Option, convert, options_of
from config_file.foreign import Form, translated
from config_file.options import was_given, why_unused, with_registered
from config_file.plugins import import_plugins, is_reference, load_object
from config_file.ranks import check_joined
from config_file.readers.door import reading
from config_file.readers.yaml_text import read_mapping, write_mapping
from config_file.stages import STAGES, options_of_stage, stage_path

T = TypeVar("T")

_RETIRED = {
    "ngpu": "one process uses one device: see --device, and torchrun for several (docs/distributed.md)",
    "classes": "the classes come from the data set",
    **dict.fromkeys(("logger_path", "writer_path"), "logs lie in the run's folder: see --root-path"),
    **dict.fromkeys(("checkpoint_path_root", "best_model_path"), "it lies in the run's folder: see --root-path"),
    "hyperparameter_tracker": "every run saves its options in its config.yaml",
    **dict.fromkeys(
        ("a_decay_step", "a_decay_ratio"), "the learning rate of the architecture parameters stays: see --a-lr"
    ),
    "bn_track_running_stats": "a search re-calibrates BN for every candidate: see --calibration-images",
}


def parse(
    options_class: type[T],
    argv: Sequence[str] | None,
    prog: str,
    description: str,
    examples: Sequence[str] = (),
    forms: Collection[Form] = (),
) -> T:
    """The options a command line asks for.

    Args:
        argv: the arguments after the program's name; ``None``: those of this process.
        examples: command lines for the end of ``--help``.
        forms: of other tools, in which the file of ``--config`` may be written too.

    Raises:
        UserError: an unknown flag or key (it names the nearest), a bad value, an unreadable file, or an unread option.
        SystemExit: after ``--help``, status 0.
    """
    check_joined(prog)
    words = _with_hyphens(sys.argv[1:] if argv is None else argv)
    options_class = _with_own(options_class, words)
    given = _command_line(options_class, words, prog, description, examples)
    file = read_config(options_class, given["config"], forms) if given.get("config") else {}
    asked = {**file, **given}
    earlier, asked_before = _earlier(options_class, asked)
    values = {**earlier, **asked}
    _refuse_code_of_files(options_class, values, given)
    options = options_class(**values, given=asked_before.union(asked))  # type: ignore[call-arg]
    _check_use(options, file, given)
    return options


def load(options_class: type[T], path: str | Path) -> T:
    """The options that ``save`` wrote.

    Raises:
        UserError: the file cannot be read, or holds an unknown key or a bad value.
    """
    options_class = with_registered(options_class)
    with reading(path):
        return options_class(**read_config(options_class, path))


def save(options: Any, path: str | Path, heading: str = "") -> None:
    """Write all options of a run, by group, as YAML that ``--config`` and ``load`` read back to equal options.

    What concerns one invocation only (``--config --resume --overwrite --plan``) is left out. `heading`: comments above.
    """
    groups: dict[str, dict[str, Any]] = {}
    for name, spec in options_of(type(options)).items():
        if spec.saved:
            value = None if _follows(options, spec) else getattr(options, name)
            groups.setdefault(_group_key(spec), {})[name] = _as_text(value)
    write_mapping(path, groups, heading)


def _follows(options: Any, spec: Option) -> bool:
    """True for a value that nobody gave, in an earlier stage neither, and that follows from other options."""
    if not spec.derived or was_given(options, spec.name):
        return False
    return not spec.inherit or getattr(replace(options, **{spec.name: None}), spec.name) == getattr(options, spec.name)


def read_config(options_class: type, path: str | Path, forms: Collection[Form] = ()) -> dict[str, Any]:
    """The values that a YAML file sets, converted and checked one by one, by option name.

    Options may stand at the top or inside their groups (``data: {dataset: cifar10}``), with hyphens or underscores; the
    file may also be in one of the forms of other tools.

    Raises:
        UserError: unreadable, not YAML, an unknown or doubled key, a bad value; the message names file and key.
    """
    specs = options_of(options_class)
    names = {other: name for name, spec in specs.items() for other in (name, *spec.flags)}
    groups = _groups(options_class)
    values: dict[str, Any] = {}
    for key, value in _flat(translated(read_mapping(path), forms, path), groups):
        name = names.get(_plain(key))
        if name is None:
            raise UserError(f"{path}: unknown key {key!r}{_hint(key, [*names, *groups])}")
        if not specs[name].saved:
            raise UserError(f"{path}: {key!r} belongs on the command line, not in a file")
        if name in values:
            raise UserError(f"{path}: {key!r} is set twice")
        values[name] = convert(specs[name], value, f"{path}: {key}")
    return values


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise UserError(f"{message} (see --help)")


def _with_own(options_class: type[T], words: Sequence[str]) -> type[T]:
    """The class with the options of everything it can name, code of the user's own included.

    The modules of --plugins are imported here; so is what a flag names as ``module:callable``, for its `Options`.
    """
    specs = options_of(options_class)
    if "plugins" in specs:
        import_plugins(_values_of(words, "plugins"))
    own = [
        load_object(value)
        for name, spec in specs.items()
        if spec.entries
        for value in _values_of(words, name)
        if is_reference(value)
    ]
    return with_registered(options_class, *own)


def _values_of(words: Sequence[str], name: str) -> list[str]:
    """The values that a command line gives to one flag."""
    parser = _Parser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    parser.add_argument(_flag(name), dest=name, action="append", nargs="?")
    found: list[str | None] = getattr(parser.parse_known_args(words)[0], name, [])
    return [value for value in found if value is not None]


def _refuse_code_of_files(options_class: type, values: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """A file never decides which code is run: ``module:callable`` counts where it was typed in this command only."""
    for name, spec in options_of(options_class).items():
        value = values.get(name)
        if spec.entries and isinstance(value, str) and is_reference(value) and given.get(name) != value:
            raise UserError(
                f"{spec.flag} {value} is code of your own that a file names, and no file decides which code is run: "
                f"give {spec.flag} {value} in this command too"
            )


def _check_use(options: Any, file: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse what was typed and is not read; of a file, which may serve several runs, it is said."""
    for name in given:
        if (why := why_unused(options, name)) is not None:
            raise UserError(why)
    for name in file.keys() - given.keys():
        if file[name] != options_of(type(options))[name].default and (why := why_unused(options, name)) is not None:
            print(f"note: {options.config} sets what this run does not read: {why}", file=sys.stderr)


def _command_line(
    options_class: type, words: Sequence[str], prog: str, description: str, examples: Sequence[str]
) -> dict[str, Any]:
    specs = options_of(options_class)
    parser = _Parser(
        prog=prog,
        usage=f"{prog} --title NAME [--config FILE.yml] [options]" if "title" in specs else f"{prog} [options]",
        description=description,
        epilog="examples:\n" + "\n".join(f"  {line}" for line in examples) if examples else None,
        formatter_class=_formatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    sections: dict[str, Any] = {}
    for name, spec in specs.items():
        if spec.group not in sections:
            sections[spec.group] = parser.add_argument_group(spec.group)
        _add(sections[spec.group], name, spec)
    arguments, rest = parser.parse_known_args(words)
    if rest:
        flags = [flag for spec in specs.values() for flag in (spec.flag, *(_flag(other) for other in spec.flags))]
        raise UserError(_unknown(rest[0], flags))
    return {name: _from_text(specs[name], value) for name, value in vars(arguments).items()}


def _add(section: Any, name: str, spec: Option) -> None:
    about = ", ".join(part for part in (spec.unit, f"default: {_shown(spec)}") if part)
    text = f"{spec.text} ({about})".replace("%", "%%")
    flags = [spec.flag, *(_flag(other) for other in spec.flags)]
    if spec.kind is bool:
        section.add_argument(*flags, dest=name, nargs="?", const="true", metavar="BOOL", help=text)
        negative = f"--no-{spec.flag[2:]}"
        section.add_argument(negative, dest=name, action="store_const", const="false", help=argparse.SUPPRESS)
    elif spec.kind is tuple:
        section.add_argument(*flags, dest=name, nargs="+", metavar=("N,N,...", "N"), help=text)
    else:
        metavar = {int: "N", float: "X", str: spec.metavar or "|".join(spec.choices) or "TEXT"}[spec.kind]
        action = "append" if spec.repeat else "store"
        section.add_argument(*flags, dest=name, action=action, metavar=metavar, help=text)


def _shown(spec: Option) -> str:
    if spec.kind is bool:
        default = "none" if spec.default is None else str(spec.default).lower()
        return default if spec.default is False else f"{default}; --no-{spec.flag[2:]}"
    if spec.default is None:
        return "none"
    return f"{spec.default:g}" if spec.kind is float else str(spec.default)


def _from_text(spec: Option, value: str | list[str]) -> Any:
    text = ",".join(value) if isinstance(value, list) else value
    if spec.optional and text.lower() in ("none", "null"):
        return convert(spec, None, spec.flag)
    return convert(spec, text, spec.flag)


def _with_hyphens(argv: Sequence[str]) -> list[str]:
    """``--batch_size=3`` as ``--batch-size=3``; values are left alone."""
    changed = []
    for word in argv:
        flag, equals, value = word.partition("=")
        changed.append(flag.replace("_", "-") + equals + value if word.startswith("--") else word)
    return changed


def _unknown(word: str, flags: list[str]) -> str:
    if not word.startswith("-"):
        return f"unexpected {word!r}: every value follows its --flag (see --help)"
    flag = word.partition("=")[0]
    return f"unknown option {flag}{_hint('--' + flag.lstrip('-'), flags)} (see --help)"


def _hint(name: str, choices: Collection[str]) -> str:
    plain = _plain(name.lstrip("-"))
    if plain in _RETIRED:
        return f": {_RETIRED[plain]}"
    stages = [stage for stage in STAGES if plain in options_of(options_of_stage(stage))]
    if stages and name not in choices:
        return f": it is an option of {' and '.join(STAGES[stage].script for stage in stages)}"
    groups = [stage for stage in STAGES if plain in _groups(options_of_stage(stage))]
    if groups and name not in choices:
        return f": it holds options of {' and '.join(STAGES[stage].script for stage in groups)}"
    return nearest(name, choices)


def _groups(options_class: type) -> set[str]:
    return {_group_key(spec) for spec in options_of(options_class).values()}


def _earlier(options_class: type, values: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """The values below the file: the run's own saved options on --resume, else what the stages before it were given.

    With them the names that were asked for when the run began: on --resume those it has otherwise than it would have
    had them from the stages before it, or by default.
    """
    stage = getattr(options_class, "stage", None)
    if stage is None:
        return {}, set()
    specs = options_of(options_class)
    run = argparse.Namespace(stage=stage, **{name: values.get(name, spec.default) for name, spec in specs.items()})
    path = _saved_options(run, stage) if run.resume else None
    own = {} if path is None else read_config(options_class, path)
    before = (_saved_options(run, previous) for previous in STAGES[stage].previous)
    found = next((path for path in before if path is not None), None)
    below = {} if found is None or (run.resume and path is None) else _inherited(specs, found, {**own, **values})
    if path is None:
        return below, set()
    return own, {name for name, value in own.items() if value != below.get(name, specs[name].default)}


def _inherited(specs: Mapping[str, Option], path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that an earlier stage's ``config.yaml`` hands on. A group is inherited as a whole: with another search
    space (or data set) than the earlier stage's, its widths (or its folder) mean nothing.
    """
    saved = {
        key: convert(specs[key], value, f"{path}: {key}")
        for key, value in _flat(read_mapping(path))
        if key in specs and specs[key].inherit and not (value is None and not specs[key].optional)
    }
    replaced = {
        specs[key].group for key in ("search_space", "dataset") if values.get(key, saved.get(key)) != saved.get(key)
    }
    return {key: value for key, value in saved.items() if specs[key].group not in replaced}


def _saved_options(run: argparse.Namespace, stage: str) -> Path | None:
    try:
        path = stage_path(run, stage) / "config.yaml"
    except UserError:  # neither title nor path: the options themselves will say so
        return None
    return path if path.is_file() else None


def _flat(content: Mapping[str, Any], groups: Collection[str] | None = None) -> Iterator[tuple[str, Any]]:
    """Options at the top and inside groups. A mapping is a group if its key is among ``groups`` (``None``: any key)."""
    for key, value in content.items():
        if isinstance(value, dict) and (groups is None or _plain(key) in groups):
            yield from value.items()
        elif value is None and groups is not None and _plain(key) in groups:
            continue  # a group whose lines are all commented out
        else:
            yield key, value


def _group_key(spec: Option) -> str:
    return _plain(spec.group.lower())


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _plain(key: str) -> str:
    return key.replace("-", "_")


def _as_text(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, tuple):
        return [str(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def _formatter(prog: str) -> argparse.HelpFormatter:
    width = min(120, max(60, shutil.get_terminal_size().columns - 2))
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=30, width=width)
