"""Ranks: the processes of one command that `torchrun` has started, how they meet, and how they end together.

    with joined():                  # nothing where the command was started alone
        options = parse(...)        # a mistake is said once, and ends all of them

Every rank runs the same command; rank 0 prints and writes. Each has a thread that tells the next rank every second that
it is alive: one that was killed or stopped is noticed, and the others end with one line. Ranks talk in JSON.
"""

import io
import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from datetime import timedelta
from typing import Any

from config_file.errors import EXIT_USER_ERROR, LostRankError, UserError
from config_file.process import EXIT_INTERRUPTED

BEAT = 1.0
"""Seconds between two signs of life."""

SILENCE = 20.0
"""Seconds without a sign of life after which a rank is taken for dead."""

MEETING = 50.0
"""Seconds to wait for the others at the start."""

FAILURE = "failure"
GO_ON = "what was saved is kept; the same command with --resume goes on, torchrun --max-restarts N does so by itself"
"""The way on after the death of a rank."""

GONE = f"rank 0, or the node that keeps the rendezvous, has gone; {GO_ON}"


def launched() -> bool:
    """True where torchrun, or whoever sets its variables, has started this process."""
    return "RANK" in os.environ or "WORLD_SIZE" in os.environ


def number() -> int:
    """The number of this rank; 0 where there is one process."""
    dist = _joined()
    return 0 if dist is None else int(dist.get_rank())


def count() -> int:
    """The number of ranks."""
    dist = _joined()
    return 1 if dist is None else int(dist.get_world_size())


def job() -> str:
    """The name of what torchrun started, the same after its restarts; "" for another process.

    It is that of --rdzv-id, which all nodes have alike; without one a launcher is told from others by its process.
    """
    name = os.environ.get("TORCHELASTIC_RUN_ID", "")
    return f"{name} of process {os.getppid()}" if name == "none" else name


