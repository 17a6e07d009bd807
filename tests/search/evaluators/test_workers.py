from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import pytest
import torch

from config_file.errors import UserError
from search.evaluators import workers as workers_module
from search.evaluators.evaluator import Shareable
from search.evaluators.supernet import SupernetEvaluator
from search.evaluators.workers import WorkerEvaluator, in_processes
from search.result import Fidelity, Result
from supernet import Architecture, Supernet, build_space
from tests.search.evaluators.test_prefix_evaluation import WIDTHS, population
from tests.search.evaluators.test_supernet import make, randomised
from tests.search.toy import toy_data
from tests.supernet.own_spaces import small_nasbench201


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def evaluator() -> SupernetEvaluator:
    space = build_space("proxylessnas", resolution=8, num_classes=4, widths=WIDTHS, depths=(1, 2, 1, 1, 1, 1))
    torch.manual_seed(0)
    return make(randomised(Supernet(space)), toy_data())


def timeless(results: Iterator[Result]) -> list[dict[str, Any]]:
    """Rows: NaN equals nothing."""
    return [replace(result, spent={}).to_row() for result in results]


def test_bit_identical_in_the_same_order_whatever_the_number(evaluator: SupernetEvaluator) -> None:
    architectures = population(evaluator.supernet.space, 17)
    random.Random(0).shuffle(architectures)
    expected = timeless(evaluator.evaluate(architectures))
    assert len({row["metrics"]["loss"] for row in expected}) > 10
    order = evaluator.order(architectures)
    assert [row["architecture"] for row in expected] == [list(architecture) for architecture in order]
    assert order != architectures
    workers = WorkerEvaluator(evaluator, 2, 1)
    assert timeless(workers.evaluate(architectures)) == expected
    first = [worker.process for worker in workers._workers]
    fewer = architectures[:3]
    assert timeless(workers.evaluate(fewer, Fidelity(images=20))) == timeless(
        evaluator.evaluate(fewer, Fidelity(images=20))
    )
    assert [worker.process for worker in workers._workers] == first  # they wait between populations
    workers.close()
    assert not any(process.is_alive() for process in first)


@pytest.mark.usefixtures("served_workers")
def test_not_a_chain() -> None:
    space = small_nasbench201(resolution=8, num_classes=4)
    evaluator = make(randomised(Supernet(space)), toy_data())
    architectures = [(3, 2, 1, 0, 3, 3), (3, 2, 1, 0, 3, 2), (1, 2, 3, 0, 3, 2)]
    workers = WorkerEvaluator(evaluator, 2, 1)
    assert timeless(workers.evaluate(architectures)) == timeless(evaluator.evaluate(architectures))
    workers.close()


@pytest.mark.usefixtures("served_workers")
def test_a_broken_off_evaluation_leaves_no_process(evaluator: SupernetEvaluator) -> None:
    workers = WorkerEvaluator(evaluator, 2, 1)
    results = workers.evaluate(population(evaluator.supernet.space, 17))
    next(results)
    processes = [worker.process for worker in workers._workers]
    results.close()  # type: ignore[attr-defined]
    assert len(processes) == 2
    # In the middle of their work; by themselves they would have ended well.
    assert [process.exitcode for process in processes if process is not None] == [-signal.SIGKILL] * 2


@pytest.mark.usefixtures("served_workers")
def test_a_killed_process_is_one_line(evaluator: SupernetEvaluator) -> None:
    workers = WorkerEvaluator(evaluator, 2, 1)
    results = workers.evaluate(population(evaluator.supernet.space, 17))
    next(results)
    pid = workers._workers[1].process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(UserError, match=r"killed by signal 9.*--resume"):
        list(results)
    assert workers._workers == []


@pytest.mark.usefixtures("served_workers")
def test_an_error_in_a_process_arrives(evaluator: SupernetEvaluator) -> None:
    workers = WorkerEvaluator(evaluator, 2, 1)
    with pytest.raises(RuntimeError, match=r"in a process of --workers:\s+Traceback"):
        list(workers.evaluate([(99,) * 8], 20))


def test_what_cannot_be_sent_is_one_line(evaluator: SupernetEvaluator) -> None:
    data = replace(evaluator.data, split_record={"made by": lambda: None})
    workers = in_processes(make(evaluator.supernet, data), 2, 0)
    with pytest.raises(UserError, match="cannot be sent to another process"):
        list(workers.evaluate(population(evaluator.supernet.space, 2)))


def test_one_process_is_this_one(evaluator: SupernetEvaluator) -> None:
    assert in_processes(evaluator, 1, 0) is evaluator


@dataclass(frozen=True)
class Mortal:
    """Gives 1 / (1 + architecture) and the process, which some architectures kill."""

    deadly: tuple[int, ...]
    place: int = 0
    longest_run: int = 2

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        for architecture in architectures:
            if architecture[0] in self.deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            yield Result(architecture, {"accuracy": 1 / (1 + architecture[0])}, spent={"place": self.place})

    def order(self, architectures: Sequence[Architecture]) -> list[Architecture]:
        return list(architectures)

    def factory(self, number: int, count: int, threads: int) -> Callable[[], Mortal]:
        return partial(Mortal, self.deadly, number)

    def lost(self, architecture: Architecture, fidelity: Fidelity | None, why: str, seconds: float) -> Result:
        return Result(architecture, {"accuracy": float("nan")}, spent={"seconds": seconds}, state="failed", note=why)


def test_what_kills_its_process_has_failed_and_another_process_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    forked = torch.multiprocessing.get_context("fork")  # starts at once
    monkeypatch.setattr(torch.multiprocessing, "get_context", lambda method: forked)
    architectures = [(number,) for number in range(6)]
    workers = WorkerEvaluator(cast(Shareable, Mortal((2,))), 1, 1)
    found = list(workers.evaluate(architectures))
    assert [result.architecture for result in found] == architectures
    assert [result.failed for result in found] == [False, False, True, False, False, False]
    assert found[2].note == "a process of --workers was killed by signal 9: was there memory enough?"
    assert 0 <= found[2].seconds < 60
    assert [r.value("accuracy") for r in found if not r.failed] == [1 / (1 + n) for n in (0, 1, 3, 4, 5)]
    assert {result.spent["place"] for result in found if not result.failed} == {0}  # the device of the dead one
    workers.close()
    # Where every trial ends so, the search does too, in one line.
    monkeypatch.setattr(workers_module, "DEATHS", 1)
    workers = WorkerEvaluator(cast(Shareable, Mortal((2, 3))), 1, 1)
    with pytest.raises(UserError, match=r"killed by signal 9: was there memory enough\?, as 2 in a row \(fewer"):
        list(workers.evaluate(architectures[2:]))
    assert workers._workers == []
