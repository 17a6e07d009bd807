"""Before a search: the supernet, its data, the tables and the limits, checked against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from config_file.errors import UserError
from config_file.stages import find_stage
from lookup_tables import CostTable, build_table, load_tables
from lookup_tables.counters import OURS
from lookup_tables.limits import Limits, limited, limits_of
from search.budgets import Budgets, budgets_of
from search.evaluators.supernet import SupernetEvaluator
from search.objectives import Objective, check_objectives, chosen_by
from search.options import SearchOptions
from search.strategies import OF_A_FRONT, Strategy, make_differentiable, make_strategy, objectives_of
from supernet import SearchSpace
from supernet.metrics import counted_metrics
from supernet.spaces import SPACES
from tasks import CLASSIFICATION, Task, task_of
from training.data import Data, load_data
from training.device import choose_amp, choose_device, prepare_device
from training.differentiable_search.distribution_file import FILE
from training.differentiable_search.frozen import FrozenLearning
from training.supernet_file import TrainedSupernet, load_supernet

if TYPE_CHECKING:
    from search.ranking.rank import RankOptions


@dataclass(frozen=True)
class Search:
    """Everything one search needs, ready to run.

    Attributes:
        prepared: the strategy, None where `learning` comes first.
        learning: what an architecture is learnt by on frozen weights, where it is.
    """

    options: SearchOptions
    space: SearchSpace
    resolution: int
    tables: Mapping[str, CostTable]
    constraint: Limits
    prepared: Strategy | None
    learning: FrozenLearning | None
    evaluator: SupernetEvaluator
    budgets: Budgets
    fingerprints: Mapping[str, Any]

    @property
    def strategy(self) -> Strategy:
        """What proposes architectures."""
        assert self.prepared is not None, "what it proposes from is to be learnt first"
        return self.prepared

    @property
    def budget(self) -> int | None:
        """The greatest number of evaluations, None if not known beforehand."""
        return self.options.a_samples + 1 if self.prepared is None else self.prepared.budget

    def learn(self) -> Search:
        """The search once an architecture is learnt on frozen weights, where that comes first.

        Raises:
            UserError: a checkpoint to go on from does not fit, or what is learnt became NaN.
            KeyboardInterrupt: Ctrl-C or SIGTERM, after a checkpoint.
        """
        if self.learning is None or self.prepared is not None:
            return self
        return replace(self, prepared=make_differentiable(self.constraint, self.options, self.learning.run()))

    @property
    def title(self) -> str:
        return f"{self.options.search_strategy} over {self.space.name} at {self.resolution} px"

    @property
    def task(self) -> Task:
        """What the networks predict."""
        return self.evaluator.task

    @property
    def objective(self) -> Objective:
        """What one architecture is picked by."""
        return chosen_by(objectives_of(self.options), self.task)

    def describe(self) -> list[str]:
        """What will run, for people."""
        limit, space = self.constraint.first, self.space
        assert limit is not None
        least, greatest = (
            limit.table.metric.in_words(end[0]) for end in (limit.table.minimum(), limit.table.maximum())
        )
        images = self.evaluator.calibration_images
        calibration = f"BN re-calibrated on {images:,} training images" if images else "BN statistics of the supernet"
        head = ", refitted head" if self.evaluator.refit_head else ""
        most = self.budget
        budget = "as many evaluations as it asks for" if most is None else f"at most {most:,} evaluations"
        return [
            f"space      {space.name}: {space.size:,} encodings, {len(space.sizes)} decisions, {self.resolution} px",
            f"range      {limit.table.name} from {least} to {greatest}",
            f"limits     {'; '.join(self.constraint.describe())}; {share(self.constraint.acceptance)} of the space",
            f"strategy   {self.options.search_strategy}, {budget}",
            f"evaluation {calibration}{head}, {self.task.title} on {self._images()} validation images",
        ]

    def _images(self) -> str:
        own = self.evaluator.eval_images
        first, *more = (own if step is None else int(step["images"]) for step in self.budgets.fidelities)
        text = f"{first:,}"
        return text + "".join(f", of the better half on {number:,}" for number in more)


def prepare(options: SearchOptions) -> Search:
    """Read the supernet and its data, build the tables, and find out whether the limits can be met.

    Raises UserError for anything that does not fit.
    """
    source = find_stage(options, "supernet")
    device = choose_device(options.device)
    prepare_device(device, options.threads)
    trained = load_supernet(source, options.search_space)
    task = task_of(trained.info)
    options = with_metric(options, task)
    space = trained.space
    check_same_space(options, space, source)
    resolution = options.resolution or trained.info.get("resolution") or space.input_shape[1]
    tables = tables_for(options, space, resolution)
    check_objectives(objectives_of(options), tables, task)
    constraint = limits_of(options, space, tables)
    constraint.check()
    to_learn = options.search_strategy == "differentiable" and not (source / FILE).is_file()
    strategy = None if to_learn else make_strategy(options.search_strategy, constraint, options)
    data = load_data(options, resolution)
    check_same_data(data, trained.info, source)
    supernet = trained.supernet.to(device)
    learning = FrozenLearning(options, supernet, trained.info["sha256"], data, device, tables) if to_learn else None
    budgets = budgets_of(options.eval_images, len(data.val), chosen_by(objectives_of(options), task))
    images = options.eval_images[-1] if budgets.most is None else int(budgets.most["images"])
    evaluator, fingerprints = make_evaluator(options, trained, data, images, device, resolution)
    if budgets.most is not None:
        fingerprints["budgets"] = [dict(step) for step in budgets.fidelities if step is not None]
    return Search(
        options,
        space,
        resolution,
        tables,
        constraint,
        strategy,
        learning,
        evaluator,
        budgets,
        fingerprints,
    )


def make_evaluator(
    options: SearchOptions | RankOptions,
    trained: TrainedSupernet,
    data: Data,
    eval_images: int,
    device: torch.device,
    resolution: int,
) -> tuple[SupernetEvaluator, dict[str, Any]]:
    """What judges the subnets of a supernet (moved to `device`), and what its results depend on, for the archive."""
    evaluator = SupernetEvaluator(
        trained.supernet.to(device),
        data,
        calibration_images=options.calibration_images,
        eval_images=eval_images,
        batch_size=options.eval_batch_size,
        seed=options.random_seed,
        device=device,
        channels_last=options.channels_last,
        # auto is for training: a ranking is worth float32 unless asked otherwise
        amp=None if options.amp == "auto" else choose_amp(options.amp, device),
        refit_head=options.refit_head,
        prefix_sharing=options.prefix_sharing,
        memory=options.eval_memory,
    )
    fingerprints = {
        "space": trained.space.macro_fingerprint,
        "weights": trained.info["sha256"],
        "images": data.split_record.get("sha256"),
        "mean and std": [data.mean, data.std],
        "resolution": resolution,
        **evaluator.settings,
    }
    return evaluator, fingerprints


def with_metric(options: SearchOptions, task: Task) -> SearchOptions:
    """The options with the task's metric where they would mean the accuracy."""
    if options.objective or task is CLASSIFICATION:
        return options
    front = f",{options.info_metric}" if options.search_strategy in OF_A_FRONT else ""
    return replace(options, objective=task.metric + front)