def restarted() -> bool:
    """True where torchrun starts this command once more, after a rank of this node has failed (--max-restarts)."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") not in ("", "0")


def launcher() -> list[str]:
    """The words that start a command as this one was started."""
    if count() == 1:
        return ["python"]
    nodes = os.environ.get("GROUP_WORLD_SIZE", "1")
    return [
        "torchrun",
        *([] if nodes == "1" else ["--nnodes", nodes]),
        *("--nproc-per-node", os.environ.get("LOCAL_WORLD_SIZE", str(count()))),
    ]


def share(value: Any, source: int = 0) -> Any:
    """The JSON value of rank `source`, on all ranks."""
    return value if count() == 1 else gather(value if number() == source else None)[source]


def gather(value: Any) -> list[Any]:
    """The JSON values of all ranks, in their order, on all of them; also a place where all wait for each other."""
    dist = _joined()
    if dist is None or count() == 1:
        return [value]
    import torch  # noqa: PLC0415 - imported already where there is a group

    content = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
    sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(count())]
    with answering():
        dist.all_gather(sizes, torch.tensor([len(content)]))
        longest = max(int(size) for size in sizes)
        parts = [torch.zeros(longest, dtype=torch.uint8) for _ in sizes]
        dist.all_gather(parts, torch.nn.functional.pad(content, (0, longest - len(content))))
    return [json.loads(part[: int(size)].numpy().tobytes()) for part, size in zip(parts, sizes, strict=True)]


@contextmanager
def answering() -> Iterator[None]:
    """Inside, what torch.distributed raises where another rank does not answer is a LostRankError."""
    try:
        yield
    except RuntimeError as error:
        raise LostRankError(f"a rank does not answer ({str(error).splitlines()[0][:200]}); {GO_ON}") from None


def compare(facts: dict[str, Any]) -> None:
    """See that all ranks have the same facts, JSON by what they are called.

    Raises UserError, on all ranks, that names the first rank that differs, and in what.
    """
    everywhere = gather({"host": socket.gethostname(), "facts": facts})
    first = everywhere[0]["facts"]
    for rank, there in enumerate(everywhere):
        for what, value in there["facts"].items():
            if value != first.get(what):
                raise UserError(
                    f"rank {rank} ({there['host']}) has other {what} than rank 0 ({everywhere[0]['host']}): "
                    f"{_short(value)}, not {_short(first.get(what))}; start all ranks alike"
                )


def check_joined(command: str) -> None:
    """Raises UserError, on the first rank, where a command that works in one process was started as several."""
    if _joined() is None and os.environ.get("WORLD_SIZE", "1") != "1":
        if os.environ.get("RANK") != "0":
            raise SystemExit(EXIT_USER_ERROR)
        raise UserError(f"{command} works in one process: start it with python, not with torchrun")


@contextmanager
def joined() -> Iterator[None]:
    """A context in which the ranks have met, and that all leave together.

    Raises:
        UserError: there is nobody to meet, or a rank was lost.
        SystemExit: another rank has said what ended all of them.
    """
    if not launched() or _joined() is not None:  # they have met already
        yield
        return
    store, rank, ranks = _meet()
    watch = _Watch(store, rank, ranks)
    with nullcontext() if rank == 0 else redirect_stdout(io.StringIO()):
        watch.start()
        try:
            yield
            gather(None)
        except BaseException as error:
            if (said := watch.to_be_said(error)) is not None:
                raise said from None
            raise SystemExit(EXIT_INTERRUPTED if isinstance(error, KeyboardInterrupt) else EXIT_USER_ERROR) from None
        finally:
            watch.leave()


def _joined() -> Any:
    """torch.distributed where the ranks have met, else None; nothing is imported for it."""
    dist = sys.modules.get("torch.distributed")
    return dist if dist is not None and dist.is_available() and dist.is_initialized() else None


def _meet() -> tuple[Any, int, int]:
    """The store that all ranks share, this one's number and their count.

    Raises UserError where variables are missing, or the others do not come.
    """
    names = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    if missing := [name for name in names if not os.environ.get(name)]:
        raise UserError(
            f"no rendezvous: {', '.join(name for name in names if name not in missing)} set without "
            f"{' and '.join(missing)}; start with torchrun, which sets all of them"
        )
    import torch  # noqa: PLC0415 - seconds, and only ranks need it
    import torch.distributed as dist  # noqa: PLC0415

    place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    try:
        if os.environ["RANK"] != "0":
            _wait_for_listener(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        store, rank, ranks = next(dist.rendezvous("env://", timeout=timedelta(seconds=MEETING)))  # type: ignore[attr-defined]
        store = dist.PrefixStore(_name_of_start(store, rank, ranks), store)  # type: ignore[attr-defined]
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            store=dist.PrefixStore("group", store),  # type: ignore[attr-defined]
            rank=rank,
            world_size=ranks,
            timeout=timedelta(seconds=MEETING),
        )
        dist.distributed_c10d._set_pg_timeout(timedelta(days=7))  # who dies is noticed by the signs of life
    except (RuntimeError, ValueError, OSError, OverflowError) as error:
        what = str(error).splitlines()[0]
        raise UserError(f"no rendezvous at {place}: {what}; start all ranks with torchrun, within a minute") from None
    return store, rank, ranks


def _wait_for_listener(host: str, port: int) -> None:
    """Return as soon as somebody listens there. Raises OSError after MEETING, for which torch waits twice."""
    ends = time.monotonic() + MEETING
    while True:
        try:
            return socket.create_connection((host, port), timeout=MEETING).close()
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(BEAT / 4)


def _name_of_start(store: Any, rank: int, ranks: int) -> str:
    """A name, of which ranks agree, for what they keep in the store: torchrun's has what was left before a restart."""
    own, ends = secrets.token_hex(8), time.monotonic() + MEETING  # a new word of each rank, which rank 0 answers
    if rank:
        store.set(f"hello/{rank}", own)
        store.wait([f"welcome/{own}"], timedelta(seconds=MEETING))
        name: str = store.get(f"welcome/{own}").decode()
        store.set(f"here/{name}/{rank}", "")
        return name
    missing = list(range(1, ranks))
    while missing:
        for other in missing:
            if store.check([f"hello/{other}"]):
                store.set(f"welcome/{store.get(f'hello/{other}').decode()}", own)
        missing = [other for other in missing if not store.check([f"here/{own}/{other}"])]
        if missing and time.monotonic() > ends:
            raise RuntimeError(f"{ranks - len(missing)} of {ranks} ranks came")
        time.sleep(BEAT / 20)
    return own


