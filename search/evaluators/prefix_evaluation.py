"""A population of chain networks evaluated as a tree, so that every shared prefix is computed once.

Layers of a chain see nothing of the layers after them: up to the first layer in which two architectures differ, their
activations and their re-calibrated batch-norm statistics are the same numbers. The population is walked depth first
over the sites; a node holds its layer's output for all calibration and validation batches until its last child has
taken them. Batches are the same, in the same order, through the same operations as for one network alone, so results
are bit-identical to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from math import prod
from typing import NamedTuple

import torch
from torch import nn

from search.evaluators.kept_batches import Batch
from supernet import Architecture, SearchSpace, Shape
from supernet.spec import INPUT
from training.bn_calibration import calibrate_batch_norm
from training.evaluate import Score

BYTES = 4  # of an activation; half-precision ones take less than is counted


class LayerChoice(NamedTuple):
    """One layer of a chain: the site, the option chosen there, its input width."""

    site: str
    choice: int
    in_channels: int


@dataclass
class PrefixNode:
    """A layer in the tree of a population.

    activation: values of its output for one image; children: what can follow, by step; architectures: those that end
    here (several where encodings mean the same path).
    """

    activation: int = 0
    children: dict[LayerChoice, PrefixNode] = field(default_factory=dict)
    architectures: list[Architecture] = field(default_factory=list)

    def most_held(self, held: int = 0) -> int:
        """The most values per image that are held at once in a walk, beside the `held` ones of the nodes above.

        A node with several children keeps its output until the last one takes it.
        """
        kept = held + (self.activation if len(self.children) > 1 else 0)
        here = held + self.activation
        during = (max(here + child.activation, child.most_held(kept)) for child in self.children.values())
        return max(during, default=here)

    def layers(self, depth: int = 0) -> tuple[int, int]:
        """Layers that a walk evaluates below this node, and those of every distinct network evaluated alone."""
        below = [child.layers(depth + 1) for child in self.children.values()]
        ends = depth if self.architectures else 0
        return len(below) + sum(shared for shared, _ in below), ends + sum(alone for _, alone in below)

    def cut(self) -> list[PrefixNode]:
        """A tree for each child of the first node that has several; [] where there is none."""
        if len(self.children) > 1:
            return [PrefixNode(self.activation, {step: child}) for step, child in self.children.items()]
        return [
            PrefixNode(self.activation, {step: part}) for step, child in self.children.items() for part in child.cut()
        ]

    def leaves(self) -> Iterator[list[Architecture]]:
        """The architectures in the order of the walk."""
        if self.architectures:
            yield self.architectures
        for child in self.children.values():
            yield from child.leaves()


def as_chain(space: SearchSpace, architecture: Architecture, image: Shape) -> list[tuple[LayerChoice, int]] | None:
    """The (step, values of its output for one image) of each layer, or None if the network is not a chain."""
    shapes = space.decode(architecture).shapes(image)
    before, chain = INPUT, []
    for site, choice, inputs in space.trace(space.select(architecture)):
        if inputs != (before,):
            return None
        assert isinstance(choice, int)
        entering, leaving = shapes[site.name]
        chain.append((LayerChoice(site.name, choice, entering[0]), prod(leaving)))
        before = site.name
    return chain


def tree_of(space: SearchSpace, architectures: Iterable[Architecture], image: Shape) -> PrefixNode | None:
    """The tree of a population for images of a shape (C, H, W), or None where one of them is not a chain.

    Children are in the order of sites and options: the walk of what is left of a population goes on where the whole
    one's was interrupted.
    """
    position = {site.name: number for number, site in enumerate(space.sites)}
    paths = []
    for architecture in dict.fromkeys(architectures):
        chain = as_chain(space, architecture, image)
        if chain is None:
            return None
        paths.append((chain, architecture))
    paths.sort(key=lambda path: ([(position[step.site], step.choice) for step, _ in path[0]], path[1]))
    root = PrefixNode()
    for chain, architecture in paths:
        node = root
        for step, activation in chain:
            node = node.children.setdefault(step, PrefixNode(activation))
        node.architectures.append(architecture)
    return root


@dataclass(frozen=True)
class PrefixEvaluation:
    """Scores the architectures of a tree.

    Args:
        layer: makes a step's layer with the supernet's weights, where it runs and in its memory format.
        finish: prepares a calibrated layer for inference.
        context: everything runs in one of these; none is open while a score is handed out.
        score: (outputs, targets) of every batch -> score.
        alone: scores one architecture by itself, holding the activations of one batch.
        calibration: images, None to keep the supernet's batch-norm statistics.
        validation: (images, labels).
        memory: bytes of activations held at once, at most.
    """

    layer: Callable[[LayerChoice], nn.Module]
    finish: Callable[[nn.Module], nn.Module]
    context: Callable[[], AbstractContextManager[object]]
    score: Callable[[Iterable[Batch]], Score]
    alone: Callable[[Architecture], Score]
    calibration: Iterable[torch.Tensor] | None
    calibration_images: int
    validation: Iterable[Batch]
    validation_images: int
    validation_batches: int
    memory: int

    def scores(self, tree: PrefixNode) -> Iterator[tuple[Architecture, Score]]:
        """Every architecture with its score, as soon as it is known.

        Calibration needs all its batches at a node. Where they do not fit, the tree is cut at its first branching and
        its parts are walked one after another; of the validation batches as many are shared as fit beside.
        """
        per_image = BYTES * tree.most_held()
        batch = per_image * -(-self.validation_images // self.validation_batches)
        left = self.memory - per_image * self.calibration_images
        parts = tree.cut()
        if not parts:
            (architectures,) = tree.leaves()
            score = self.alone(architectures[0])
            yield from ((architecture, score) for architecture in architectures)
        elif left < batch:
            for part in parts:
                yield from self.scores(part)
        else:
            shared = min(self.validation_batches, left // batch)
            images = [x for x, _ in islice(self.validation, shared)]
            yield from self._walk(tree, self.calibration, images, [])

    def _walk(
        self,
        node: PrefixNode,
        calibration: Iterable[torch.Tensor] | None,
        validation: list[torch.Tensor],
        layers: list[nn.Module],
    ) -> Iterator[tuple[Architecture, Score]]:
        """Below a node whose outputs are given; the last child consumes them."""
        if node.architectures:
            score = self._score(validation, layers)
            yield from ((architecture, score) for architecture in node.architectures)
        for number, (step, child) in enumerate(node.children.items(), start=1):
            last = number == len(node.children)
            with self.context():
                layer = self.layer(step)
                calibrated = None if calibration is None else _calibrated(layer, _taken(calibration, last))
                layer = self.finish(layer.eval())
                validated = [layer(x) for x in _taken(validation, last)]
            yield from self._walk(child, calibrated, validated, [*layers, layer])

    def _score(self, logits: Sequence[torch.Tensor], layers: Sequence[nn.Module]) -> Score:
        """Of one network: what was shared, and the validation batches that did not fit, from their images on."""

        def batches() -> Iterator[Batch]:
            for number, (x, y) in enumerate(self.validation):
                if number < len(logits):
                    yield logits[number], y
                else:
                    for layer in layers:
                        x = layer(x)
                    yield x, y

        with self.context():
            return self.score(batches())


def _calibrated(layer: nn.Module, batches: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """Calibrate one layer; returns what it gave meanwhile, normalised by batch, which the next layer calibrates on."""
    outputs: list[torch.Tensor] = []
    hook = layer.register_forward_hook(lambda _layer, _inputs, output: outputs.append(output))
    calibrate_batch_norm(layer, batches)
    hook.remove()
    return outputs


def _taken(batches: Iterable[torch.Tensor], last: bool) -> Iterator[torch.Tensor]:
    """The batches; the last taker lets go of each one as it is used."""
    if last and isinstance(batches, list):
        batches.reverse()
        while batches:
            yield batches.pop()
    else:
        yield from batches
