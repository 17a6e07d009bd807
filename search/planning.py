"""Time and memory of a search: a first estimate within seconds, and evaluations that are really done where some fit."""

from random import Random

import torch

from config_file.quantity import quantity
from config_file.run_folder import RunFolder
from config_file.stages import stage_path
from search.evaluators.supernet import SupernetEvaluator
from search.evaluators.training import TrainingEvaluator
from search.preparation import Search
from supernet import extract
from training.device import place
from training.estimate import IMAGES, duration, extrapolated, untouched, warning
from training.planning import peak_memory

TIMED = 3
"""Evaluations of a plan; the first one also loads the images."""

MANY = 2_000_000
"""Images from which on it is worth seconds to find out whether a search is long."""


def estimate(search: Search) -> list[str]:
    """Time and memory in lines: by a few evaluations if they fit in --plan-seconds by a first estimate."""
    budget, lines = search.budget, []
    if search.learning is not None:
        steps, seconds = search.learning.left, search.learning.seconds()
        lines.append(
            f"learning   {quantity(steps, 'architecture step')} on frozen weights first, about {duration(seconds)}"
        )
    each, how = seconds_per_evaluation(search)
    if each is not None and budget:
        lines += search.evaluator.estimate(budget)
        lines.append(f"time       about {duration(each * budget)}: {each:.2g} s per evaluation ({how})")
    lines.append(f"memory     {peak_memory(search.context.device)} at its highest so far")
    lines.append(f"writes     {stage_path(search.options)}")
    if (obstacle := RunFolder.obstacle(search.options)) is not None:
        lines.append(f"but        {obstacle}")
    return lines


def seconds_per_evaluation(search: Search) -> tuple[float | None, str]:
    """(seconds of an evaluation, None if not known; how they were found)."""
    first = first_estimate(search)
    if isinstance(search.evaluator, TrainingEvaluator):
        return first, "a first estimate, from a few images, of a training to its end"
    if first is not None and first * TIMED > search.options.plan_seconds:
        more = quantity(TIMED, "whole evaluation")
        return first, f"a first estimate, from a few images; --plan-seconds {2 * first * TIMED:.0f} times {more}"
    rng = Random(search.options.random_seed)
    timed = [search.problem.limits.sample(rng) for _ in range(TIMED)]
    results = list(search.evaluator.evaluate([a for a in timed if a is not None]))
    timings = [result.seconds for result in results[1:]]
    return (sum(timings) / len(timings) if timings else None), f"timed on {len(timings)}"


def first_estimate(search: Search) -> float | None:
    """Seconds of a training, or of an evaluation with a supernet's weights, from passes over a few images; None for
    others.
    """
    evaluator = search.evaluator
    architecture = search.problem.limits.sample(Random(search.options.random_seed))
    if isinstance(evaluator, TrainingEvaluator) and architecture is not None:
        return evaluator.seconds(architecture)
    if not isinstance(evaluator, SupernetEvaluator) or architecture is None:
        return None
    device, data = evaluator.device, evaluator.data
    with untouched(evaluator.supernet), torch.inference_mode():
        network = place(extract(evaluator.supernet, architecture), device, evaluator.channels_last).train()
        x = torch.zeros(IMAGES, data.in_channels, data.resolution, data.resolution, device=device)
        return extrapolated(lambda images: network(x[:images]), images_of(evaluator), device)


def images_of(evaluator: SupernetEvaluator | TrainingEvaluator) -> int:
    """Images that an evaluation sees: those that are trained on, or those that calibrate, and those that judge."""
    if isinstance(evaluator, TrainingEvaluator):
        return evaluator.images
    return evaluator.calibration_images + int(evaluator.fidelities[-1]["images"])


def long_search(search: Search) -> str | None:
    """A line where the search takes more than a day here; None without a look where it sees few images."""
    evaluator = search.evaluator
    if not isinstance(evaluator, SupernetEvaluator | TrainingEvaluator) or search.budget * images_of(evaluator) < MANY:
        return None
    return warning(search.budget * (first_estimate(search) or 0.0) / max(1, search.options.workers))
