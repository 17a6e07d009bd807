"""Part of a split, when a training needs two sets of images that do not meet."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from training.data.seeds import generator_of
from training.data.split import Batch, Request, Split


class SplitPart(Split):
    """The images of `whole` at `positions` (int64, (n,))."""

    def __init__(self, whole: Split, positions: Tensor) -> None:
        super().__init__(whole.labels[positions], whole.normalisation, whole.task)
        self.whole = whole
        self.positions = positions

    def raw(self, indices: Sequence[int] | Tensor) -> Tensor:
        return self.whole.raw(self.positions[torch.as_tensor(indices, dtype=torch.int64)])

    def _load(self, batches: list[Tensor], request: Request) -> Iterator[Batch]:
        return self.whole._load([self.positions[batch] for batch in batches], request)


def divide(split: Split, share: float, seed: int) -> tuple[SplitPart, SplitPart]:
    """Two parts at random: (1 - share, share) of the images, each at least one."""
    order = torch.randperm(len(split), generator=generator_of("divide", seed))
    second = min(max(1, round(share * len(split))), len(split) - 1)
    return SplitPart(split, order[second:]), SplitPart(split, order[:second])