def tables_for(options: SearchOptions, space: SearchSpace, resolution: int) -> dict[str, CostTable]:
    """What every evaluation is recorded with: counts, and the tables of --lookup-table.

    Raises UserError for a table that does not fit, or one that nothing asks for: a name says that it is meant.
    """
    given = load_tables(options.lookup_table, space, resolution)
    used = {*limited(options), *(o.name for o in objectives_of(options))}
    for name, table in given.items():
        if name not in used and table.title is None:
            raise UserError(
                f"--lookup-table holds {name}, not {options.info_metric}; if it is only to be recorded, name it: "
                f"{name}=FILE.json"
            )
    counted = {}
    for name in (metric.name for metric in counted_metrics()):
        counter = options.counter if name == options.info_metric else OURS
        counted[name] = build_table(space, name, resolution, counter)
    return counted | given


def check_same_space(options: SearchOptions, space: SearchSpace, source: Path) -> None:
    """Raises UserError where a flag asks for another space than the supernet was trained on."""
    recipe = space.describe()
    asked = {name: getattr(options, name) for name in ("search_space", "widths", "depths", "strides", "skip")}
    for name, value in asked.items():
        trained = recipe.get(name)
        if isinstance(trained, dict):  # the content of a file, which may have moved since
            trained = trained["name"] if value in SPACES else value
        if value is None:
            continue
        if (list(value) if isinstance(value, tuple) else value) != trained:
            raise UserError(f"--{name.replace('_', '-')} {value}: the supernet in {source} was trained with {trained}")


def check_same_data(data: Data, info: Mapping[str, Any], source: Path) -> None:
    """Raises UserError unless these are the images, split as they were when the supernet was trained.

    Otherwise the search would validate on images that the weights were fitted to.
    """
    if data.task is not task_of(info):
        raise UserError(f"{data.name} is of {data.task.name}, the supernet in {source} of {task_of(info).name}")
    if len(data.classes) != len(info["classes"]):
        raise UserError(f"{data.name} has {len(data.classes)} classes, the supernet in {source} {len(info['classes'])}")
    if data.split_record.get("sha256") != info["split"].get("sha256"):
        raise UserError(
            f"{data.name} is split differently than when the supernet in {source} was trained, which would validate on "
            "training images: give the same --dataset, --data-path, --train-portion and --split-seed"
        )


def share(fraction: float) -> str:
    """A share of a space in words."""
    if fraction == 1:
        return "all"
    return f"about {100 * fraction:.2g} %" if fraction > 0 else "less than 0.002 %"
