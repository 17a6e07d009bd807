"""The auxiliary head (Szegedy et al. 2015): a second classifier in the middle of a network, in training alone.

It reads what two thirds of the network make of an image, and its loss is added to that of the pass, so that early
layers have a shorter way to the labels:

    L = loss(outputs) + auxiliary_weight * loss(outputs of the head)

What it reads and what it is made of, `supernet.auxiliary` says. The head is no part of the model: nothing that is
evaluated, saved or exported knows of it.
"""

from collections.abc import Callable

from torch import Tensor, nn

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options, part_of
from supernet import Network, Supernet
from supernet.auxiliary import auxiliary_head, place_of_head
from supernet.blocks import Shape
from tasks import CLASSIFICATION
from training.initialise import initialise
from training.trainer import Context, Pass, Trainer
from training.trainers.around import Beside

HEAD = "head"


@options("Training")
class HeadOptions:
    """The auxiliary head."""

    auxiliary_weight: float = option(
        0.4, "head: weight of the auxiliary head's loss (DARTS 0.4)", above=0, decides="training"
    )


class BesideHead(Beside):
    """An auxiliary head beside any trainer of classifiers, whatever passes it has.

    Args:
        make: makes the other trainer.

    Raises:
        UserError: another task, a module of one's own, or no map of several pixels that all networks share.
    """

    Options = HeadOptions

    def __init__(self, make: Callable[[Context], Trainer], context: Context) -> None:
        if context.data.task is not CLASSIFICATION:
            raise UserError(f"--auxiliary {HEAD} classifies: {context.data.name} is for {context.data.task.name}")
        if not isinstance(context.model, Network | Supernet):
            raise UserError(f"--auxiliary {HEAD} reads a map of a network made of blocks, not of a module of one's own")
        self.site, channels = place_of_head(maps_of_every_path(context))
        classes = len(context.data.classes)
        head = auxiliary_head(classes, context.data.resolution).build(channels)
        initialise(head, context.seed)
        super().__init__(make(context), head.to(context.device))
        self.weight = part_of(context.options, HeadOptions).auxiliary_weight
        self._layer = layer_at(context.model, self.site)

    def changed(self, run: Pass, number: int) -> Pass:
        del number

        def both(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            taken: list[Tensor] = []
            hook = self._layer.register_forward_hook(lambda module, inputs, output: taken.append(output))
            try:
                loss, outputs = run(x, y)
            finally:
                hook.remove()
            with self.context.autocast():
                again: Tensor = self.auxiliary(taken[-1]).float()  # (B, outputs)
            return loss + self.weight * self.context.loss(again, y), outputs

        return both

    def words(self) -> str:
        return f"an auxiliary head reads {self.site}, its loss counts {self.weight:g}"


def layer_at(model: nn.Module, site: str) -> nn.Module:
    """The layer at a site of a network, or at one of a supernet with one option."""
    if isinstance(model, Supernet):
        return model.weights_at(site).holder(0)
    assert isinstance(model, Network)
    return model.layer(site)


def maps_of_every_path(context: Context) -> dict[str, Shape]:
    """{site: (C, H, W) of its output}: of a network all, of a supernet what is the same in every network."""
    model, data = context.model, context.data
    if isinstance(model, Network):
        shape = (data.in_channels, data.resolution, data.resolution)
        return {site: output for site, (_, output) in model.spec.shapes(shape).items()}
    space, found = context.space, {}
    for site, (_, table) in zip(space.sites, space.factors(), strict=True):
        alone = not site.given and len(site.options) == 1 and site.sharing == "own"
        if alone and table.size == 1 and table.item() is not None:
            block, entering = table.item()
            found[site.name] = block.output_shape(entering)
    return found
