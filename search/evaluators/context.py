"""The context an evaluator is made in: the options and what they name, each read when it is first asked for."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from config_file.errors import UserError
from config_file.readers.form import check_form
from config_file.stages import find_stage
from search.evaluators.held_back import hold_back, images_to_hold_back
from supernet import NetworkSpace, SearchSpace
from supernet.decisions import DecisionSpace
from supernet.saved import space_of
from supernet.space import with_sites
from supernet.spaces import SETTINGS, SPACES
from tasks import Task, task_of
from training.data import Data, Split, load_data
from training.device import choose_device, prepare_device
from training.supernet_file import TrainedSupernet, load_supernet
from training.train_supernet import networks_of


class Context:
    """Everything an evaluator may ask for.

    Args:
        options: of the stage.
        needs_supernet: whether a trained supernet says which space, task and resolution there are.
        space: the architectures, of an evaluator that brings them along, or a function of the context to them. Without
            either, --search-space and the data say it.
    """

    def __init__(self, options: Any, needs_supernet: bool = False, space: Any = None) -> None:
        self.options = options
        self.needs_supernet = needs_supernet
        self._space = space
        self.read: dict[str, Any] = {}  # by names of its own: what an evaluator and its space have read

    @property
    def seed(self) -> int:
        return int(self.options.random_seed)

    @cached_property
    def device(self) -> torch.device:
        """The device, prepared."""
        device = choose_device(self.options.device)
        prepare_device(device, self.options.threads)
        return device

    @cached_property
    def source(self) -> Path:
        """The folder of the trained supernet. Raises UserError where there is none."""
        return find_stage(self.options, "supernet")

    @property
    def doubt(self) -> str:
        """The question that evaluations which all fail raise about the supernet; "" where there is none."""
        return f": was the supernet in {self.source} trained to the end?" if self.needs_supernet else ""

    @cached_property
    def trained(self) -> TrainedSupernet:
        """The supernet, on the CPU. Raises UserError where it is missing or damaged."""
        source = self.source
        assert self.device is not None  # prepared before anything is computed
        return load_supernet(source, self.options.search_space)

    @cached_property
    def space(self) -> DecisionSpace:
        """The architectures, whose costs count.

        A supernet's may be narrower, for instance, with the same decisions: a proxy. Raises UserError for other ones.
        """
        if self.needs_supernet:
            return searched_space(self.options, self.trained, self.source)
        if self._space is None:
            return networks_of(self.options, self.data)
        space = self._space(self) if callable(self._space) else self._space
        if not isinstance(space, DecisionSpace):
            raise UserError(f"--evaluator {self.options.evaluator}: its space is a {type(space).__name__}")
        return space

    @property
    def proxy(self) -> str:
        """The supernet in words where it is not of the space's own networks; "" where it is."""
        space = self.space
        if not self.needs_supernet or space is self.trained.space or not isinstance(space, NetworkSpace):
            return ""
        ours, theirs = space.describe(), self.trained.space.describe()
        names = [name for name in SETTINGS if ours.get(name) != theirs.get(name)]
        settings = ", ".join(f"--{name.replace('_', '-')} {theirs.get(name) or 'none'}" for name in names)
        return f"the supernet was trained with {settings}: its scores are those of such networks, costs of the space's"

    @cached_property
    def task(self) -> Task:
        return task_of(self.trained.info) if self.needs_supernet else self.data.task

    @cached_property
    def resolution(self) -> int:
        """Height and width of the images; 0 where a space has none."""
        if self.options.resolution:
            return int(self.options.resolution)
        recorded = self.trained.info.get("resolution") if self.needs_supernet else None
        return int(recorded or (self.space.input_shape[1] if isinstance(self.space, NetworkSpace) else 0))

    @cached_property
    def data(self) -> Data:
        """The images, split as those of the supernet where there is one. Raises UserError where they are not."""
        if not self.needs_supernet:
            return load_data(self.options, self.options.resolution)
        data = load_data(self.options, self.resolution)
        check_same_data(data, self.trained.info, self.source)
        return data

    @cached_property
    def confirm_images(self) -> int:
        """Validation images that are held back: 0 in a stage that selects nothing, such as a ranking."""
        asked = getattr(self.options, "confirm_images", 0)
        return asked if asked == 0 else images_to_hold_back(asked, len(self.data.val))

    @cached_property
    def validation(self) -> tuple[Split, Split]:
        """(what the search may see, what confirms it) of the validation images. Raises UserError for too many."""
        return hold_back(self.data.val, self.confirm_images, self.seed)


def searched_space(options: Any, trained: TrainedSupernet, source: Path) -> SearchSpace:
    """The space of the supernet, or the one of other settings that flags ask for, where the decisions are the same.

    Raises UserError where they are not, or the flags ask for another space altogether.
    """
    recipe = trained.space.describe()
    asked: dict[str, Any] = {}
    for name in ("search_space", *SETTINGS):
        value, recorded = getattr(options, name), recipe.get(name)
        value = list(value) if isinstance(value, tuple) else value
        if isinstance(recorded, dict):  # the content of a file, which may have moved since
            recorded = recorded["name"] if value in SPACES else value
        if value is not None and value != recorded:
            asked[name] = value
    if not asked:
        return trained.space
    flags = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in asked.items())
    if "search_space" in asked:
        raise UserError(f"{flags}: the supernet in {source} was trained with {trained.space.name}")
    space = with_sites(space_of(trained.info, source, options.search_space, **asked))
    if space.decisions_fingerprint != trained.space.decisions_fingerprint:
        was = ", ".join(str(recipe.get(name) or "the space's own") for name in asked)
        raise UserError(
            f"{flags}: the supernet in {source} was trained with {was}, where there are other decisions: it says "
            "nothing of such networks"
        )
    return space


def check_same_data(data: Data, info: Mapping[str, Any], source: Path) -> None:
    """Raises UserError unless these are the images, split as they were when the supernet was trained.

    Otherwise the search would validate on images that the weights were fitted to.
    """
    check_form(info, {"classes": [str], "split": dict}, source)
    if data.task is not task_of(info):
        raise UserError(f"{data.name} is of {data.task.name}, the supernet in {source} of {task_of(info).name}")
    if len(data.classes) != len(info["classes"]):
        raise UserError(f"{data.name} has {len(data.classes)} classes, the supernet in {source} {len(info['classes'])}")
    if data.split_record.get("sha256") != info["split"].get("sha256"):
        raise UserError(
            f"{data.name} is split differently than when the supernet in {source} was trained, which would validate on "
            "training images: give the same --dataset, --data-path, --train-portion and --split-seed"
        )
