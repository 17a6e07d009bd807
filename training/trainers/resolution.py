"""Elastic resolution: every batch at an image size of its own, drawn per step (once-for-all, Cai et al. 2020).

The size is a function of (seed, step) alone and drawn beside everything else, so that images, paths and labels of a
step are those that it would have had without.
"""

from collections.abc import Callable
from random import Random

from torch import Tensor

from config_file.errors import UserError
from supernet.spaces.image_sizes import parse_sizes
from training.image_size import resized
from training.trainer import Context, Pass, Trainer, TrainingStep
from training.trainers.around import Around


class ElasticResolution(Around):
    """Whatever trains a supernet, on batches of changing sizes.

    Raises:
        UserError: no sizes, one above the resolution of the data, or the size is a decision of the space.
    """

    def __init__(self, make: Callable[[Context], Trainer], context: Context) -> None:
        text, most = str(context.options.elastic_resolution), context.data.resolution
        self.sizes = parse_sizes(text, "--elastic-resolution")
        if context.space.images is not None:
            raise UserError(
                f"--elastic-resolution: the image size is a decision of this {context.space.name} and drawn already"
            )
        if self.sizes[-1] > most:
            raise UserError(f"--elastic-resolution {text}: at most --resolution {most}, which images are loaded at")
        super().__init__(make(context))

    def step(self, number: int) -> TrainingStep:
        planned, size = self.trainer.step(number), self.size(number)
        last: list[Tensor] = []  # of a batch, that of all passes, and of what it comes to

        def fitted(x: Tensor) -> Tensor:
            if not last or last[0] is not x:
                last[:] = [x, resized(x, (size, size))]
            return last[1]

        def at_size(run: Pass) -> Pass:
            return lambda x, y: run(fitted(x), y)

        return TrainingStep([at_size(run) for run in planned.passes], planned.parameters)

    def size(self, number: int) -> int:
        """The height and width of the images of a step, in pixels."""
        return Random(f"resolution {self.context.seed} {number}").choice(self.sizes)

    def words(self) -> str:
        return f"images of {self.sizes[0]} to {self.sizes[-1]} px, {len(self.sizes)} sizes"
