"""Architectures as once-for-all and DyNAS-T write them: `{"ks": [...], "e": [...], "d": [...], "w": [...], "r": 224}`.

One value per layer (`ks`, `e`), stage (`d`) or width (`w`, an index), in the order of the network, or one for all of
them. What stands for layers that are not there does not matter, and may be anything.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from config_file.errors import UserError
from supernet.decisions import Architecture, Decision, DecisionSpace
from supernet.space import NetworkSpace
from supernet.spaces.image_sizes import IMAGE_SIZE

KEYS = {"ks": "kernel", "e": "expand", "d": "depth", "w": "width", "r": IMAGE_SIZE}
"""Their keys, and the last word of the names of our decisions."""

IGNORED = ("wid",)
"""A key that DyNAS-T always writes, and always as None."""


def is_form(content: Any) -> bool:
    """True for an object in their form."""
    return isinstance(content, Mapping) and "d" in content and set(content) <= {*KEYS, *IGNORED}


def image_size(content: Any) -> int | None:
    """The size of the image that an object in their form says, if it is one and says it."""
    said = content.get("r") if is_form(content) else None
    said = said[0] if isinstance(said, list) and len(said) == 1 else said
    return said if type(said) is int else None


def architecture_in_form(content: Mapping[str, Any], space: DecisionSpace, where: str) -> Architecture:
    """The canonical architecture of a space with kernels, expansions, depths and widths.

    Raises:
        UserError: a key or value that the space does not have, or another number of them; begins with `where`.
    """
    chosen: dict[int, int | None] = {}
    said: dict[int, Any] = {}
    for key, kind in KEYS.items():
        decisions = [n for n, decision in enumerate(space.decisions) if _kind(decision) == kind]
        if key not in content or (key == "r" and not decisions):
            if decisions:
                raise UserError(f"{where}: {space.name} also needs {key!r}, {_count(key, decisions)}")
            continue
        if not decisions:
            raise UserError(f"{where}: {space.name} has no {key!r}")
        for decision, value in zip(decisions, _values(content[key], key, space, decisions, where), strict=True):
            chosen[decision], said[decision] = _index(key, value, space.decisions[decision]), value
    _check_image(content, space, where)
    if len(chosen) < len(space.decisions):
        raise UserError(f"{where}: {space.name} is no space of kernels, expansions, depths and widths alone")
    architecture = tuple(chosen[n] or 0 for n in range(len(space.decisions)))
    for decision, option in chosen.items():
        if option is None and space.matters(architecture, decision):
            about = space.decisions[decision]
            raise UserError(f"{where}: {about.name} is {said[decision]!r:.40}, none of {', '.join(about.options)}")
    return space.canonical(architecture)


def in_form(space: DecisionSpace, architecture: Architecture) -> dict[str, Any] | None:
    """An architecture in their form; None of a space that has other decisions, or no depths.

    Of layers that are not there it has the first value. The image size is a number; that of a space which does not
    decide it is the size of its images.
    """
    kinds = {kind: key for key, kind in KEYS.items()}
    found: dict[str, Any] = {}
    for decision, option in zip(space.decisions, space.canonical(architecture), strict=True):
        key = kinds.get(_kind(decision))
        name = decision.options[option]
        if key is None or not name.replace(".", "", 1).isdecimal():
            return None
        found.setdefault(key, []).append(option if key == "w" else float(name) if "." in name else int(name))
    if "d" not in found:
        return None
    size = found.pop("r", [space.input_shape[1]] if isinstance(space, NetworkSpace) else None)
    ordered = {key: found[key] for key in KEYS if key in found}
    return ordered | ({} if size is None else {"r": size[0]})


def _kind(decision: Decision) -> str:
    kind = decision.name.rpartition("/")[2]
    return "width" if kind == "inner_width" else kind


def _count(key: str, decisions: Sequence[int]) -> str:
    return "one number" if key == "r" else f"{len(decisions)} numbers"


def _values(said: Any, key: str, space: DecisionSpace, decisions: Sequence[int], where: str) -> list[Any]:
    values = said if isinstance(said, list) else [said] * len(decisions)
    last = space.decisions[decisions[-1]]
    fixed = all(decision.name != f"{last.name.partition('/')[0]}/depth" for decision in space.decisions)
    if len(values) == len(decisions) - 1 and key in ("ks", "e") and fixed:
        # DyNAS-T has no numbers for the last layer of once-for-all's ProxylessNAS, which stays at its largest.
        values = [*values, last.options[-1]]
    if key == "d" and len(values) == len(decisions) + 1 and values[-1] == 1:
        values = values[:-1]  # once-for-all has one for the single layer of ProxylessNAS's last stage
    if len(values) != len(decisions):
        raise UserError(f"{where}: {key!r} of {space.name} is {_count(key, decisions)}, not {len(values)}")
    return values


def _index(key: str, value: Any, decision: Decision) -> int | None:
    """The option that a value stands for; None for none."""
    if key == "w":  # an index of the widths
        return value if type(value) is int and 0 <= value < len(decision.options) else None
    if decision.name == "stem/depth" and value == 1:
        return 0  # the stem's middle layer is there at the greatest depth only
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return decision.options.index(text) if text in decision.options else None


def _check_image(content: Mapping[str, Any], space: DecisionSpace, where: str) -> None:
    size = image_size(content)
    if content.get("r") is not None and size is None:
        raise UserError(f"{where}: 'r' is one size in pixels")
    decides = any(decision.name == IMAGE_SIZE for decision in space.decisions)
    if size is not None and isinstance(space, NetworkSpace) and not decides and size != space.input_shape[1]:
        raise UserError(f"{where}: it says r: {size}, but images have {space.input_shape[1]} pixels (--resolution)")
