"""Evaluation in several processes: the same results in the same order as in one, sooner.

A population is put in the order in which one process would walk it and cut into runs of neighbours, which share most of
their prefixes. Each process evaluates one run after another, and results are handed out in the order of the whole:
neither how many processes there are nor which one was faster can be seen in the archive.
"""

import os
import signal
import threading
import traceback
import weakref
from collections import defaultdict
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
class _Worker:
    process: BaseProcess
    connection: Connection


class WorkerEvaluator:
    """Evaluates in processes of its own, which start with the first evaluation and wait between evaluations.

    They end with `close`, with this process however it ends, and with an evaluation that is broken off.
    """

    def __init__(self, evaluator: Shareable, count: int, threads: int) -> None:
        self._evaluator = evaluator
        self.cumulative = bool(getattr(evaluator, "cumulative", False))
        self.price = getattr(evaluator, "price", None)
        self._count = count
        self._threads = threads
        self._workers: list[_Worker] = []
        weakref.finalize(self, _end, self._workers)

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        """One result for each distinct architecture, in the order in which one process gives them.

        Raises:
            UserError: the supernet or its data cannot be sent to a process, or a process was killed.
            RuntimeError: an evaluation raised something else; with the traceback of its process.
        """
        return self._shared(architectures, fidelity, confirming=False)

    def confirm(self, architectures: Sequence[Architecture]) -> Iterator[Result]:
        """The same of what the evaluator confirms."""
        return self._shared(architectures, None, confirming=True)

    def _shared(
        self, architectures: Sequence[Architecture], fidelity: Fidelity | None, confirming: bool
    ) -> Iterator[Result]:
        order = self._evaluator.order(architectures)
        longest = getattr(self._evaluator, "longest_run", LONGEST_RUN)
        size = min(longest, max(1, -(-len(order) // (RUNS_EACH * self._count))))
        runs = [order[start : start + size] for start in range(0, len(order), size)]
        try:
            yield from self._results(runs, fidelity, confirming)
        except BaseException:
            self.close()  # some are busy with what nobody waits for any more
            raise

    def close(self) -> None:
        """End the processes at once."""
        _end(self._workers)

    def _results(
        self, runs: Sequence[Sequence[Architecture]], fidelity: Fidelity | None, confirming: bool
    ) -> Iterator[Result]:
        todo = iter(enumerate(runs))
        ready: defaultdict[int, list[Result]] = defaultdict(list)
        done: set[int] = set()
        busy: dict[Any, tuple[_Worker, int]] = {}

        def give(worker: _Worker) -> None:
            for number, run in todo:
                try:
                    worker.connection.send((run, fidelity, confirming))
                except OSError:
                    raise _dead(worker) from None
                busy[worker.connection] = worker, number
                return

        for worker in self._started(len(runs)):
            give(worker)
        for number in range(len(runs)):
            while True:
                yield from ready.pop(number, ())
                if number in done:
                    break
                for connection in wait(list(busy)):
                    worker, its = busy[connection]
                    try:
                        message = worker.connection.recv()
                    except (EOFError, OSError):
                        raise _dead(worker) from None
                    if isinstance(message, Result):
                        ready[its].append(message)
                    elif message is None:
                        done.add(its)
                        del busy[connection]
                        give(worker)
                    else:
                        raise message

    def _started(self, wanted: int) -> list[_Worker]:
        """As many processes as there is work for."""
        context = multiprocessing.get_context("spawn")
        with _without_interrupt():
            for number in range(len(self._workers), min(self._count, wanted)):
                ours, theirs = context.Pipe()
                process = context.Process(
                    target=_serve,
                    args=(theirs, self._evaluator.factory(number, self._count, self._threads)),
                    name=f"evaluation {number + 1}",
                )
                try:
                    process.start()
                except (AttributeError, TypeError, ValueError, RuntimeError) as error:  # what pickle raises
                    text = f"--workers: the supernet or its data cannot be sent to another process: {error}"
                    raise UserError(text) from None
                finally:
                    theirs.close()
                self._workers.append(_Worker(process, ours))
        return self._workers[:wanted]


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


def _dead(worker: _Worker) -> UserError:
    worker.process.join(5)
    code = worker.process.exitcode
    how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with status {code}"
    return UserError(
        f"a process of --workers {how}: was there memory enough? (fewer --workers, a smaller --eval-memory; "
        "finished evaluations are kept, --resume continues)"
    )


def _end(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.process.kill()  # it has nothing to put away
    for worker in workers:
        worker.connection.close()
        worker.process.join()
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