class _Watch(threading.Thread):
    """The signs of life of this rank, and a look at those of the next one."""

    def __init__(self, store: Any, rank: int, ranks: int) -> None:
        super().__init__(daemon=True, name="signs of life")
        self._store, self._own = store, store.clone()  # one for each thread: a waiting one would hold up the other
        self._rank, self._ranks = rank, ranks
        self._left, self._heard = threading.Event(), threading.Event()
        self._reached_at = time.monotonic()
        self._store.set(f"who/{rank}", f"rank {rank} (process {os.getpid()} on {socket.gethostname()})")
        self._store.set(f"beat/{rank}", "0")

    def run(self) -> None:
        watched, beats, heard_at, value = (self._rank + 1) % self._ranks, 0, time.monotonic(), b""
        threading.Thread(target=self._guard, daemon=True, name="signs of the store").start()
        while not self._left.wait(BEAT):
            try:
                beats += 1
                self._own.set(f"beat/{self._rank}", str(beats))
                if self._own.check([FAILURE]):
                    self._heard.set()
                    self._end(None)
                found = self._own.get(f"beat/{watched}") if self._own.check([f"beat/{watched}"]) else value
                self._reached_at = time.monotonic()
            except RuntimeError:  # the store, which rank 0 or torchrun keeps
                continue
            if found != value or watched == self._rank:
                value, heard_at = found, time.monotonic()
            elif time.monotonic() - heard_at > SILENCE:
                self._end(self._lost(watched))

    def _guard(self) -> None:
        """End this process where the store does not answer: one that was stopped holds up whoever asks it, for ever."""
        while not self._left.wait(BEAT):
            if time.monotonic() - self._reached_at > SILENCE:
                self._end(GONE, post=False)

    def to_be_said(self, error: BaseException) -> BaseException | None:
        """The error to end by where this rank is the first to end by one; None: another one has said it.

        A signal without words may be torchrun's, which ends all as soon as it sees one dead.
        """
        if isinstance(error, SystemExit) and not error.code:
            return error
        if self._heard.is_set():  # by now the store may have gone with the rank that said it
            return None
        try:
            if isinstance(error, LostRankError) or (isinstance(error, KeyboardInterrupt) and not str(error)):
                lost = self._find_lost()
                error = error if lost is None else LostRankError(lost)
            return error if self._first(str(error) or type(error).__name__, self._store) else None
        except (RuntimeError, KeyboardInterrupt):  # the store has gone, with whoever kept it
            if isinstance(error, KeyboardInterrupt) and str(error):  # what all have agreed on
                return error if self._rank == 0 else None
            return LostRankError(GONE) if isinstance(error, LostRankError | KeyboardInterrupt) else error

    def leave(self) -> None:
        """Give no sign of life any more; who keeps the store waits a moment for the others to hear how it ended."""
        with suppress(RuntimeError, KeyboardInterrupt):
            if self._store.check([FAILURE]) and self._rank == 0:
                self._left.wait(2 * BEAT)
        self._left.set()
        self.join(2 * BEAT)
        if (dist := _joined()) is not None:
            with suppress(RuntimeError):
                dist.destroy_process_group()

    def _first(self, text: str, store: Any) -> bool:
        mine = f"{self._rank} {text}"
        return bool(store.compare_set(FAILURE, "", mine) == mine.encode("utf-8", "replace"))

    def _find_lost(self) -> str | None:
        """The rank whose signs of life have stopped, in words; None where all still give some."""
        others = [rank for rank in range(self._ranks) if rank != self._rank]
        before = [self._store.get(f"beat/{rank}") for rank in others]
        ends = time.monotonic() + 3 * BEAT
        while time.monotonic() < ends and not self._store.check([FAILURE]):
            with suppress(KeyboardInterrupt):  # of torchrun, which ends all as soon as it sees one dead
                time.sleep(BEAT / 4)
        silent = [r for r, value in zip(others, before, strict=True) if self._store.get(f"beat/{r}") == value]
        return self._lost(silent[0]) if silent else None

    def _lost(self, rank: int) -> str:
        who = self._own.get(f"who/{rank}").decode("utf-8", "replace")
        return f"{who} was killed or hangs: it gives no sign of life; {GO_ON}"

    def _end(self, text: str | None, *, post: bool = True) -> None:
        """End this process from its thread, with a line if this rank is the first: the main thread may wait for ever.

        After somebody else's failure the main thread has some seconds to end by itself.
        """
        if text is None:
            if not self._left.wait(5 * BEAT):
                os._exit(EXIT_USER_ERROR)
            return
        if not post or self._first(text, self._own):
            with suppress(OSError):
                os.write(2, f"error: {text}\n".encode())
            self._left.wait(2 * BEAT)  # the others hear of it
        os._exit(EXIT_USER_ERROR)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def on_all(run: Callable[[], Any]) -> Any:
    """The JSON value of `run` on rank 0, which alone calls it, on all ranks."""
    return share(run() if number() == 0 else None)
