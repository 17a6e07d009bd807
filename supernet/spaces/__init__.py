"""The shipped search spaces by name, and how a space is built from a name, a YAML file or the user's own code."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from config_file.errors import UserError, choose
from config_file.plugins import guarded, is_reference, load_object
from supernet.space import SearchSpace
from supernet.spaces.chain import ChainTable
from supernet.spaces.fbnet import FBNET_L, FBNET_S
from supernet.spaces.mobilenetv2 import build_mobilenetv2
from supernet.spaces.nasbench_macro import NASBENCH_MACRO
from supernet.spaces.pfld import build_pfld
from supernet.spaces.proxylessnas import PROXYLESSNAS
from supernet.spaces.single_path import SINGLE_PATH
from supernet.spaces.spos import SPOS

SPACES: dict[str, ChainTable | Callable[..., SearchSpace]] = {
    "proxylessnas": PROXYLESSNAS,
    "fbnet_s": FBNET_S,
    "fbnet_l": FBNET_L,
    "fbnet": FBNET_L,
    "spos": SPOS,
    "mobilenetv2": build_mobilenetv2,
    "single_path": SINGLE_PATH,
    "nasbench_macro": NASBENCH_MACRO,
    "pfld": build_pfld,
}
"""A table, or a callable (resolution, num_classes, in_channels, recipe, widths, depths, strides) -> SearchSpace."""

DEFAULT_RESOLUTION = {"nasbench_macro": 32, "pfld": 112}


def build_space(
    search_space: str | Mapping[str, Any],
    resolution: int | None = None,
    num_classes: int = 1000,
    in_channels: int = 3,
    widths: Sequence[int] | None = None,
    depths: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    skip: str | None = None,
) -> SearchSpace:
    """Build a search space.

    Args:
        search_space: a shipped name (`SPACES`), the path of a YAML file, the content of one as a mapping, or
            "package.module:callable", called as callable(resolution=, num_classes=, in_channels=) -> SearchSpace.
        resolution: height and width of the image; default 224 (32 for nasbench_macro, 112 for pfld).
        num_classes: width of the classifier.
        in_channels: channels of the image.
        widths: channels of the stem, the fixed first block if there is one, each stage, and the head.
        depths: layers per stage.
        strides: stem, then each stage; without it small images (<= 64 px) keep their resolution in stem and first
            strided stage.
        skip: "conv" or "identity": what a skip is where the shape changes; default as the space declares.

    Raises:
        UserError: an unknown name (naming the nearest), a setting that does not fit, or a file that is not a space.
    """
    if isinstance(search_space, str) and search_space.replace("-", "_") in SPACES:
        search_space = search_space.replace("-", "_")
    if resolution is None:
        resolution = DEFAULT_RESOLUTION.get(search_space, 224) if isinstance(search_space, str) else 224
    if min(resolution, num_classes, in_channels) < 1:
        raise UserError("resolution, classes and input channels must be at least 1")
    if any(value < 1 for values in (widths, depths, strides) if values is not None for value in values):
        raise UserError("widths, depths and strides must be at least 1")
    recipe: dict[str, Any] = {
        "search_space": search_space,
        "resolution": resolution,
        "num_classes": num_classes,
        "in_channels": in_channels,
        "widths": None if widths is None else list(widths),
        "depths": None if depths is None else list(depths),
        "strides": None if strides is None else list(strides),
        "skip": skip,
    }
    try:
        space = _build(search_space, recipe)
        for _, table in space.factors():
            for block, shape in dict.fromkeys(entry for entry in table.flat if entry is not None):
                block.params(shape)  # raises ValueError where channels do not fit
    except ValueError as error:
        raise UserError(f"search space {_title(search_space)}: {error}") from None
    return space


def _build(search_space: str | Mapping[str, Any], recipe: dict[str, Any]) -> SearchSpace:
    if isinstance(search_space, str) and is_reference(search_space):
        return _own_space(search_space, recipe)
    found = _find(search_space)
    image = recipe["resolution"], recipe["num_classes"], recipe["in_channels"]
    changes = {key: recipe[key] for key in ("widths", "depths", "strides")}
    if isinstance(found, ChainTable):
        if (
            not isinstance(search_space, str) or search_space not in SPACES
        ):  # a file may be gone when the recipe is read again
            recipe["search_space"] = found.to_dict()
        return found.with_settings(**changes, skip=recipe["skip"]).build(*image, recipe)
    if recipe["skip"] is not None:
        raise UserError(f"--skip does not apply to {search_space}")
    return found(*image, recipe, **changes)


def _find(search_space: str | Mapping[str, Any]) -> ChainTable | Callable[..., SearchSpace]:
    if isinstance(search_space, Mapping):
        return ChainTable.from_dict(search_space)
    if search_space.endswith((".yml", ".yaml")):
        path = Path(search_space)
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"search space {search_space}: no such file") from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UserError(f"search space {search_space}: {' '.join(str(error).split())}") from None
        if not isinstance(content, Mapping):
            raise UserError(f"search space {search_space}: expected a table of keys such as name, stem, stages")
        try:
            return ChainTable.from_dict(content)
        except UserError as error:
            raise UserError(f"{search_space}: {error}") from None
    return choose("search space", search_space, SPACES)


def _own_space(reference: str, recipe: dict[str, Any]) -> SearchSpace:
    for setting in ("widths", "depths", "strides", "skip"):
        if recipe[setting] is not None:
            raise UserError(f"--{setting} does not apply to a search space of your own code ({reference})")
    keywords = {key: recipe[key] for key in ("resolution", "num_classes", "in_channels")}
    make = load_object(reference)
    try:
        inspect.signature(make).bind(**keywords)
    except TypeError as error:
        raise UserError(f"{reference} must take resolution, num_classes and in_channels: {error}") from None
    space = guarded(reference, make)(**keywords)
    if not isinstance(space, SearchSpace):
        raise UserError(f"{reference} returned a {type(space).__name__}, not a supernet.SearchSpace")
    return replace(space, recipe=recipe)


def _title(search_space: str | Mapping[str, Any]) -> str:
    return search_space if isinstance(search_space, str) else str(search_space.get("name", "of your own"))
