"""A teacher for the paths of a supernet: beside the labels they learn the answers of a network that was trained before.

    L = plain_weight * loss + kd_alpha * divergence(path, teacher)

as once-for-all trains all phases but its first (Cai et al. 2020). Answers are not softened (temperature 1).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from config_file.errors import UserError
from config_file.options import part_of
from tasks import CLASSIFICATION
from training.divergences import Divergence, kullback_leibler, make_divergence
from training.trainer import Context, Pass, Trainer
from training.trainers.around import Around, AroundContext
from training.trainers.teacher import TeacherOptions, read_teacher

Answers = Callable[[Tensor], Tensor]
"""Images (B, C, H, W) -> the teacher's answers (B, O), without gradient."""


@dataclass(frozen=True)
class TaughtContext(AroundContext):
    """A context whose passes learn a teacher's answers beside what they learn anyway.

    Attributes:
        answers: of the teacher.
        divergence: of the answers of a path from those.
        plain, weight: of the loss, and of the divergence.
    """

    answers: Answers = Tensor.detach
    divergence: Divergence = kullback_leibler
    plain: float = 1.0
    weight: float = 1.0

    def task_pass(self, *choice: Any) -> Pass:
        """The pass of the context within, with what the teacher adds."""
        run = self.within.task_pass(*choice)

        def learn(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            loss, outputs = run(x, y)
            with self.autocast():
                taught = self.answers(x).float()
            return self.plain * loss + self.weight * self.divergence(outputs, taught), outputs

        return learn


def taught_by(context: Context, answers: Answers) -> TaughtContext:
    """The context with a teacher, weighed as the options say.

    Raises:
        UserError: the data set is for no classification.
    """
    settings = part_of(context.options, TeacherOptions)
    if context.data.task is not CLASSIFICATION:
        raise UserError(f"--teacher teaches the answers to a classification, and {context.data.name} is for none")
    return TaughtContext.of(
        context, answers=answers, divergence=make_divergence(settings), plain=settings.plain_weight,
        weight=settings.kd_alpha,
    )  # fmt: skip


class Taught(Around):
    """Whatever trains a supernet, with a teacher.

    Raises:
        UserError: the teacher is missing, or was trained on other classes.
    """

    def __init__(self, make: Callable[[Context], Trainer], context: Context) -> None:
        self.teacher = read_teacher(str(context.options.teacher), context.data, context.device)
        super().__init__(make(taught_by(context, lambda x: self.teacher(x)[0])))

    def state_dict(self) -> dict[str, Any]:
        return {"trainer": self.trainer.state_dict(), "teacher": self.teacher.sha256}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.teacher.check(state["teacher"])
        self.trainer.load_state_dict(state["trainer"])

    def fingerprint(self) -> str:
        return f"{self.teacher.sha256} {self.trainer.fingerprint()}".strip()

    def words(self) -> str:
        return f"{self.teacher.name} teaches"
