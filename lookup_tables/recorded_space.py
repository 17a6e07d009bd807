"""The search space that a file of ours was made for, rebuilt from what the file says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config_file.errors import UserError
from supernet import SearchSpace, build_space
from supernet.spaces import SPACES


def recorded_space(header: Mapping[str, Any]) -> SearchSpace | None:
    """The space of a header with `space_options` and `macro_fingerprint`.

    None where it is not a shipped space or one from YAML (a file never decides which code is run), or no longer that.
    """
    recipe = header.get("space_options")
    if not isinstance(recipe, dict):
        return None
    name = recipe.get("search_space")
    if not isinstance(name, dict) and name not in SPACES:
        return None
    try:
        space = build_space(**recipe)
    except (UserError, TypeError):
        return None
    return space if space.macro_fingerprint == header.get("macro_fingerprint") else None
