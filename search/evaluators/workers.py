"""Evaluation in several processes: the same results in the same order as in one, sooner.

A population is put in the order in which one process would walk it and cut into runs of neighbours, which share most of
their prefixes. Each process evaluates one run after another, and results are handed out in the order of the whole:
neither how many processes there are nor which one was faster can be seen in the archive.
"""

import os
import signal
import threading
import time
import traceback
import weakref
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess, parent_process
from typing import Any, cast

from torch import multiprocessing

from config_file.errors import UserError
from search.evaluators.evaluator import Evaluator, Judge, Shareable
from search.result import Fidelity, Result
from supernet import Architecture

RUNS_EACH = 4  # so that all end at about the same time
LONGEST_RUN = 32  # what one process may be ahead of another is lost when all are killed
DEATHS = 4  # of processes with no result in between, after which the next one ends the search


def in_processes(evaluator: Evaluator, count: int, threads: int) -> Judge:
    """The evaluator itself for one process, else one that shares the work; `threads`: CPU threads of each, 0 for one.

    Raises UserError for several processes and an evaluator whose work cannot be shared.
    """
    if count <= 1:
        return evaluator
    if not callable(getattr(evaluator, "factory", None)):
        raise UserError(f"--workers {count}: this evaluator ({evaluator.method}) works in one process only")
    return WorkerEvaluator(cast(Shareable, evaluator), count, max(1, threads))


@dataclass(frozen=True)
class Worker:
    """One that evaluates: its number, its process (None: it is not ours to end), and the way to it."""

    number: int
    process: BaseProcess | None
    connection: Any


