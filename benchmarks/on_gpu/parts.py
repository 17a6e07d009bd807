"""Measurements in one process: each part is a function of `Work` to rows, which come one after the other."""

import itertools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from benchmarks.on_gpu.work import Row, Trained, Work, in_turns, per_second, ratio, row, seconds_of, space_of
from search.evaluators.supernet import SupernetEvaluator
from search.evaluators.workers import in_processes
from supernet import Supernet, extract
from training.data import Data
from training.device import choose_device
from training.initialise import initialise

MIXED = 0.05
"""Relative distance of the losses of bfloat16 from those of float32 that is fine, mean over steps."""

WAITING = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "aten::_local_scalar_dense")
"""Events of the profiler in which the host waits for the device."""


PROCESSES = 4
"""Of an evaluation that several share."""


def step(work: Work) -> Iterator[Row]:
    """Images per second of a supernet's steps over those of its networks alone, both with their batches."""
    data, device = work.data(), choose_device(work.device)
    count, repeats = (2, 1) if work.small else (4, 5)
    for kind, settings in work.spaces.items():
        space, rng = space_of(settings, data), random.Random(0)
        paths = [space.sample(rng) for _ in range(count)]
        supernet = Supernet(space)
        initialise(supernet, 0)
        alone = [Trained(work, data, extract(supernet, path)) for path in paths]
        shared = Trained(work, data, supernet, paths)
        runs: dict[str, Callable[[], object]] = {
            "supernet": partial(shared.steps, repeats * count),
            "alone": lambda alone=alone: [one.steps(repeats) for one in alone],  # type: ignore[misc]
        }
        times = in_turns(runs, device, work.seconds / len(work.spaces))
        made = repeats * count
        for name in runs:
            yield row(f"{kind} {settings['name']}: {name}", per_second(work, made, times[name]), "images/s")
        found = ratio(times["alone"], times["supernet"])
        aim = {} if work.small else {"aim": 0.95}  # tiny kernels are all overhead
        yield row(f"{kind}: supernet over alone", unit="x", **aim, **found)


