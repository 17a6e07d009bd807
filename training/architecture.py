"""Which network to retrain: what the search found, one from a file or the command line, or a random one."""

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from config_file.errors import UserError
from config_file.options import RetrainOptions
from config_file.run_folder import find_stage
from supernet import Architecture, SearchSpace, build_space
from training.data import Data
from training.train_supernet import space_of


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
        return _from_found(_read(path), options, data, str(path))
    if text == "random":
        space = space_of(options, data)
        return Chosen(space, space.sample(random.Random(options.random_seed)), f"random, seed {options.random_seed}")
    if text.lstrip().startswith(("[", "{")):
        try:
            return _from_found(json.loads(text), options, data, "--architecture")
        except ValueError:
            raise UserError(f"--architecture {text}: not JSON; a list of names or indices is expected") from None
    return _from_found(_read(Path(text).expanduser()), options, data, text)


def _read(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"--architecture {path}: no such file (FILE, a JSON list, or random)")
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False).astype(int).ravel().tolist()
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, EOFError):
        raise UserError(f"{path}: not an architecture; JSON or a .npy of indices is expected") from None


def _from_found(content: Any, options: RetrainOptions, data: Data, origin: str) -> Chosen:
    if not isinstance(content, dict):
        space = space_of(options, data)
        return Chosen(space, space.parse(content), origin)
    if "architecture" not in content:
        raise UserError(f"{origin}: it has no key 'architecture'")
    space = space_of(options, data)
    if "space_options" in content:
        recipe = {"search_space": content.get("search_space"), **content["space_options"]}
        # The same space for the data that is trained on now, which need not be what was searched on.
        recipe |= {"resolution": data.resolution, "num_classes": len(data.classes), "in_channels": data.in_channels}
        space = build_space(**recipe)
    expected = content.get("decisions_fingerprint", space.decisions_fingerprint)
    if space.decisions_fingerprint != expected:
        raise UserError(f"{origin}: its architecture is not of {space.name} as it is declared now")
    return Chosen(space, space.parse(content["architecture"]), origin)
