"""Courses: which rungs of a search one training passes, and where another one begins.

A rung goes on from the one below where network and trainer are the same and epochs are left to train: a course is a run
of such rungs, one training with one schedule, which is left at a rung and gone on with for the next. Where width or
trainer change, or no epoch is left, the next rung begins anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from config_file.errors import UserError
from search.result import Fidelity

EPOCHS, DATA, RESOLUTION, WIDTH = AMOUNTS = ("epochs", "data", "resolution", "width")
"""Amounts of a fidelity: epochs since the course began; share of the training images; height and width of the images;
factor of the widths of layers."""


@dataclass(frozen=True)
class Rung:
    """One of the fidelities of a search, and its place in a course.

    Attributes:
        fidelity: as results name it.
        course: number of the course.
        span: epochs over which the learning rate of the course is spread.
        begun: epochs of the course before this rung.
        trainer: name of what a step trains.
    """

    fidelity: Fidelity
    course: int
    span: int
    begun: int
    trainer: str

    @property
    def epochs(self) -> int:
        return int(self.fidelity[EPOCHS])

    @property
    def share(self) -> float:
        """Of the training images."""
        return self.fidelity.get(DATA, 1.0)

    @property
    def width(self) -> float:
        return self.fidelity.get(WIDTH, 1.0)

    def resolution(self, usual: int) -> int:
        return int(self.fidelity.get(RESOLUTION, usual))


def rungs_of(
    fidelities: Sequence[Fidelity], trainer: str, low_trainer: str | None = None, span: int | None = None
) -> tuple[Rung, ...]:
    """The rungs of a search.

    Args:
        fidelities: rising; each says `epochs`, and others of AMOUNTS.
        trainer: of the last one.
        low_trainer: of the others; none: the same.
        span: epochs over which the schedule of the last course is spread; none: up to its last rung.

    Raises:
        UserError: an amount that cannot be, or a schedule that is shorter than the last rung.
    """
    for fidelity in fidelities:
        _check(fidelity)
    trainers = [low_trainer or trainer] * (len(fidelities) - 1) + [trainer]
    steps = zip(pairwise(fidelities), pairwise(trainers), strict=True)
    starts = [True, *(not _goes_on(*two, *names) for two, names in steps)]
    courses = [sum(starts[: number + 1]) - 1 for number in range(len(starts))]
    last = {course: int(fidelity[EPOCHS]) for course, fidelity in zip(courses, fidelities, strict=True)}
    if span is not None and span < last[courses[-1]]:
        raise UserError(f"--epochs {span}: the last fidelity has {last[courses[-1]]} epochs; give it as many, or none")
    last[courses[-1]] = span or last[courses[-1]]
    return tuple(
        Rung(fidelity, course, last[course], 0 if start else int(fidelities[number - 1][EPOCHS]), name)
        for number, (fidelity, course, start, name) in enumerate(
            zip(fidelities, courses, starts, trainers, strict=True)
        )
    )


def _goes_on(lower: Fidelity, higher: Fidelity, trainer: str, next_trainer: str) -> bool:
    same = trainer == next_trainer and lower.get(WIDTH, 1.0) == higher.get(WIDTH, 1.0)
    return same and lower[EPOCHS] < higher[EPOCHS]


def _check(fidelity: Fidelity) -> None:
    """Raises UserError for an amount that no training has."""
    for name, least, most in ((EPOCHS, 1, 10**6), (RESOLUTION, 1, 16384)):
        amount = fidelity.get(name, least)
        if not (amount == int(amount) and least <= amount <= most):
            raise UserError(f"--fidelities: {name}={amount:g} must be a whole number from {least} to {most:,}")
    for name in (DATA, WIDTH):
        if not 0 < fidelity.get(name, 1.0) <= 1:
            raise UserError(f"--fidelities: {name}={fidelity[name]:g} must be above 0 and at most 1")
