"""The auxiliary head (Szegedy et al. 2015): a second classifier in the middle of a network, in training alone.

It reads what two thirds of the network make of an image, and its loss is added to that of the pass, so that early
layers have a shorter way to the labels:

    L = loss(outputs) + auxiliary_weight * loss(outputs of the head)

Its layers are those of DARTS (`supernet.cell_blocks.AuxiliaryHead`), of any network. The head is no part of the model:
nothing that is evaluated, saved or exported knows of it.
"""

import re
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options, part_of
from supernet import Network, Supernet
from supernet.blocks import Shape
from supernet.cell_blocks import AuxiliaryHead
from supernet.spaces.chain import SMALL_IMAGE
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
        # For ImageNet DARTS pools at a stride of 2, and no batch norm follows the last convolution.
        block = AuxiliaryHead(classes) if context.data.resolution <= SMALL_IMAGE else AuxiliaryHead(classes, 2, False)
        head = block.build(channels)
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


def place_of_head(maps: Mapping[str, Shape]) -> tuple[str, int]:
    """The site after two thirds of the cells, or of the stages where there are none, and its channels.

    A cell or a stage is what has the first part of its address in common; its last site is its output.

    Raises:
        UserError: there is no map of several pixels.
    """
    # The output, which ends the network, is no place for another head.
    ends = {site.partition("/")[0]: site for site, shape in list(maps.items())[:-1] if shape[1] * shape[2] > 1}
    cells = [site for unit, site in ends.items() if re.fullmatch(r"cell\d+", unit)]
    places = cells or list(ends.values())
    if not places:
        raise UserError(f"--auxiliary {HEAD}: no map of the network is the same in every path and of several pixels")
    site = places[2 * len(places) // 3]
    return site, maps[site][0]
