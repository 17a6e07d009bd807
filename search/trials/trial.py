"""One trial: a network trained along a course of rungs, as far as it is asked for, and judged at each.

What it comes to at a rung is a function of the architecture and the rung: whether the rungs below were asked for one by
one, or passed on the way, or the training was interrupted, cannot be seen in it. What it took is charged once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from config_file.errors import UserError
from search.archive import Archive, read_archive
from search.result import Fidelity, Result, comparable
from search.trials.files import TrialFiles
from search.trials.kept import keep_weights
from search.trials.segment import Segment
from search.trials.setting import Setting
from supernet import Architecture, Network
from training.evaluate import Score

HELD_BACK = "held_back"
"""Name of the amount in the fidelity of a judgement by the validation images that nothing is selected by."""


class Trial:
    """A network of a search, trained for real.

    Raises UserError where its files are of other trials, or damaged.
    """

    def __init__(self, setting: Setting, architecture: Architecture) -> None:
        self.setting, self.architecture = setting, architecture
        self.files = TrialFiles(setting.folder, architecture, setting.fingerprints)

    def result(self, number: int) -> Result:
        """The result at a rung by its number: known already, or after the training up to there.

        What fails is a result. Raises OSError where files cannot be written.
        """
        found, rung = self.files.results(), self.setting.rungs[number]
        known = found.find(self.architecture, rung.fidelity)
        if known is not None:
            return known
        course = self._course(number)
        for one in course:
            lower = found.find(self.architecture, self.setting.rungs[one].fidelity)
            if lower is not None and lower.failed:
                return self._failed(found, number, {}, lower.note)
        saved = self._saved(course)
        lost = self._judged(found, course) if saved is None else saved["lost"]
        charged = self._charged([one for one in course if one > lost])
        for one in course if saved is None else range(self._next(found, saved), number + 1):
            segment = Segment(self.setting, self.architecture, self.files, one, lost)
            try:
                segment.prepare(saved)
                segment.train()
                scores = segment.judge()
            except OSError:
                raise
            except Exception as error:
                if isinstance(error, torch.OutOfMemoryError):
                    torch.cuda.empty_cache()
                return self._failed(found, number, _less(segment.spent, charged), _line(error))
            saved = self.files.checkpoint().read()
            if one < number and found.find(self.architecture, self.setting.rungs[one].fidelity) is None:
                self._record(found, one, scores, {}, segment.stopped)  # on the way: the rung asked for is charged
        spent = _less(segment.spent, charged)
        if number == len(self.setting.rungs) - 1:
            self._keep(segment.state.trained, self._result(number, scores[0], spent, segment.stopped))
        return self._record(found, number, scores, spent, segment.stopped)

    def lost(self, number: int, why: str, seconds: float) -> Result:
        """The result at a rung after the death of the process that was on the way there: it failed, unless it is known.

        Its epochs died with it: it is charged the seconds.
        """
        found = self.files.results()
        known = found.find(self.architecture, self.setting.rungs[number].fidelity)
        return self._failed(found, number, {"seconds": seconds}, why) if known is None else known

    def price(self, number: int) -> float:
        """Epochs up to a rung at most, with those that all rungs below it were charged."""
        course = self._course(number)
        before = self._charged(range(number))["epochs"]
        if self.files.spent({self.setting.rungs[number].fidelity}):
            return before + self._charged([number])["epochs"]
        done = self._charged(course)["epochs"] if self._saved(course) is not None else 0.0
        rungs = [self.setting.rungs[one] for one in course]
        return before - done + sum((rung.epochs - rung.begun) * rung.share for rung in rungs)

    def confirmation(self) -> Result:
        """The judgement by the images held back at the greatest fidelity there is; it is trained where there is none.

        A budget may have ended before the last one, and nothing is trained beyond it.
        """
        reached = self.reached()
        result = self.result(len(self.setting.rungs) - 1) if reached is None else reached
        confirmed = self.files.results().find(self.architecture, _held_back(result.fidelity))
        if confirmed is None:
            return replace(result, spent={}, interval=None, metrics=dict.fromkeys(result.metrics, math.nan))
        return replace(confirmed, fidelity=result.fidelity)

    def reached(self) -> Result | None:
        """The result of the greatest fidelity that it has come to."""
        found = self.files.results()
        results = [found.find(self.architecture, rung.fidelity) for rung in self.setting.rungs]
        return next((result for result in reversed(results) if result is not None and not result.failed), None)

    def keep_reached(self) -> None:
        """Keep the weights at the fidelity that it has come to, whose checkpoint is there."""
        result, checkpoint = self.reached(), self.files.checkpoint()
        if result is None or not checkpoint.path.is_file():
            return
        saved = checkpoint.read()
        if self.setting.rungs[saved["rung"]].fidelity == result.fidelity:
            segment = Segment(self.setting, self.architecture, self.files, saved["rung"], saved["lost"])
            segment.prepare(saved)
            self._keep(segment.state.trained, result)

    def _course(self, number: int) -> list[int]:
        """The numbers of the rungs on the way to one, itself the last."""
        rungs = self.setting.rungs
        return [one for one in range(number + 1) if rungs[one].course == rungs[number].course]

    def _saved(self, course: Sequence[int]) -> dict[str, Any] | None:
        """The state to go on from; None where the course is to be begun."""
        checkpoint = self.files.checkpoint()
        if not checkpoint.path.is_file():
            return None
        saved = checkpoint.read()
        return saved if course[0] <= saved["rung"] <= course[-1] else None

    def _next(self, found: Archive, saved: Mapping[str, Any]) -> int:
        """The rung to go on to from a state: the one it is on the way to, or the next where that was judged."""
        here: int = saved["rung"]
        return here + (found.find(self.architecture, self.setting.rungs[here].fidelity) is not None)

    def _judged(self, found: Archive, course: Sequence[int]) -> int:
        """The number of the highest rung of a course that has a result; -1 for none."""
        rungs = self.setting.rungs
        return max((n for n in course if found.find(self.architecture, rungs[n].fidelity) is not None), default=-1)

    def _charged(self, course: Iterable[int]) -> Counter[str]:
        """The sum of what was charged at rungs."""
        return self.files.spent({self.setting.rungs[number].fidelity for number in course})

    def _record(
        self, found: Archive, number: int, scores: tuple[Score, Score | None], spent: Mapping[str, float], stopped: bool
    ) -> Result:
        result = self._result(number, scores[0], spent, stopped)
        if scores[1] is not None:
            confirmed = self._result(number, scores[1], {}, stopped)
            found.add(replace(confirmed, fidelity=_held_back(result.fidelity)))
        found.add(result)  # last: it says that the other one is there
        return result

    def _keep(self, network: nn.Module, result: Result) -> None:
        setting, data = self.setting, self.setting.images[-1].data
        if setting.keep and not result.failed and isinstance(network, Network):
            about = setting.about | {"names": setting.space.names(self.architecture), **data.description}
            keep_weights(self.files, network, about, result, setting.keep, data.task)

    def _result(self, number: int, judged: Score, spent: Mapping[str, float], stopped: bool) -> Result:
        rung, task = self.setting.rungs[number], self.setting.images[number].data.task
        finite = math.isfinite(judged.loss)
        return Result(
            self.architecture,
            {task.metric: judged.value if finite else math.nan, "loss": judged.loss},
            rung.fidelity,
            spent,
            interval=task.interval(judged.value, judged.deviation, judged.images) if finite else None,
            state="stopped" if stopped else "ok",
            note="" if finite else "the loss on the validation images is no number",
        )

    def _failed(self, found: Archive, number: int, spent: Mapping[str, float], note: str) -> Result:
        task = self.setting.images[number].data.task
        missing = {task.metric: math.nan, "loss": math.nan}
        result = Result(
            self.architecture, missing, self.setting.rungs[number].fidelity, spent, state="failed", note=note
        )
        found.add(result)
        self.files.checkpoint_file.unlink(missing_ok=True)
        return result


def furthest(setting: Setting) -> list[Trial]:
    """The trials that have come to the greatest fidelity of all."""
    found = [read_archive(path)[1] for path in sorted(setting.folder.glob("*[0-9a-f].jsonl"))]
    known = {rung.fidelity for rung in setting.rungs}
    results = comparable(result for results in found for result in results if result.fidelity in known)
    return [Trial(setting, result.architecture) for result in results if not result.failed]


def _held_back(fidelity: Fidelity) -> Fidelity:
    return Fidelity(**fidelity, **{HELD_BACK: 1})


def _less(spent: Mapping[str, float], charged: Mapping[str, float]) -> dict[str, float]:
    return {what: max(0.0, amount - charged.get(what, 0.0)) for what, amount in spent.items()}


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}{f': {text}' if text else ''}"[:500]
