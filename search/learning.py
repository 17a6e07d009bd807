"""Gradient-based search around a supernet: train both together, or learn an architecture on weights that stay."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch

from config_file.errors import UserError
from config_file.fields import options_of
from config_file.gradient_options import parse_constraints, parse_limits
from config_file.options import SearchOptions, TrainSupernetOptions
from config_file.progress import progress
from config_file.run_folder import RunFolder
from config_file.stages import stage_path
from supernet import Supernet
from supernet.gating import statistics_kept
from training.architecture_file import FILE, Distribution, load_distribution
from training.architecture_report import distribution_of
from training.architecture_step import WeightStep
from training.data import Data
from training.differentiable import ArchitectureLearner
from training.hardware import make_hardware
from training.recipe import DIFFERENTIABLE
from training.supernet_file import WEIGHTS
from training.train_supernet import train_supernet

PLANNED_STEPS = 3
"""Architecture steps that --plan makes, to say how long all of them take."""


def with_constraints(options: SearchOptions) -> SearchOptions:
    """The options with --constraint's limits of --info-metric, if it has any, as --target-hc and --min-hc.

    Raises:
        UserError: a lower limit in a differentiable search, which keeps upper ones only.
    """
    if options.directly_search or options.search_strategy == "differentiable":
        parse_constraints(options.constraint)
    lower, upper = parse_limits(options.constraint).get(options.info_metric, (None, options.target_hc))
    return replace(options, target_hc=upper, min_hc=options.min_hc if lower is None else lower)


def train_first(options: SearchOptions) -> SearchOptions:
    """`--directly-search`: the supernet's stage, with weights and architecture parameters trained together.

    A finished supernet is kept under --resume, trained anew under --overwrite, and refused otherwise. Returns the
    options of the search that follows.

    Raises:
        UserError: another --sample-strategy than a differentiable one was asked for, or what the training refuses.
        KeyboardInterrupt: Ctrl-C, after a checkpoint.
    """
    strategy = options.sample_strategy
    if strategy not in DIFFERENTIABLE:
        if strategy != "uniform":  # the default, which means that none was asked for
            raise UserError(f"--directly-search trains differentiably, not by --sample-strategy {strategy}")
        strategy = "differentiable"
    if options.plan:
        raise UserError(
            "--directly-search cannot be planned at once: see train_supernet.py --plan, then search.py --plan"
        )
    shared = {name: getattr(options, name) for name in options_of(TrainSupernetOptions) if hasattr(options, name)}
    folder = stage_path(options, "supernet")
    settings = shared | {"sample_strategy": strategy, "output": options.supernet, "config": None, "plan": False}
    training = TrainSupernetOptions(**settings)
    if not options.resume:
        RunFolder.check(options)  # before the training, not hours later
    if not (options.resume and (folder / WEIGHTS).is_file()):
        begun = options.resume and (folder / "config.yaml").is_file()
        train_supernet(replace(training, resume=begun))
    searched = (stage_path(options) / "archive.jsonl").is_file()
    return replace(options, search_strategy="differentiable", resume=options.resume and searched)


def learnt_distribution(
    options: SearchOptions, source: Path, supernet: Supernet, data: Data, device: torch.device
) -> Distribution:
    """What was learnt with the supernet, or, of one trained by sampling, what is learnt here on its frozen weights.

    Args:
        options: of the search; with `plan` only a few steps are made, to time them.
        source: folder of the supernet.
        supernet: on `device`.
        data: its validation images fit the architecture parameters: the weights know the training images.
        device: where the supernet is.

    Raises:
        UserError: a damaged file, an unknown relaxation, or limits that nothing is within.
    """
    if (source / FILE).is_file():
        return load_distribution(source, supernet.space)
    steps = max(1, len(data.val) // min(options.batch_size, len(data.val)))
    hardware = make_hardware(options, supernet.space, data.resolution, device)
    strategy = options.sample_strategy if options.sample_strategy in DIFFERENTIABLE else "differentiable"
    learner = ArchitectureLearner(
        replace(options, sample_strategy=strategy, a_warmup_epochs=0.0, a_every=1),
        supernet,
        data.val,
        hardware,
        device,
        epochs=options.a_epochs,
        steps_per_epoch=steps,
    )
    if options.a_order != 1:
        raise UserError("--a-order 2 looks through a step of the weights, and here they are frozen: use --a-order 1")
    norms = [module for module in supernet.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    training = supernet.training
    supernet.train()  # batch norms use the statistics of the batch: those kept are mixed over all paths
    nothing = torch.empty(0)
    total = options.a_epochs * steps
    made = min(total, PLANNED_STEPS) if options.plan else total
    started = time.perf_counter()
    with statistics_kept(lambda: norms):
        for step in progress(range(made), "learning the architecture on frozen weights", "step"):
            learner.step(step, nothing, nothing, _no_weight_step)
    supernet.train(training)
    each = (time.perf_counter() - started) / made
    about = {"order": 1, "frozen_weights": True, "epochs": options.a_epochs, "steps": total, "seconds_per_step": each}
    return distribution_of(learner, about)


def _no_weight_step() -> WeightStep:
    raise AssertionError("first order takes the weights as they are")
