"""Stages of a chain: how wide, how many layers, and what a layer is. Where there is a list, that is a choice.

    {channels: [16, 24], depth: [1, 2, 3], stride: 2, kernel: [3, 5], expand: [3, 4, 6]}

Widths are chosen for the stage, since shortcuts tie its layers, and so is the depth: a shallower stage keeps its first
layers. Kernel and expansion are chosen layer by layer, or for all layers of the stage (`tied`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from math import prod
from typing import Any

from config_file.errors import UserError
from supernet.spaces.candidates import parse_candidate

MOST_CHOICES, MOST_COMBINED, MOST_KERNEL, MOST_EXPAND = 32, 512, 99, 100
"""Upper limits: values in one list; combinations of width, kernel and expansion of one layer; either of those."""


@dataclass(frozen=True)
class Stage:
    """Layers of one width; the first has the stride.

    Every layer chooses among the candidates, or it is an inverted residual of one of the kernels and expansions.

    Args:
        channels, depth: a number, or those to choose among, ascending.
        act, candidates: instead of the table's.
        se: every inverted residual has squeeze-excite, or none has; None: those whose name says so.
        kernel, expand: a number or several, ascending; then there are no candidates.
        tied: all layers of the stage have the same kernel and the same expansion.
    """

    channels: int | tuple[int, ...]
    depth: int | tuple[int, ...]
    stride: int
    act: str | None = None
    se: bool | None = None
    candidates: tuple[str, ...] | None = None
    kernel: int | tuple[int, ...] | None = None
    expand: float | tuple[float, ...] | None = None
    tied: bool = False

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths to choose among, or the one that it has."""
        return several(self.channels)

    @property
    def depths(self) -> tuple[int, ...]:
        """The numbers of layers to choose among, or the one that it has."""
        return several(self.depth)

    @property
    def most(self) -> int:
        """The greatest number of layers."""
        return self.depths[-1]

    @property
    def elastic(self) -> bool:
        """True where something is a list."""
        return any(isinstance(value, tuple) for value in (self.channels, self.depth, self.kernel, self.expand))

    def with_most(self, layers: int) -> Stage:
        """The stage with another number of layers; where it is a choice, the greatest one."""
        if not isinstance(self.depth, tuple):
            return replace(self, depth=layers)
        fewer = [depth for depth in self.depth if depth < layers]
        return replace(self, depth=(*fewer, *range(self.most + 1, layers), layers))

    def check(self, where: str) -> None:
        """Raises UserError, one line that begins with `where`, for values that no stage has."""
        for key in ("channels", "depth"):
            check_choices(f"{where}: {key}", getattr(self, key), whole=True)
        for key in ("se", "tied"):
            if getattr(self, key) not in (None, True, False):
                raise UserError(f"{where}: {key} of a stage must be true or false")
        if (self.kernel is None) != (self.expand is None):
            raise UserError(f"{where}: kernel and expand go together")
        if self.kernel is None:
            if self.tied:
                raise UserError(f"{where}: tied is for kernel and expand")
            return
        if self.candidates is not None:
            raise UserError(f"{where}: either candidates, or kernel and expand")
        check_choices(f"{where}: kernel", self.kernel, whole=True)
        check_choices(f"{where}: expand", self.expand, whole=False)
        even = [kernel for kernel in several(self.kernel) if kernel % 2 == 0]
        if even or max(several(self.kernel)) > MOST_KERNEL or max(several(self.expand)) > MOST_EXPAND:
            raise UserError(
                f"{where}: a kernel must be odd and at most {MOST_KERNEL}, an expansion at most {MOST_EXPAND}"
            )
        combined = prod(len(several(values)) for values in (self.channels, self.kernel, self.expand))
        if combined > MOST_COMBINED:
            raise UserError(
                f"{where}: {combined:,} combinations of channels, kernel and expand, more than {MOST_COMBINED}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without what is the table's."""
        default = {f.name: f.default for f in fields(self)}
        given = {key: value for key, value in asdict(self).items() if value != default[key]}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}


def several(value: Any) -> tuple:
    """The numbers of a list, or the number alone; none of None."""
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def check_choices(what: str, value: Any, whole: bool) -> None:
    """Raises UserError for anything but a number of at least 1, or a list of such, ascending."""
    kinds = (int,) if whole else (int, float)
    numbers = several(value)
    meaning = f"{'whole numbers' if whole else 'numbers'} of at least 1, one or a list of them"
    if not numbers or any(type(number) not in kinds or not number >= 1 for number in numbers):
        raise UserError(f"{what} must be {meaning}, not {_shown(value)}")
    if any(a >= b for a, b in pairwise(numbers)):
        raise UserError(f"{what} must ascend, each number once, not {_shown(value)}")
    if len(numbers) > MOST_CHOICES:
        raise UserError(f"{what}: at most {MOST_CHOICES} choices, not {len(numbers)}")


def stages_of(content: Any) -> tuple[Stage, ...]:
    """The stages of a YAML file. Raises UserError."""
    needed, known = {"channels", "depth", "stride"}, {f.name for f in fields(Stage)}
    form = (
        "stages must be a list of {channels: C, depth: N, stride: S}, with act, se and candidates where they differ, "
        "or with kernel and expand"
    )
    if isinstance(content, str) or not isinstance(content, Sequence):
        raise UserError(form)
    for number, stage in enumerate(content, 1):
        if not isinstance(stage, Mapping):
            raise UserError(form)
        unknown = [str(key) for key in stage if key not in known]
        missing = sorted(needed - set(stage))
        if unknown or missing:
            wrong = f"does not know {unknown[0]!r:.40}" if unknown else f"lacks {', '.join(missing)}"
            raise UserError(f"stage {number} {wrong}: {form}")
    return tuple(Stage(**{str(key): _value(str(key), value) for key, value in stage.items()}) for stage in content)


def names_of(content: Any) -> tuple[str, ...]:
    """Names of candidates. Raises UserError for anything but a list."""
    if isinstance(content, str) or not isinstance(content, Sequence):
        raise UserError("candidates must be a list of names")
    return tuple(map(str, content))


def check_candidates(name: str, candidates: Sequence[str]) -> None:
    """Raises UserError unless they are different names, at least one, that mean something."""
    if not candidates or len(set(candidates)) < len(candidates):
        raise UserError(f"{name}: candidates must be different names, at least one")
    for candidate in candidates:
        parse_candidate(candidate)


def _value(key: str, value: Any) -> Any:
    if key == "candidates":
        return names_of(value)
    return tuple(value) if key in ("channels", "depth", "kernel", "expand") and isinstance(value, list) else value


def _shown(value: Any) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 60 else text[:57] + "..."