class Pixels(Dataset[tuple[Tensor, int]]):
    """Images as everybody reads them: one after the other, through torchvision."""

    def __init__(self, data: Data) -> None:
        from supernet.torchvision_compat import torchvision  # noqa: PLC0415 - only this part needs it

        count, make = min(len(data.train), 20_000), torchvision.transforms
        self.images, self.labels = data.train.raw(range(count)).numpy(), data.train.labels[:count].tolist()
        self.transform = make.Compose(
            [
                make.ToPILImage(),
                make.RandomCrop(data.resolution, padding=data.resolution // 8),
                make.RandomHorizontalFlip(),
                make.ToTensor(),
                make.Normalize(data.mean, data.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def loader(work: Work) -> Iterator[Row]:
    """Images per second of a supernet's steps over a plain loop: a DataLoader, torch.optim.SGD as it comes."""
    data, device = work.data(), choose_device(work.device)
    space = space_of(work.spaces["chain"], data)
    path, supernet = space.sample(random.Random(0)), Supernet(space)
    initialise(supernet, 0)
    steps, workers = (2, 0) if work.small else (20, 8)
    shared = Trained(work, data, supernet, [path])
    plain = {}
    for name, mixed in (("plain float32", False), ("plain bfloat16", True)):
        batches = DataLoader(
            Pixels(data), work.batch_size, shuffle=True, drop_last=True, num_workers=workers,
            pin_memory=device.type == "cuda", persistent_workers=workers > 0,
        )  # fmt: skip
        plain[name] = Plain(extract(supernet, path), batches, device, mixed)
    runs = {"ours": partial(shared.steps, steps)} | {name: partial(one.steps, steps) for name, one in plain.items()}
    times = in_turns(runs, device, work.seconds, {name: one.begin for name, one in plain.items()})
    for name in runs:
        yield row(f"chain: {name}", per_second(work, steps, times[name]), "images/s")
    for name in plain:
        yield row(f"chain: ours over {name}", unit="x", **ratio(times[name], times["ours"]))


class Plain:
    """A training loop as everybody writes it."""

    def __init__(self, network: nn.Module, batches: Any, device: torch.device, mixed: bool) -> None:
        self.layout = torch.channels_last if mixed else torch.contiguous_format
        self.network = network.to(device).to(memory_format=self.layout).train()  # type: ignore[call-overload]
        self.optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, weight_decay=4e-5)
        self.batches, self.device, self.mixed = batches, device, mixed
        self.total = 0.0

    def begin(self) -> None:
        """Start the loader anew, and use up what its processes have read ahead meanwhile."""
        self.feed = itertools.chain.from_iterable(itertools.repeat(self.batches))
        self.steps(2 * self.batches.num_workers + 1)

    def steps(self, count: int) -> None:
        """Make so many steps."""
        for x, y in itertools.islice(self.feed, count):
            x, y = x.to(self.device, memory_format=self.layout), y.to(self.device)
            self.optimizer.zero_grad()
            with torch.autocast(self.device.type, torch.bfloat16) if self.mixed else nullcontext():
                loss = F.cross_entropy(self.network(x), y)
            loss.backward()
            self.optimizer.step()
            self.total += loss.item()


def mixed(work: Work) -> Iterator[Row]:
    """Losses and images per second of bfloat16 against float32: the same start, the same batches."""
    data, device, steps = work.data(), choose_device(work.device), 3 if work.small else 30
    space = space_of(work.spaces["chain"], data)
    paths = [space.sample(random.Random(number)) for number in range(4)]
    trainings: dict[str, Trained] = {}
    losses: dict[str, list[float]] = {}
    for name, amp in (("float32", None), ("bfloat16", torch.bfloat16)):
        supernet = Supernet(space)
        initialise(supernet, 0)
        trainings[name] = Trained(work, data, supernet, paths, amp)
        losses[name] = _losses(trainings[name], steps)
    far = [abs(a - b) / b for a, b in zip(losses["bfloat16"], losses["float32"], strict=True)]
    yield row(f"loss of bfloat16 from float32 over {steps} steps", float(np.mean(far)), at_most=MIXED)
    runs = {name: partial(training.steps, 2 if work.small else 20) for name, training in trainings.items()}
    times = in_turns(runs, device, work.seconds / 2)
    yield row("bfloat16 over float32, images/s", unit="x", **ratio(times["float32"], times["bfloat16"]))


def _losses(training: Trained, steps: int) -> list[float]:
    state, found = training.state, []
    for _ in range(steps):
        before = state.totals.sums.clone()
        training.steps(1)
        found.append((state.totals.sums - before)[0] / training.recipe.batch_size)
    values: list[float] = torch.stack(found).tolist()
    return values


def waits(work: Work) -> Iterator[Row]:
    """Waits of the host for the device in a step, as the profiler counts them: of so many steps less those of fewer."""
    data, device = work.data(), choose_device(work.device)
    activities = [torch.profiler.ProfilerActivity.CPU]
    activities += [torch.profiler.ProfilerActivity.CUDA] if device.type == "cuda" else []
    for kind, settings in work.spaces.items():
        space = space_of(settings, data)
        training = Trained(work, data, Supernet(space), [space.sample(random.Random(0))])
        training.steps(3)
        counts = []
        for steps in (1, 3):
            with torch.profiler.profile(activities=activities) as profile:
                training.steps(steps)
            events = profile.key_averages()
            counts.append(sum(event.count for event in events if event.key in WAITING))
        yield row(f"{kind}: waits in a step", (counts[1] - counts[0]) / 2, at_most=0)


def population(work: Work) -> Iterator[Row]:
    """Networks per second of an evaluation, by the images of a validation that pass at once."""
    data, device = work.data(), choose_device(work.device)
    space, rng = space_of(work.spaces["chain"], data), random.Random(0)
    supernet = Supernet(space).to(device).eval()
    networks = [space.sample(rng) for _ in range(3 if work.small else 32)]
    sizes = (16, 64) if work.small else (64, 256, 1024, 4096)
    start, calibration = time.perf_counter(), 32 if work.small else 1024
    for number, (sharing, size) in enumerate(itertools.product((False, True), sizes)):
        if number and time.perf_counter() - start > work.seconds:
            return
        evaluator = SupernetEvaluator(
            supernet, data, calibration_images=calibration, batch_size=min(size, 64), at_once=size,
            device=device, prefix_sharing=sharing,
        )  # fmt: skip
        list(evaluator.evaluate(networks[:2]))
        found = seconds_of(lambda evaluator=evaluator: list(evaluator.evaluate(networks)), device)  # type: ignore[misc]
        how = "prefixes shared" if sharing else "each alone"
        yield row(f"{size} images at once, {how}", round(len(networks) / found, 2), "networks/s")
    if not work.small:  # the last evaluator in several processes, of which each has the whole device
        judge = in_processes(evaluator, PROCESSES, 1)
        list(judge.evaluate(networks[: 4 * PROCESSES]))
        found = seconds_of(lambda: list(judge.evaluate(networks)), device)
        yield row(f"{size} images at once, {PROCESSES} processes", round(len(networks) / found, 2), "networks/s")
