"""A crew: torchrun's ranks, which evaluate what the first one's search asks for.

The first rank drives the search and evaluates as the others do, in a thread of its own. Populations are cut and put
together as among the processes of --workers (`search.evaluators.workers`): neither the number of ranks nor which one
was faster can be seen in the archive. What they tell each other is JSON, over connections that know each other by a
key.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Client, Listener
from typing import Any, cast

import torch

from config_file import ranks
from config_file.errors import LostRankError, UserError
from search.evaluators.evaluator import Evaluator, Judge, Shareable
from search.evaluators.workers import Worker, WorkerEvaluator, in_processes
from search.result import Fidelity, Result
from supernet import Architecture

MAIN, FIRST = "main", "first"
"""Names of the evaluators of a search: that of its proposals, and that of its first stage."""


class Crew:
    """The ranks as the first one sees them.

    Args:
        evaluators: this rank's own, by name; the others have the same.
    """

    def __init__(self, evaluators: Mapping[str, Judge]) -> None:
        self._evaluators = evaluators
        key = secrets.token_bytes(32)
        host = os.environ["MASTER_ADDR"]  # where this rank is, as the others reach it
        local = host in ("localhost", "127.0.0.1")
        with Listener((host if local else "", 0), backlog=ranks.count(), authkey=key) as listener:
            ranks.share({"address": [host, listener.address[1]], "key": key.hex()})
            met = [listener.accept() for _ in range(1, ranks.count())]
        by_rank = {json.loads(connection.recv_bytes()): connection for connection in met}
        ours, theirs = Pipe()
        self._connections = [ours, *(by_rank[rank] for rank in sorted(by_rank))]
        threads = torch.get_num_threads()  # a number that each thread has for itself
        threading.Thread(target=self._serve, args=(theirs, threads), daemon=True, name="evaluation").start()

    def judge(self, name: str) -> Judge:
        """One of the evaluators, whose work all ranks share where it can be shared."""
        evaluator = self._evaluators[name]
        if not callable(getattr(evaluator, "factory", None)):
            return evaluator
        return CrewEvaluator(cast(Shareable, evaluator), [Words(one, name) for one in self._connections])

    def close(self) -> None:
        """Let the others go."""
        for connection in self._connections:
            connection.close()

    def _serve(self, connection: Any, threads: int) -> None:
        torch.set_num_threads(threads)
        serve(connection, self._evaluators)


@contextmanager
def hired(evaluators: Mapping[str, Judge]) -> Iterator[Crew | None]:
    """The crew of the first rank, None where it is alone. Other ranks work in here until they are let go."""
    if ranks.count() == 1:
        yield None
    elif ranks.number() == 0:
        crew = Crew(evaluators)
        try:
            yield crew
        finally:
            crew.close()
    else:
        place = ranks.share(None)
        host, port = place["address"]
        connection = Client((host, port), authkey=bytes.fromhex(place["key"]))
        connection.send_bytes(json.dumps(ranks.number()).encode())
        serve(connection, evaluators)
        yield None


def judge_of(crew: Crew | None, name: str, evaluator: Evaluator, options: Any, *, workers: int | None = None) -> Judge:
    """The evaluator, as the ranks or the processes of --workers share its work.

    Args:
        workers: processes; None: those of the options.

    Raises UserError for both, or an evaluator whose work no processes can share.
    """
    workers = options.workers if workers is None else workers
    if crew is None:
        return in_processes(evaluator, workers, options.threads)
    if workers > 1:
        raise UserError(f"--workers {workers} under torchrun, whose {ranks.count()} ranks share the work: one of both")
    return crew.judge(name)


def serve(connection: Any, evaluators: Mapping[str, Judge]) -> None:
    """Evaluate what comes over a connection, until its other end is closed."""
    with suppress(EOFError, OSError):
        while True:
            asked = json.loads(connection.recv_bytes())
            judge, run = evaluators[asked["evaluator"]], [tuple(architecture) for architecture in asked["run"]]
            fidelity = None if asked["fidelity"] is None else Fidelity(**asked["fidelity"])
            try:
                for result in judge.confirm(run) if asked["confirming"] else judge.evaluate(run, fidelity):
                    _say(connection, result=result.to_row())
            except UserError as error:
                _say(connection, mistake=str(error))
            except Exception:
                _say(connection, defect=traceback.format_exc())
            else:
                _say(connection, done=True)


def _say(connection: Any, **words: Any) -> None:
    connection.send_bytes(json.dumps(words).encode())


class Words:
    """A connection to a rank that speaks as that to a process of --workers does, of one evaluator."""

    def __init__(self, connection: Any, evaluator: str) -> None:
        self._connection, self._evaluator = connection, evaluator

    def fileno(self) -> int:
        """The number of its file, for `multiprocessing.connection.wait`."""
        number: int = self._connection.fileno()
        return number

    def send(self, asked: tuple[Sequence[Architecture], Fidelity | None, bool]) -> None:
        """Ask for the results of a run of architectures."""
        run, fidelity, confirming = asked
        amounts = None if fidelity is None else dict(fidelity)
        _say(self._connection, evaluator=self._evaluator, run=list(run), fidelity=amounts, confirming=confirming)

    def recv(self) -> Result | Exception | None:
        """A result, what was raised, or None at the end of a run."""
        said = json.loads(self._connection.recv_bytes())
        if "result" in said:
            return Result.from_row(said["result"])
        if "mistake" in said:
            return UserError(said["mistake"])
        return RuntimeError(f"on another rank:\n{said['defect']}") if "defect" in said else None


class CrewEvaluator(WorkerEvaluator):
    """Evaluates on the ranks, which stay where they are whatever happens to an evaluation."""

    def __init__(self, evaluator: Shareable, connections: Sequence[Words]) -> None:
        super().__init__(evaluator, len(connections), 0)
        self._ranks = [Worker(rank, None, connection) for rank, connection in enumerate(connections)]

    def started(self, wanted: int) -> list[Worker]:
        return self._ranks[:wanted]

    def another(self, dead: Worker) -> Worker:
        """Raises LostRankError: torchrun starts ranks, nobody else."""
        raise self.death(dead)

    def death(self, dead: Worker, deaths: int = 1) -> UserError:
        del deaths
        return LostRankError(f"rank {dead.number} has gone; {ranks.GO_ON}")
