"""A trainer around another one, and the context that it hands to it: what neither changes is the other's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from torch import Tensor, nn
from torch.nn import Parameter

from supernet import Architecture, SearchSpace
from supernet.supernet import Gates
from training.trainer import Context, Pass, Trainer, TrainingStep


@dataclass(frozen=True)
class AroundContext(Context):
    """A context that is another one wherever it says nothing else.

    Attributes:
        inner: the other one.
    """

    inner: Context | None = None

    @classmethod
    def of(cls, inner: Context, **own: Any) -> Self:
        """One around another, with fields of its own."""
        return cls(**{one.name: getattr(inner, one.name) for one in fields(Context)} | {"inner": inner} | own)

    @property
    def within(self) -> Context:
        """The other one."""
        assert self.inner is not None
        return self.inner

    @property
    def space(self) -> SearchSpace:
        return self.within.space

    @property
    def modules(self) -> list[nn.Module]:
        return self.within.modules

    def whole(self, path: Architecture) -> Architecture:
        return self.within.whole(path)

    def forward(self, x: Tensor, *choice: Any) -> Tensor:
        return self.within.forward(x, *choice)

    def task_pass(self, *choice: Any) -> Pass:
        return self.within.task_pass(*choice)

    def parameters_of(self, paths: Sequence[Architecture | Gates]) -> list[Parameter]:
        return self.within.parameters_of(paths)


class Around(Trainer):
    """Another trainer, whose passes may be changed.

    Args:
        trainer: the other one, in the context that its passes read.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        super().__init__(trainer.context)
        for name in ("keeps_limits", "passes_per_step", "validated"):
            setattr(self, name, getattr(trainer, name))
        kept = ("before", "schedule", "passes", "paths_to_validate", "fingerprint", "record", "epoch_ended", "finish")
        for name in (*kept, "ended"):
            if getattr(type(self), name) is getattr(Trainer, name):
                setattr(self, name, getattr(trainer, name))

    def changed(self, run: Pass, number: int) -> Pass:
        """A pass of step `number`, as it is run in the place of the other trainer's."""
        del number
        return run

    def step(self, number: int) -> TrainingStep:
        planned = self.trainer.step(number)
        return TrainingStep([self.changed(run, number) for run in planned.passes], planned.parameters)

    def modules(self) -> list[nn.Module]:
        return [*super().modules(), *self.trainer.modules()]

    def parameters(self) -> list[nn.Parameter]:
        return self.trainer.parameters()

    def state_dict(self) -> dict[str, Any]:
        return self.trainer.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.trainer.load_state_dict(state)

    def words(self) -> str:
        """Words about it beside the other trainer's line."""
        return ""

    def describe(self) -> str:
        return "; ".join(filter(None, (self.trainer.describe(), self.words())))


class Beside(Around):
    """Another trainer with a net beside the model, trained with it and thrown away.

    Args:
        auxiliary: the net, which the passes of the step reach.
    """

    def __init__(self, trainer: Trainer, auxiliary: nn.Module) -> None:
        super().__init__(trainer)
        self.auxiliary = auxiliary

    def step(self, number: int) -> TrainingStep:
        planned = super().step(number)
        return TrainingStep(planned.passes, [*planned.parameters, *self.auxiliary.parameters()])

    def parameters(self) -> list[nn.Parameter]:
        return [*self.trainer.parameters(), *self.auxiliary.parameters()]

    def state_dict(self) -> dict[str, Any]:
        return {"trainer": self.trainer.state_dict(), "auxiliary": self.auxiliary.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.trainer.load_state_dict(state["trainer"])
        self.auxiliary.load_state_dict(state["auxiliary"])


Wrapper = Callable[[Callable[[Context], Trainer], Context], Trainer]
"""(the factory of the other trainer, context) -> the trainer around it."""
