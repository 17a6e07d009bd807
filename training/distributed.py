"""Several processes that train one network: torchrun's ranks, each on its part of every batch, and pieces of that.

The gradient of a step is the mean over all images of its batch, however the batch is split: over ranks, and on each
rank into pieces that pass one after another (--accumulate). Pieces are numbered over all ranks, and what is drawn for
one (dropout) is a function of (seed, step, piece): two ranks train what one process does that accumulates two pieces.

Batch norms see a piece at a time. Their running statistics after a step are the mean over its pieces, weighted by
images, of what each piece would have made of those before; with --sync-bn they see the batches of all ranks.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from config_file import ranks
from config_file.errors import UserError
from config_file.quantity import quantity

WAITS = 4.0
"""Times its own share of a step that a rank waits for the others, on top of --rank-patience."""


class Piece(NamedTuple):
    """A piece of a batch: its number over all ranks, the share of the batch's images that it has, and these."""

    number: int
    share: float
    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Ranks:
    """The processes of one training: this one's number, how many there are, and the pieces of each one's part.

    patience: seconds to wait for another rank in a step.
    """

    number: int = 0
    count: int = 1
    accumulate: int = 1
    patience: float = 45.0

    @property
    def pieces(self) -> int:
        """Pieces of a batch."""
        return self.count * self.accumulate

    @property
    def part(self) -> tuple[int, int]:
        """This rank's part of a batch, for `Split.batches`: one of so many."""
        return self.number, self.count

    def describe(self, batch_size: int, synchronised: bool) -> str:
        """The way in which a batch is split, in words."""
        sizes = {(n + 1) * batch_size // self.pieces - n * batch_size // self.pieces for n in range(self.pieces)}
        norms = "those of all ranks together" if synchronised else "their piece"
        return (
            f"{quantity(batch_size, 'image')} over {quantity(self.count, 'process', 'processes')} in "
            f"{quantity(self.accumulate, 'piece')} each, of {' or '.join(map(str, sorted(sizes)))}; "
            f"batch norms see {norms}"
        )

    def check(self, batch_size: int, synchronised: bool = False) -> None:
        """Raises UserError where a batch is too small for its pieces: a batch norm has no statistics of one image."""
        least = self.pieces * (1 if synchronised or self.pieces == 1 else 2)
        if batch_size < least:
            raise UserError(
                f"a batch of {quantity(batch_size, 'image')} for {quantity(self.count, 'rank')} x --accumulate "
                f"{self.accumulate}: each piece needs {'an image' if synchronised else 'two images'}, for the batch "
                f"norms; --batch-size is that of all ranks together, {least} at least"
            )

    def split(self, x: Tensor, y: Tensor, batch_size: int) -> Iterator[Piece]:
        """The pieces of this rank's part of a batch of `batch_size` images; x (B, C, H, W), y (B,) or (B, O)."""
        first = self.number * self.accumulate
        start = first * batch_size // self.pieces
        for number in range(first, first + self.accumulate):
            begin, end = (at * batch_size // self.pieces for at in (number, number + 1))
            part = slice(begin - start, end - start)
            yield Piece(number, (end - begin) / batch_size, x[part], y[part])

    def gradient(
        self,
        loss: Callable[[Tensor, Tensor], Tensor],
        inputs: Sequence[Tensor],
        x: Tensor,
        y: Tensor,
        batch_size: int,
        modules: Sequence[nn.Module] = (),
    ) -> list[Tensor | None]:
        """The gradient of the mean loss over a whole batch, alike on all ranks; None for what it does not reach.

        Args:
            loss: of some images (B, C, H, W) and targets, their mean (), with a graph of its own.
            inputs: tensors that the gradient is with respect to.
            x, y: this rank's part of the batch, of which all ranks together have `batch_size` images.
            modules: that the images pass, for the statistics of their batch norms.
        """
        total: list[Tensor | None] = [None] * len(inputs)
        step = Step(self, modules)
        for done, piece in enumerate(self.split(x, y, batch_size), start=1):
            scaled, further = weighted(loss(piece.x, piece.y), piece.share), done < self.accumulate
            # What pieces have in common, such as expected costs, is needed by the next one.
            found = torch.autograd.grad(scaled, inputs, allow_unused=True, retain_graph=further)
            total = [g if t is None else t if g is None else t + g for t, g in zip(total, found, strict=True)]
            step.take_in(piece, last=not further)
        step.put_together([tensor for tensor in total if tensor is not None])
        return total

    @torch.no_grad()
    def mean(
        self,
        value: Callable[[Tensor, Tensor], Tensor],
        x: Tensor,
        y: Tensor,
        batch_size: int,
        modules: Sequence[nn.Module] = (),
    ) -> Tensor:
        """The mean () over a whole batch, alike on all ranks, of what is a mean over images: an accuracy, a reward.

        Args:
            value: of some images (B, C, H, W) and targets, their mean ().
            x, y, batch_size, modules: as of `gradient`.
        """
        found, step = [], Step(self, modules)
        for done, piece in enumerate(self.split(x, y, batch_size), start=1):
            found.append(weighted(value(piece.x, piece.y), piece.share))
            step.take_in(piece, last=done == self.accumulate)
        total = torch.stack(found).sum()
        step.put_together([total])
        return total

    def sum(self, tensors: Sequence[Tensor], patience: float | None = None) -> None:
        """Sum tensors over all ranks, in place: as one flat tensor, so that latency counts once.

        Raises LostRankError after `patience` seconds (none: as long as the others live).
        """
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self.reduce(flat, patience)
        parts = flat.split([tensor.numel() for tensor in tensors])
        with torch.no_grad():
            torch._foreach_copy_(list(tensors), [p.view_as(t) for p, t in zip(parts, tensors, strict=True)])

    def reduce(self, flat: Tensor, patience: float | None = None) -> None:
        """Sum one contiguous tensor over all ranks, in place. Raises as `sum`."""
        with ranks.answering():
            work = distributed.all_reduce(flat, async_op=True)
            if patience is None:
                work.wait()
            else:
                work.wait(timedelta(seconds=patience))

    def sum_of(self, number: int) -> int:
        """The sum of a number over all ranks."""
        return number if self.count == 1 else sum(ranks.gather(number))

    def first(self, run: Callable[[], Any]) -> Any:
        """The JSON value of `run` on the first rank, which alone calls it, on all of them."""
        return run() if self.count == 1 else ranks.on_all(run)

    def content(self, path: Path) -> bytes:
        """The content of a file that the first rank reads, on all of them: other nodes need not see it."""
        data = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8) if self.number == 0 else None
        size: int = ranks.share(None if data is None else len(data))
        data = torch.zeros(size, dtype=torch.uint8) if data is None else data
        with ranks.answering():
            distributed.broadcast(data, 0)
        return data.numpy().tobytes()

    def total(self, values: Tensor) -> Tensor:
        """The sum of small tensors over all ranks, on all of them; `values` stays."""
        summed = values.clone()
        self.sum([summed])
        return summed


ALONE = Ranks()
"""The processes of a training in one process."""


def here(options: Any) -> Ranks:
    """The ranks that torchrun has started, as they have met. Nothing is trained by them that does not ask for it."""
    return replace(as_asked(options), number=ranks.number(), count=ranks.count())


def as_asked(options: Any) -> Ranks:
    """One process, with the pieces that the options ask for."""
    return Ranks(accumulate=options.accumulate, patience=options.rank_patience)


def fingerprint(tensors: Iterable[Tensor]) -> str:
    """A short digest of tensors, which differs where any bit does; of a sum of bits, so that it takes no time."""
    digest = hashlib.sha256()
    for tensor in tensors:
        words = tensor.detach().contiguous().view(-1).view(torch.uint8)
        words = (words.view(torch.int32) if len(words) % 4 == 0 else words).long()
        places = torch.arange(1, len(words) + 1, device=words.device) % 65521
        digest.update(f"{tuple(tensor.shape)} {(words * places).sum().item()} ".encode())
    return digest.hexdigest()[:16]


def weighted(value: Tensor, share: float) -> Tensor:
    """The value times a share; as it is where that is all."""
    return value if share == 1.0 else value * share


class Step:
    """The gradients and batch-norm statistics of one step, put together from its pieces.

    Args:
        modules: networks that the step trains; the running statistics of their batch norms are taken care of.
        keep: what the statistics were can be had back (`undo`).
    """

    def __init__(self, over: Ranks, modules: Iterable[nn.Module], keep: bool = False) -> None:
        self._ranks = over
        self._split = over.pieces > 1
        self._began = time.monotonic()
        norms = {m: None for module in modules for m in module.modules()} if self._split or keep else {}
        self._norms = [m for m in norms if isinstance(m, _BatchNorm) and m.num_batches_tracked is not None]
        self._versions = [_version(norm) for norm in self._norms]
        kept = self._norms if keep or over.accumulate > 1 else []
        self._before = {norm: [buffer.clone() for buffer in norm.buffers()] for norm in kept}
        self._sums: list[Tensor] = []

    def take_in(self, piece: Piece, *, last: bool) -> None:
        """The statistics that a piece has left: kept with its weight, and put back for the next one."""
        if not self._split:
            return
        with torch.no_grad():
            found = [weighted(buffer, piece.share) for buffer in self._statistics()]
            self._sums = found if not self._sums else list(torch._foreach_add(self._sums, found))
        if not last:
            self.undo()

    def undo(self) -> None:
        """Put the statistics back to what they were before the step."""
        with torch.no_grad():
            for norm in self._moved():
                for buffer, before in zip(norm.buffers(), self._before[norm], strict=True):
                    buffer.copy_(before)

    def put_together(self, gradients: Sequence[Tensor], asked: bool = False) -> Tensor | None:
        """Sum the gradients of all ranks, in place, and the statistics of all pieces.

        Returns on how many ranks a stop is `asked` for, on the device; None in one process.
        """
        statistics, own = self._statistics() if self._split else [], time.monotonic() - self._began
        if self._ranks.count == 1:
            for buffer, total in zip(statistics, self._sums, strict=True):
                buffer.copy_(total)
            return None
        device = gradients[0].device if gradients else torch.device("cpu")
        signal = torch.full((1,), float(asked), device=device)
        self._ranks.sum([*gradients, *self._sums, signal], self._ranks.patience + WAITS * own)
        for buffer, total in zip(statistics, self._sums, strict=True):
            buffer.copy_(total)
        return signal[0]

    def _moved(self) -> list[_BatchNorm]:
        return [norm for norm, seen in zip(self._norms, self._versions, strict=True) if _version(norm) != seen]

    def _statistics(self) -> list[Tensor]:
        """The running means and variances that the step has moved."""
        tensors = [buffer for norm in self._moved() for buffer in (norm.running_mean, norm.running_var)]
        return [tensor for tensor in tensors if tensor is not None]


def _version(norm: _BatchNorm) -> int:
    """A number on the host that moves with every batch that a batch norm takes in: no look at the device."""
    version: int = norm.num_batches_tracked._version  # type: ignore[union-attr]  # those without are left out
    return version
