"""Behaviour that every trainer must show, as tests to inherit:

    class TestSandwich(TrainerSuite):
        def make(self, context):
            return Sandwich(context)

They run under pytest on a supernet that trains in a second; with `network = True` on one of its networks.
"""

import io
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from supernet import Network, Supernet, build_space
from training.data import load_data
from training.initialise import initialise
from training.loop import train_step
from training.options import RetrainOptions, TrainSupernetOptions
from training.recipe import Recipe
from training.state import TrainingState, make_context, make_state
from training.trainer import Context, Trainer, TrainingStep

TINY: dict[str, Any] = {
    "title": "suite", "search_space": "nasbench_macro", "widths": (4, 4, 6, 8, 16), "dataset": "digits",
    "resolution": 8, "train_portion": 0.1, "batch_size": 16, "epochs": 2, "threads": 1, "tensorboard": False,
}  # fmt: skip
STEPS, BROKEN_AFTER = 5, 2


class TrainerSuite:
    """Attributes: `changes`, options other than those of `TINY`; `network`, whether one network is trained."""

    changes: ClassVar[Mapping[str, Any]] = {}
    network: ClassVar[bool] = False

    def make(self, context: Context) -> Trainer:
        """The trainer to test."""
        raise NotImplementedError

    # ---- passes

    def test_a_pass_gives_a_scalar_loss_with_a_gradient_and_outputs(self) -> None:
        trainer, x, y = self._start()
        passes = trainer.step(0).passes
        assert len(passes) == trainer.passes_per_step
        for run in passes:
            loss, outputs = run(x, y)
            assert loss.shape == ()
            assert loss.requires_grad
            assert outputs.shape == (len(x), len(trainer.context.data.classes))
            assert torch.isfinite(outputs).all()
            loss.backward()

    def test_gradients_reach_the_parameters_of_the_step_and_no_others(self) -> None:
        trainer, x, y = self._start()
        step = trainer.step(0)
        everything = [*trainer.context.model.parameters(), *trainer.parameters()]
        named = {id(p) for p in step.parameters}
        assert len(named) == len(step.parameters)
        assert named <= {id(p) for p in everything}
        for run in step.passes:
            run(x, y)[0].backward()
        assert {id(p) for p in everything if p.grad is not None} <= named
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in step.parameters)

    # ---- steps

    def test_a_step_moves_its_parameters_only_and_drops_every_gradient(self) -> None:
        recipe, state = self._training()
        everything = [*state.model.parameters(), *recipe.trainer.parameters()]
        taken: list[TrainingStep] = []
        plan = recipe.trainer.step

        def noted(number: int) -> TrainingStep:
            taken.append(plan(number))
            return taken[-1]

        setattr(recipe.trainer, "step", noted)  # noqa: B010 - of this object only
        for x, y in self._batches(recipe, 2):
            before = [p.detach().clone() for p in everything]
            train_step(recipe, state, x, y)
            moved = {id(p) for p, q in zip(everything, before, strict=True) if not torch.equal(p, q)}
            assert moved
            assert moved <= {id(p) for p in taken[-1].parameters}
            assert all(p.grad is None for p in everything)

    def test_the_same_seed_gives_the_same_training(self) -> None:
        first, second = self._trained(STEPS), self._trained(STEPS)
        assert equal(first.state_dict(), second.state_dict())

    def test_a_resumed_training_is_the_same_bit_for_bit(self) -> None:
        straight = self._trained(STEPS)
        saved = io.BytesIO()
        torch.save(self._trained(BROKEN_AFTER).state_dict(), saved)
        saved.seek(0)
        torch.rand(3)  # where global generators happen to be must not matter
        recipe, state = self._training()
        state.load_state_dict(torch.load(saved, weights_only=True))
        for x, y in self._batches(recipe, STEPS)[BROKEN_AFTER:]:
            train_step(recipe, state, x, y)
        assert equal(state.state_dict(), straight.state_dict())

    # ---- validation

    def test_validation_looks_at_as_many_paths_as_asked_for_the_same_every_time(self) -> None:
        if self.network:
            return
        trainer, *_ = self._start()
        paths = trainer.paths_to_validate(3, 10)
        assert len(paths) == 3
        assert all(trainer.context.space.is_valid(path) for path in paths)
        assert trainer.paths_to_validate(3, 10) == paths

    # ---- fixtures

    def context(self) -> Context:
        """A context of the tiny training."""
        options = (RetrainOptions if self.network else TrainSupernetOptions)(**(TINY | dict(self.changes)))
        data = load_data(options, options.resolution)
        space = build_space(
            options.search_space, resolution=data.resolution, num_classes=len(data.classes), widths=options.widths
        )
        path = tuple(size - 1 for size in space.sizes)
        model = Network(space.decode(path)) if self.network else Supernet(space)
        initialise(model, options.random_seed)
        return make_context(options, data, data.train, model, torch.device("cpu"))

    def _start(self) -> tuple[Trainer, Tensor, Tensor]:
        recipe, _ = self._training()
        return recipe.trainer, *self._batches(recipe, 1)[0]

    def _training(self) -> tuple[Recipe, TrainingState]:
        trainer = self.make(self.context())
        return Recipe(trainer), make_state(trainer)

    def _batches(self, recipe: Recipe, count: int) -> list[tuple[Tensor, Tensor]]:
        return [batch for batch, _ in zip(recipe.batches(0), range(count), strict=False)]

    def _trained(self, steps: int) -> TrainingState:
        recipe, state = self._training()
        for x, y in self._batches(recipe, steps):
            train_step(recipe, state, x, y)
        return state


def equal(first: Any, second: Any) -> bool:
    """True if two nested states are equal bit for bit; seconds may differ."""
    if isinstance(first, Tensor):
        return isinstance(second, Tensor) and torch.equal(first, second)
    if isinstance(first, Mapping):
        keys = first.keys() - {"seconds"}
        return keys == second.keys() - {"seconds"} and all(equal(first[key], second[key]) for key in keys)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(equal, first, second))
    return bool(first == second)
