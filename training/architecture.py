"""Which network to retrain: what the search found, one from a file or the command line, or a random one."""

import inspect
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config_file.errors import UserError
from config_file.stages import find_stage
from supernet import Architecture, SearchSpace, build_space
from supernet.architecture_text import read_content
from supernet.spaces import SPACES
from training.data import Data
from training.options import RetrainOptions
from training.train_supernet import space_of

SETTINGS = tuple(inspect.signature(build_space).parameters)
"""What `build_space` takes."""


@dataclass(frozen=True)
class Chosen:
    """An architecture, the space it is of (for this data set's resolution and classes), and where it comes from."""

    space: SearchSpace
    architecture: Architecture
    origin: str


def choose_architecture(options: RetrainOptions, data: Data) -> Chosen:
    """The architecture that `--architecture` asks for; without it what the search of the same title found.

    Args:
        options: `architecture` is None, "random" (drawn with `random_seed`), a list of names or indices as JSON, or a
            file: such a list, an object with the key "architecture" like a search's best.json (which also brings its
            space), or OSNASLib's .npy of indices.
        data: its resolution and classes are those of the network.

    Raises:
        UserError: there is no such file, or what it holds is not an architecture of the space.
    """
    text = options.architecture
    if text is None:
        path = find_stage(options, "search") / "best.json"
        found = read_content(str(path))
        _check_same_space(found, options, path)
        return _from_found(found, options, data, str(path))
    if text == "random":
        space = space_of(options, data)
        return Chosen(space, space.sample(random.Random(options.random_seed)), f"random, seed {options.random_seed}")
    inline = text.lstrip().startswith(("[", "{"))
    return _from_found(read_content(text), options, data, "--architecture" if inline else text)


def _check_same_space(found: Any, options: RetrainOptions, path: Path) -> None:
    """Raises UserError where a flag asks for another space than the search's: it would be ignored."""
    recipe = found.get("space_options", {}) if isinstance(found, dict) else {}
    if not isinstance(recipe, dict):
        return  # refused where it is read
    other = f"the network in {path} is of another one; --architecture LIST or random trains one of this"
    known, asked = recipe.get("search_space"), options.search_space
    shipped = isinstance(known, str) and asked in SPACES and asked != RetrainOptions.search_space
    if shipped and SPACES.get(str(known)) is not SPACES[asked]:
        raise UserError(f"--search-space {asked}: {other}")
    for name in ("widths", "depths", "strides", "skip"):
        value = getattr(options, name)
        if value is not None and name in recipe and recipe[name] != (list(value) if name != "skip" else value):
            raise UserError(f"--{name} {value}: {other}")


def _from_found(content: Any, options: RetrainOptions, data: Data, origin: str) -> Chosen:
    if not isinstance(content, dict):
        space = space_of(options, data)
        return Chosen(space, space.parse(content), origin)
    if "architecture" not in content:
        raise UserError(f"{origin}: it has no key 'architecture'")
    space = space_of(options, data)
    if "space_options" in content:
        known = content["space_options"]
        if not isinstance(known, dict) or not known.keys() <= set(SETTINGS):
            raise UserError(f"{origin}: its 'space_options' are not those of a search space ({', '.join(SETTINGS)})")
        recipe = {"search_space": content.get("search_space"), **known}
        # The same space for the data that is trained on now, which need not be what was searched on.
        recipe |= {"resolution": data.resolution, "num_classes": len(data.classes), "in_channels": data.in_channels}
        space = build_space(**recipe)
    expected = content.get("decisions_fingerprint", space.decisions_fingerprint)
    if space.decisions_fingerprint != expected:
        raise UserError(f"{origin}: its architecture is not of {space.name} as it is declared now")
    return Chosen(space, space.parse(content["architecture"]), origin)
