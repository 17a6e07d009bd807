"""Everything that all trials of a search have in common, and how a training of theirs is put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from search.trials.course import Rung
from search.trials.width import narrower
from supernet import Architecture, Network
from supernet.decisions import DecisionSpace
from training.data import Data, Split
from training.initialise import initialise
from training.options import RetrainOptions
from training.recipe import Recipe
from training.state import TrainingState, make_context, make_state
from training.trainers import find_network_trainer

NOT_IN_BETWEEN = 10**6
"""Epochs between two validations where only rungs are validated."""


@dataclass(frozen=True)
class Images:
    """The images at a rung: those that are trained on, those that validate, and those held back for a confirmation."""

    data: Data
    train: Split
    seen: Split
    held_back: Split

    def steps(self, batch_size: int) -> int:
        """Optimizer steps of an epoch."""
        return max(1, len(self.train) // batch_size)

    def in_epoch(self, batch_size: int) -> int:
        """Images of an epoch."""
        return self.steps(batch_size) * min(batch_size, len(self.train))


@dataclass(frozen=True)
class Setting:
    """Everything that all trials of a search have in common.

    Attributes:
        space: with `decode` to a NetSpec, or `build` to a module.
        options: the recipe.
        images: of every rung.
        folder: of the files of all trials.
        early_stop: epochs without a better validation after which a trial ends; 0: never.
        validates: whether it is also validated between rungs.
        keep: trials whose weights are kept.
        fingerprints: what results depend on.
    """

    space: DecisionSpace
    options: RetrainOptions
    rungs: Sequence[Rung]
    images: Sequence[Images]
    folder: Path
    device: torch.device
    early_stop: int = 0
    validates: bool = False
    keep: int = 1
    fingerprints: Mapping[str, Any] = field(default_factory=dict)

    def options_at(self, rung: Rung) -> RetrainOptions:
        """The recipe of a rung's course. Raises UserError where it contradicts the number of its epochs."""
        every = self.options.validate_every if self.validates or self.early_stop else NOT_IN_BETWEEN
        return replace(self.options, trainer=rung.trainer, epochs=rung.span, validate_every=every)

    def network(self, architecture: Architecture, rung: Rung) -> nn.Module:
        """The network of a rung with its first weights, those that the seed gives it."""
        build, seed = getattr(self.space, "build", None), self.options.random_seed
        if build is not None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                module: nn.Module = build(architecture)
            return module
        network = Network(narrower(self.space, architecture, rung.width), self.images[0].data.in_channels)
        initialise(network, seed)
        return network

    def assembled(self, number: int, network: nn.Module) -> tuple[Recipe, TrainingState]:
        """The training of a network up to a rung, at its beginning.

        Raises UserError where an option names something that there is not.
        """
        rung, images = self.rungs[number], self.images[number]
        options = self.options_at(rung)
        make_trainer = find_network_trainer(options)
        context = make_context(options, images.data, images.train, network, self.device)
        recipe = Recipe(make_trainer(context), until=rung.epochs)
        return recipe, make_state(recipe.trainer, options.ema_decay)

    @property
    def about(self) -> dict[str, Any]:
        """The space, as the metadata of a network's file say it."""
        describe = getattr(self.space, "describe", dict)
        return {"search_space": self.space.name, "space_options": describe()}
