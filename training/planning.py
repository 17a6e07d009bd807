"""`--plan`: what would run, estimated in seconds and measured on a few real steps where they fit, without leaving
anything behind.
"""

import math
import statistics
import time

import torch

from config_file.environment import peak_resident
from config_file.quantity import quantity
from config_file.run_folder import RunFolder
from config_file.stages import stage_path
from training.estimate import duration, step_seconds
from training.loop import train_step
from training.recipe import Recipe
from training.stage import Training
from training.state import TrainingState

SCRIPTS = {"supernet": "train_supernet", "retrain": "retrain"}
WARM_UP, TIMED = 2, 7
_MIB = 2**20


def print_plan(training: Training, target: str | None = None) -> None:
    """Time a pass or, where they fit in --plan-seconds, whole steps of this training; print what all of it takes.

    The training is of no use afterwards. `target` is a line about what costs the space allows, if there is a choice.
    """
    recipe, options, state = training.recipe, training.options, training.state
    precision = "float32" if recipe.amp is None else f"{str(recipe.amp).removeprefix('torch.')} autocast"
    layout = "channels_last" if options.channels_last else "NCHW"
    passes = len(recipe.trainer.step(0).passes)
    seconds, how = seconds_per_step(recipe, state, options.plan_seconds)
    weights = sum(t.numel() * t.element_size() for t in state.model.state_dict().values()) / _MIB
    run = recipe.trainer.passes(recipe.steps)
    print(f"plan of {SCRIPTS[training.kind]}; nothing is started and nothing written")
    print(f"  data      {training.lines[0]}")
    print(f"  model     {training.lines[1]}")
    if target is not None:
        print(f"  range     {target}")
    print(
        f"  schedule  {quantity(options.epochs, 'epoch')} x {quantity(recipe.steps_per_epoch, 'step')} = "
        f"{quantity(recipe.steps, 'optimizer step')}, {quantity(passes, 'pass', 'passes')} over "
        f"{quantity(options.batch_size, 'image')} each: "
        f"{quantity(run * options.batch_size, 'image')} forward and backward"
    )
    if recipe.ranks.pieces > 1:
        print(f"  split     {recipe.ranks.describe(recipe.batch_size, recipe.options.sync_bn)}")
    print(f"  device    {recipe.device}, {precision}, {layout}, {quantity(torch.get_num_threads(), 'CPU thread')}")
    print(f"  time      about {duration(seconds / passes * run)} without validation: {seconds:.3g} s per step ({how})")
    print(f"  memory    {peak_memory(recipe.device)} at its highest so far")
    print(
        f"  writes    {stage_path(options)}: weights of {weights:.1f} MiB, and the last and the best checkpoint, "
        "two to four times that each"
    )
    if (obstacle := RunFolder.obstacle(options)) is not None:
        print(f"  but       {obstacle}")


def seconds_per_step(recipe: Recipe, state: TrainingState, budget: float) -> tuple[float, str]:
    """(seconds of a training step with its data, how they were found): steps are made if three of them fit in `budget`
    seconds by a first estimate.
    """
    first: float = recipe.ranks.first(lambda: step_seconds(recipe))
    if first * (WARM_UP + 1) > budget:
        more = math.ceil(2 * first * (WARM_UP + 1))
        return first, f"a first estimate, from a few images; --plan-seconds {more} times whole steps"
    times: list[float] = []
    started = time.perf_counter()

    def go_on() -> bool:
        spent = time.perf_counter() - started
        return len(times) < WARM_UP + TIMED and (len(times) <= WARM_UP or spent < budget)

    while recipe.ranks.first(go_on):
        for x, y in recipe.batches(epoch=state.step // recipe.steps_per_epoch):
            begin = time.perf_counter()
            train_step(recipe, state, x, y)
            if recipe.device.type == "cuda":
                torch.cuda.synchronize(recipe.device)
            times.append(time.perf_counter() - begin)
            if len(times) == WARM_UP + TIMED:
                break
    timed = times[WARM_UP:]
    return statistics.median(timed), f"median of {quantity(len(timed), 'timed step')}"


def peak_memory(device: torch.device) -> str:
    """The most memory that this process has held so far, for printing."""
    if device.type == "cuda":
        return f"{torch.cuda.max_memory_allocated(device) / _MIB:,.0f} MiB on the GPU"
    resident = peak_resident()
    return "an amount that this system does not tell" if resident is None else f"{resident / _MIB:,.0f} MiB"
