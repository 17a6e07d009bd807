"""Drop path: branches that are left out at random in training, image by image.

Of every image, each branch of a sum is dropped with a probability that rises from 0 over the epochs, in a straight line
(NASNet's scheduled drop path, Zoph et al. 2018; DARTS retrains with 0.2), and the others are divided by the probability
of being kept, so that the mean is that of evaluation, where nothing is dropped. Branches are what only a sum of several
inputs reads, but identities, as in DARTS's cells, and what is added to the input of a block (stochastic depth, Huang et
al. 2016).
"""

from collections.abc import Iterator
from contextlib import ExitStack

from torch import Tensor, nn

from config_file.errors import UserError
from supernet import NetSpec, Network
from supernet.blocks import Identity, Zero
from supernet.layers import BottleneckUnit, Residual
from training.trainer import Pass, Trainer
from training.trainers.around import Around


class DropPath(Around):
    """Drop path in any training of one network.

    Its masks are drawn from the generators that every step seeds with its number.

    Args:
        trainer: the other trainer.
        share: --drop-path, the probability at the end.

    Raises:
        UserError: the network has no branches, or is a module of one's own.
    """

    def __init__(self, trainer: Trainer, share: float) -> None:
        super().__init__(trainer)
        network, options = self.context.model, self.context.options
        if not isinstance(network, Network):
            raise UserError("--drop-path drops branches of networks made of blocks, not of a module of one's own")
        self.share, self.epochs = share, options.epochs
        self.branches = list(branches_of(network))
        if not self.branches:
            raise UserError(f"--drop-path {share:g}: the network has no branches that are added to others")

    def probability(self, step: int) -> float:
        """The probability that a branch is dropped in a step: share * epoch / epochs, epochs counted from 0."""
        return self.share * (step // self.context.steps_per_epoch) / max(1, self.epochs)

    def changed(self, run: Pass, number: int) -> Pass:
        probability = self.probability(number)
        if not probability:
            return run

        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            del module, inputs
            return dropped(output, probability)

        def dropping(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            with ExitStack() as hooks:
                for branch in self.branches:
                    hooks.callback(branch.register_forward_hook(hook).remove)
                return run(x, y)

        return dropping

    def words(self) -> str:
        return f"{len(self.branches)} branches are dropped, with a probability that rises to {self.share:g}"


def dropped(x: Tensor, probability: float) -> Tensor:
    """Maps x (B, ...), at zero for some images, and divided by the share that is kept for the others."""
    kept = x.new_empty(len(x), *[1] * (x.ndim - 1)).bernoulli_(1 - probability)
    return x * (kept / (1 - probability))


def branches_of(network: Network) -> Iterator[nn.Module]:
    """The layers whose outputs are branches."""
    for site in sites_of_branches(network.spec):
        yield network.layer(site)
    for module in network.modules():
        if isinstance(module, Residual) and len(module):
            yield module[-1]
        elif isinstance(module, BottleneckUnit):
            yield module.main


def sites_of_branches(spec: NetSpec) -> list[str]:
    """The sites that one sum of several inputs reads, and nothing else does; identities stay."""
    readers: dict[str, list[bool]] = {}
    for node in spec.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node.merge == "sum" and len(node.inputs) > 1)
    kept = {node.site for node in spec.nodes if isinstance(node.block, Identity | Zero)}
    return [node.site for node in spec.nodes if readers.get(node.site) == [True] and node.site not in kept]
