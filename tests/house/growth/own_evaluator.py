"""An evaluator of one's own, with an option, a metric and a fidelity of its own: by how much the right class leads."""

import time
from collections.abc import Iterator, Sequence

import torch

from config_file.fields import option
from config_file.options import options
from search.evaluators import EVALUATORS, Context
from search.result import Fidelity, Result
from supernet import Architecture


class Margin:
    """The mean lead of the right class's output, with the supernet's weights and their own batch norms."""

    @options("Margin")
    class Options:
        margin_images: int = option(40, "validation images", at_least=1)

    needs_supernet = True
    measures = {"margin": True}  # noqa: RUF012 - it is never changed

    def __init__(self, context: Context) -> None:
        self.supernet = context.trained.supernet.eval()
        images = min(context.options.margin_images, len(context.data.val))
        self.fidelities = (Fidelity(images=images),)
        self.fingerprints = {"weights": context.trained.info["sha256"]}
        self.x, self.y = next(context.data.val.batches(images))

    @torch.no_grad()
    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        for architecture in architectures:
            started = time.perf_counter()
            outputs = self.supernet(self.x, architecture)
            right = outputs.gather(1, self.y[:, None])[:, 0]
            others = outputs.scatter(1, self.y[:, None], -torch.inf).max(1).values
            metrics = {"margin": float((right - others).mean())}
            spent = {"seconds": time.perf_counter() - started}
            yield Result(architecture, metrics, fidelity=self.fidelities[-1], spent=spent)


EVALUATORS["margin"] = Margin
