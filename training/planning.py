"""`--plan`: what would run, measured on a few real steps, without leaving anything behind."""

import statistics
import time

import torch

from config_file.environment import peak_resident
from config_file.run_folder import RunFolder
from config_file.stages import stage_path
from training.loop import train_step
from training.recipe import Recipe
from training.stage import Training
from training.state import TrainingState

SCRIPTS = {"supernet": "train_supernet", "retrain": "retrain"}
WARM_UP, TIMED, BUDGET = 2, 7, 20.0
_MIB = 2**20


def print_plan(training: Training, target: str | None = None) -> None:
    """Time a few steps of this very training and print what the whole of it takes.

    The training is of no use afterwards. `target` is a line about what costs the space allows, if there is a choice.
    """
    recipe, options, state = training.recipe, training.options, training.state
    precision = "float32" if recipe.amp is None else f"{str(recipe.amp).removeprefix('torch.')} autocast"
    layout = "channels_last" if options.channels_last else "NCHW"
    passes = len(recipe.trainer.step(0).passes)
    seconds, timed = seconds_per_step(recipe, state)
    weights = sum(t.numel() * t.element_size() for t in state.model.state_dict().values()) / _MIB
    print(f"plan of {SCRIPTS[training.kind]}; nothing is started and nothing written")
    print(f"  data      {training.lines[0]}")
    print(f"  model     {training.lines[1]}")
    if target is not None:
        print(f"  range     {target}")
    print(
        f"  schedule  {options.epochs:,} epochs x {recipe.steps_per_epoch:,} steps = {recipe.steps:,} optimizer steps, "
        f"{passes} {'pass' if passes == 1 else 'passes'} over {options.batch_size} images each: "
        f"{recipe.steps * passes * options.batch_size:,} images forward and backward"
    )
    print(f"  device    {recipe.device}, {precision}, {layout}, {torch.get_num_threads()} CPU threads")
    print(
        f"  time      about {duration(seconds * recipe.steps)} without validation: {seconds:.3f} s per step "
        f"(median of {timed} timed steps)"
    )
    print(f"  memory    {peak_memory(recipe.device)} at its highest so far")
    print(
        f"  writes    {stage_path(options)}: weights of {weights:.1f} MiB, and a checkpoint of two to four "
        "times that while training"
    )
    if (obstacle := RunFolder.obstacle(options)) is not None:
        print(f"  but       {obstacle}")


def seconds_per_step(recipe: Recipe, state: TrainingState) -> tuple[float, int]:
    """(median seconds of a training step with its data, number of steps timed)."""
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < WARM_UP + TIMED and (len(times) <= WARM_UP or time.perf_counter() - started < BUDGET):
        for x, y in recipe.batches(epoch=state.step // recipe.steps_per_epoch):
            begin = time.perf_counter()
            train_step(recipe, state, x, y)
            if recipe.device.type == "cuda":
                torch.cuda.synchronize(recipe.device)
            times.append(time.perf_counter() - begin)
            if len(times) == WARM_UP + TIMED:
                break
    timed = times[WARM_UP:]
    return statistics.median(timed), len(timed)


def duration(seconds: float) -> str:
    """A length of time for printing: "42 s", "7 min", "3.5 h", "2.1 days"."""
    for unit, size, most in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172800)):
        if seconds < most:
            return f"{seconds / size:.1f} {unit}" if unit == "h" or seconds < 10 else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.1f} days"


def peak_memory(device: torch.device) -> str:
    """The most memory that this process has held so far, for printing."""
    if device.type == "cuda":
        return f"{torch.cuda.max_memory_allocated(device) / _MIB:,.0f} MiB on the GPU"
    resident = peak_resident()
    return "an amount that this system does not tell" if resident is None else f"{resident / _MIB:,.0f} MiB"