class WorkerEvaluator:
    """Evaluates in processes of its own, which start with the first evaluation and wait between evaluations.

    They end with `close`, with this process however it ends, and with an evaluation that is broken off. One that the
    system kills ends the search, unless the evaluator has a method `lost(architecture, fidelity, why, seconds)`, which
    gives the result of what was evaluated there: then another process takes its place.
    """

    def __init__(self, evaluator: Shareable, count: int, threads: int) -> None:
        self.evaluator = evaluator
        self.cumulative = bool(getattr(evaluator, "cumulative", False))
        self.price = getattr(evaluator, "price", None)
        self._count = count
        self._threads = threads
        self._workers: list[Worker] = []
        self.deaths = 0
        weakref.finalize(self, _end, self._workers)

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        """One result for each distinct architecture, in the order in which one process gives them.

        Raises:
            UserError: the supernet or its data cannot be sent to a process, or a process was killed and the evaluator
                has no result for that, or too many were.
            RuntimeError: an evaluation raised something else; with the traceback of its process.
        """
        return self._shared(architectures, fidelity, confirming=False)

    def confirm(self, architectures: Sequence[Architecture]) -> Iterator[Result]:
        """The same of what the evaluator confirms."""
        return self._shared(architectures, None, confirming=True)

    def _shared(
        self, architectures: Sequence[Architecture], fidelity: Fidelity | None, confirming: bool
    ) -> Iterator[Result]:
        order = self.evaluator.order(architectures)
        longest = getattr(self.evaluator, "longest_run", LONGEST_RUN)
        size = min(longest, max(1, -(-len(order) // (RUNS_EACH * self._count))))
        runs = [order[start : start + size] for start in range(0, len(order), size)]
        try:
            yield from _Sharing(self, runs, fidelity, confirming).results()
        except BaseException:
            self.close()  # some are busy with what nobody waits for any more
            raise

    def close(self) -> None:
        """End the processes at once."""
        _end(self._workers)

    def started(self, wanted: int) -> list[Worker]:
        """As many processes as there is work for."""
        for number in range(len(self._workers), min(self._count, wanted)):
            self._workers.append(self._start(number))
        return self._workers[:wanted]

    def _start(self, number: int) -> Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_serve,
            args=(theirs, self.evaluator.factory(number, self._count, self._threads)),
            name=f"evaluation {number + 1}",
        )
        with _without_interrupt():
            try:
                process.start()
            except (AttributeError, TypeError, ValueError, RuntimeError) as error:  # what pickle raises
                text = f"--workers: the supernet or its data cannot be sent to another process: {error}"
                raise UserError(text) from None
            finally:
                theirs.close()
        return Worker(number, process, ours)

    def another(self, dead: Worker) -> Worker:
        """A new process in the place of one that the system has killed.

        Raises UserError where that ends the search: no evaluation is to blame, or too many died in a row.
        """
        assert dead.process is not None
        dead.process.join(5)
        self.deaths += 1
        by_signal = (dead.process.exitcode or 0) < 0
        if not hasattr(self.evaluator, "lost") or not by_signal or self.deaths > DEATHS:
            raise self.death(dead, self.deaths)
        dead.connection.close()
        worker = self._workers[dead.number] = self._start(dead.number)
        return worker

    def death(self, dead: Worker, deaths: int = 1) -> UserError:
        """The line that a death ends a search with."""
        so_many = f", as {deaths} in a row" if deaths > 1 else ""
        return UserError(
            f"{_end_of(dead)}{so_many} (fewer --workers, a smaller --eval-memory; finished evaluations are kept, "
            "--resume continues)"
        )


class _Sharing:
    """The runs of one evaluation, shared out among processes."""

    def __init__(
        self,
        workers: WorkerEvaluator,
        runs: Sequence[Sequence[Architecture]],
        fidelity: Fidelity | None,
        confirming: bool,
    ) -> None:
        self._workers, self._fidelity, self._confirming = workers, fidelity, confirming
        self._todo = deque(enumerate(runs))
        self._left = [list(run) for run in runs]  # what there is no result of
        self._since = [0.0] * len(runs)
        self._ready: defaultdict[int, list[Result]] = defaultdict(list)
        self._busy: dict[Any, tuple[Worker, int]] = {}
        self._done: set[int] = set()

    def results(self) -> Iterator[Result]:
        """All results, in the order of the runs."""
        for worker in self._workers.started(len(self._left)):
            self._give(worker)
        for number in range(len(self._left)):
            yield from self._ready.pop(number, ())
            while number not in self._done:
                for connection in wait([*self._busy]):
                    self._hear(connection)
                yield from self._ready.pop(number, ())

    def _give(self, worker: Worker) -> None:
        """Give it the next run, if there is one."""
        while self._todo:
            number, run = self._todo[0]
            try:
                worker.connection.send((run, self._fidelity, self._confirming))
            except OSError:
                worker = self._workers.another(worker)
                continue
            self._todo.popleft()
            self._since[number] = time.monotonic()
            self._busy[worker.connection] = worker, number
            return

    def _hear(self, connection: Any) -> None:
        """Take what a process says, or notice that it has died. Raises what it raised."""
        worker, number = self._busy[connection]
        try:
            message = connection.recv()
        except (EOFError, OSError):
            del self._busy[connection]
            self._bury(worker, number)
            return
        if isinstance(message, Result):
            self._ready[number].append(message)
            self._left[number] = [one for one in self._left[number] if one != message.architecture]
            self._since[number] = time.monotonic()
            self._workers.deaths = 0
        elif message is None:
            self._done.add(number)
            del self._busy[connection]
            self._give(worker)
        else:
            raise message

    def _bury(self, dead: Worker, number: int) -> None:
        """Put another process in the place of a dead one: what that was at has failed, the rest is to be done."""
        if self._confirming:
            raise self._workers.death(dead)
        another = self._workers.another(dead)
        left = self._left[number]
        if left:
            lost = cast(Any, self._workers.evaluator).lost
            seconds = time.monotonic() - self._since[number]
            self._ready[number].append(lost(left.pop(0), self._fidelity, _end_of(dead), seconds))
        if left:
            self._todo.appendleft((number, [*left]))
        else:
            self._done.add(number)
        self._give(another)


def _serve(connection: Connection, factory: Callable[[], Judge]) -> None:
    """A process: (architectures, fidelity, confirming) in; Results out, then None, or an exception that ended them."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    evaluator = factory()
    try:
        while True:
            architectures, fidelity, confirming = connection.recv()
            try:
                for result in (
                    evaluator.confirm(architectures) if confirming else evaluator.evaluate(architectures, fidelity)
                ):
                    connection.send(result)
            except UserError as error:
                connection.send(error)
            except Exception:
                connection.send(RuntimeError(f"in a process of --workers:\n{traceback.format_exc()}"))
            else:
                connection.send(None)
    except (EOFError, OSError):
        return  # the other end is gone, and with it all reason to work


def _end_with_parent() -> None:
    """End this process with the one that started it: killed in the middle of work, that could not say so."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _end_of(worker: Worker) -> str:
    """The end of a process in words."""
    assert worker.process is not None
    worker.process.join(5)
    code = worker.process.exitcode
    how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with status {code}"
    return f"a process of --workers {how}: was there memory enough?"


def _end(workers: list[Worker]) -> None:
    processes = [(worker, worker.process) for worker in workers if worker.process is not None]
    for _, process in processes:
        process.kill()  # it has nothing to put away
    for worker, process in processes:
        worker.connection.close()
        process.join()
    workers.clear()


@contextmanager
def _without_interrupt() -> Iterator[None]:
    """A context in which processes are started that see neither Ctrl-C nor SIGTERM: this one does, and ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
