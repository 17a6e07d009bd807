"""CUDA graphs and torch.compile of one network: what they save in a pass, and after how many passes that pays.

A step along another path runs other kernels, so that a supernet's step cannot be captured once; what can is a step of
one network, and the evaluation of one.
"""

import random
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.on_gpu.work import Row, Work, in_turns, ratio, row, seconds_of, space_of
from supernet import Supernet, extract
from training.device import choose_device
from training.optimizers import make_optimizer, update, zero_grad


def graphs(work: Work) -> Iterator[Row]:
    """CUDA graphs and torch.compile of one network: what they save in a pass, and after how many that pays."""
    data, device = work.data(), choose_device(work.device)
    space = space_of(work.spaces["chain"], data)
    network = extract(Supernet(space), space.sample(random.Random(0))).to(device)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x, y = next(data.train.batches(work.batch_size, device=device, augment=True))
    trained = one_step(network, x, y)
    yield from _payoff("a training step", trained, device, "graph", captured)
    with torch.inference_mode():
        network.eval()
        yield from _payoff("an evaluation pass", partial(network, x), device, "graph", captured)
        if work.small:
            return
        try:
            yield from _payoff("an evaluation pass", partial(network, x), device, "compile", _compiled(network, x))
        except Exception as error:  # it wants a compiler, Triton and more, and says so in many ways
            yield row("an evaluation pass: compile", float("nan"), "x", note=f"{error}".splitlines()[0][:80])


def one_step(network: nn.Module, x: Tensor, y: Tensor) -> Callable[[], object]:
    """A whole step of one network on one batch, which nothing of the host changes."""
    parameters = list(network.parameters())
    optimizer = make_optimizer("sgd", parameters, 0.01, 0.9, 4e-5)

    def run() -> None:
        F.cross_entropy(network(x), y).backward()
        update(optimizer, parameters, 0.01)
        zero_grad(parameters)

    return run


def captured(run: Callable[[], object]) -> Callable[[], object]:
    """The same kernels as a graph, which one call launches."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def _compiled(network: nn.Module, x: Tensor) -> Callable[[Callable[[], object]], Callable[[], object]]:
    def make(run: Callable[[], object]) -> Callable[[], object]:
        del run
        compiled = partial(torch.compile(network), x)
        compiled()
        return compiled

    return make


def _payoff(
    what: str,
    run: Callable[[], object],
    device: torch.device,
    name: str,
    make: Callable[[Callable[[], object]], Callable[[], object]],
) -> Iterator[Row]:
    if device.type != "cuda":
        yield row(f"{what}: {name}", float("nan"), "x", note="needs a CUDA device")
        return
    for _ in range(3):
        run()
    made: list[Callable[[], object]] = []
    cost = seconds_of(lambda: made.append(make(run)), device)
    times = in_turns(
        {"eager": lambda: [run() for _ in range(10)], name: lambda: [made[0]() for _ in range(10)]}, device, 5
    )
    saved = (float(np.median(times["eager"])) - float(np.median(times[name]))) / 10
    after = f"made in {cost:.2f} s: pays after {cost / saved:,.0f} passes" if saved > 0 else "never pays"
    yield row(f"{what}: {name} over eager", unit="x", note=after, **ratio(times["eager"], times[name]))
