"""Phases: a training as a list of trainings of one supernet, each on a part of the space (progressive shrinking).

    phases:
      - {name: largest, epochs: 60, draw: {"*": largest}}
      - {name: kernel, epochs: 40, lr: 0.03, teacher: largest, draw: {"*": largest, "*/kernel": "*"}}

Once-for-all (Cai et al. 2020) trains the largest network first, then with all kernels, then all depths, then all
widths. Every phase goes on with the weights of the one before, at a schedule and with an optimizer of its own.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from config_file.errors import UserError, nearest
from config_file.fields import convert, option, options_of
from config_file.options import options, was_given, why_unused
from config_file.plugins import is_reference
from config_file.readers.form import check_form
from config_file.readers.json_text import parse_json
from supernet import SearchSpace
from supernet.narrowed import Narrowed, narrow
from training.extremes import extremes
from training.sampling_options import SamplingOptions

RATES = ("lr", "lr_scheduler", "warmup_epochs", "decay_step", "decay_ratio")
"""Options of every training that a phase may have for itself, beside those of sampling."""

MOST_PHASES = 100
_DRAW, _NAME = "draw", "name"


@options("Training")
class PhaseOptions(SamplingOptions):
    """Phases."""

    phases: str | None = option(
        None,
        "trainings that follow each other: a list of {name, epochs, draw: {GLOB of decisions: options, largest or "
        "smallest}, sort_channels, and options of sampling, teacher (also the name of an earlier phase) and learning "
        "rate}; none: one training",
        metavar="LIST",
        as_json=True,
        decides="training",
    )

    def rules(self) -> None:
        """Let the epochs be those of the phases; raise UserError where a phase is not one."""
        if self.phases is None:
            return
        total = sum(phase.epochs for phase in phases_of(self))
        given: Any = self
        if was_given(self, "epochs") and given.epochs != total:
            raise UserError(f"--epochs {given.epochs}: the phases have {total} together; leave it out")
        object.__setattr__(self, "epochs", total)


@options()
class _Keys:
    """Keys of a phase that are no option of a training."""

    epochs: int = option(0, "epochs", at_least=1, at_most=10**6)
    sort_channels: bool = option(False, "as --sort-channels, when the phase begins")


@dataclass(frozen=True)
class Phase:
    """One phase.

    Attributes:
        start: the epochs before it.
        draw: globs of decisions with what is drawn of them, later ones count.
        sort_channels: whether channels are sorted when it begins.
        former: the earlier phase whose largest network, as it was at that phase's end, teaches; None: none.
        options: those of its training.
    """

    name: str
    start: int
    epochs: int
    draw: Mapping[str, Sequence[str]]
    sort_channels: bool
    former: str | None
    options: Any

    def narrowed(self, space: SearchSpace) -> Narrowed:
        """The space of what is drawn.

        Raises:
            UserError: a glob matches nothing.
        """
        where, kept = f"--phases: {self.name}", [[*range(size)] for size in space.sizes]
        names, ends = [decision.name for decision in space.decisions], None
        for glob, wanted in self.draw.items():
            matched = [number for number, name in enumerate(names) if fnmatchcase(name, glob)]
            if not matched:
                raise UserError(f"{where}: no decision of {space.name} matches {glob!r} (there are {_few(names)})")
            for number in matched:
                options = space.decisions[number].options
                found = [n for n, name in enumerate(options) if any(fnmatchcase(name, one) for one in wanted)]
                if not found and len(wanted) == 1 and wanted[0] in ("largest", "smallest"):
                    ends = ends or extremes(space)
                    found = [getattr(ends, wanted[0])[number]]
                if not found:
                    raise UserError(
                        f"{where}: no option of {names[number]} matches {' or '.join(wanted)} ({', '.join(options)}, "
                        "or largest, smallest)"
                    )
                kept[number] = found
        return narrow(space, kept)


def phases_of(given: Any) -> list[Phase]:
    """The phases of a training's options.

    Raises:
        UserError: they are no list of phases, or a phase has no epochs, an unknown key, or a value that is wrong.
    """
    content = parse_json(given.phases, "--phases")
    check_form(content, [dict], "--phases")
    if not 0 < len(content) <= MOST_PHASES:
        raise UserError(f"--phases: a list of 1 to {MOST_PHASES} phases, not of {len(content)}")
    found: list[Phase] = []
    for number, about in enumerate(content, 1):
        name = str(about.get(_NAME, number))
        try:
            found.append(_phase(name, about, given, found))
        except UserError as error:
            raise UserError(f"--phases: {name}: {error}") from None
    return found


def _phase(name: str, about: Mapping[str, Any], given: Any, before: Sequence[Phase]) -> Phase:
    specs, own, names = options_of(type(given)), options_of(_Keys), [phase.name for phase in before]
    allowed = [*own, _DRAW, _NAME, *RATES, *options_of(SamplingOptions)]
    allowed += [name for name in specs if name not in options_of(PhaseOptions) and _samples(specs, name)]
    if name in names:
        raise UserError("two phases have this name")
    values: dict[str, Any] = {}
    for key, value in about.items():
        plain = key.replace("-", "_")
        if plain not in allowed:
            raise UserError(f"unknown key {key!r}{nearest(key, allowed)}")
        if plain not in (_DRAW, _NAME):
            values[plain] = convert((dict(specs) | dict(own))[plain], value, key)
    if "epochs" not in values:
        raise UserError("it needs epochs")
    strategy, former = values.get("sample_strategy"), values.get("teacher")
    if strategy is not None and is_reference(strategy) and strategy != given.sample_strategy:
        raise UserError(f"code of your own has to be typed: give --sample-strategy {strategy} in the command")
    former = former if former in names else None
    epochs, sort = values.pop("epochs"), values.pop("sort_channels", False)
    started = frozenset(given.given) | values.keys()
    training = replace(given, **values, epochs=epochs, phases=None, given=started)
    for key in values:
        if (why := why_unused(training, key)) is not None:
            raise UserError(why)
    training = replace(training, teacher=None) if former else training
    start = before[-1].start + before[-1].epochs if before else 0
    return Phase(name, start, epochs, _draw(about.get(_DRAW, {})), sort, former, training)


def _samples(specs: Mapping[str, Any], name: str) -> bool:
    """True for an option of a trainer that was registered from outside."""
    trainers = specs["sample_strategy"].entries
    parts = (getattr(entry, "Options", None) for entry in trainers)
    return any(part is not None and name in options_of(part) for part in parts)


def _few(names: Sequence[str]) -> str:
    return ", ".join([*names[:4], *(["..."] if len(names) > 4 else [])])


def _draw(content: Any) -> dict[str, list[str]]:
    """{glob: names of options} as a phase has them: one name, or a list."""
    check_form(content, {...: (str, int, float, list)}, _DRAW)
    listed = {glob: wanted if isinstance(wanted, list) else [wanted] for glob, wanted in content.items()}
    for glob, wanted in listed.items():
        if not wanted or not all(isinstance(name, str | int | float) for name in wanted):
            raise UserError(f"draw: {glob!r} is {json.dumps(wanted)[:40]}, it must be options of a decision")
    return {glob: [str(name) for name in wanted] for glob, wanted in listed.items()}
