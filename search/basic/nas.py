"""The approaches that are here: real trainings by functions of one's own or by the toolkit, and supernets."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from config_file.errors import UserError, choose
from config_file.loader import parse
from search.basic.approach import APPROACHES, NASBase, nas_registry
from search.basic.config import NASConfig
from search.basic.trials import guard, judged_by
from search.basic.values import ValueSpace, built
from search.evaluators import Context, make_evaluator, measures_of
from search.objectives import check_objectives, parse_objectives
from search.options import SearchOptions
from supernet.decisions import DecisionSpace


def NAS(  # noqa: N802 - the name that it has there
    conf: NASConfig | str | Path,
    search_space: Mapping[str, Sequence[Any]] | DecisionSpace | None = None,
    model_builder: Callable[[dict[str, Any]], nn.Module] | None = None,
) -> NASBase:
    """The approach that settings name, or a file in Neural Compressor's form; `search` runs it.

    Args:
        search_space, model_builder: see `NASBase`.

    Raises:
        UserError: the file cannot be read, or there is no such approach.
    """
    config = conf if isinstance(conf, NASConfig) else NASConfig.from_file(conf)
    approach = choose("approach", str(config.approach).lower(), APPROACHES)
    return approach(config, search_space=search_space, model_builder=model_builder)


@nas_registry("basic")
class BasicNAS(NASBase):
    """Real trainings, of what a grid, chance, Bayesian optimisation or any other strategy proposes.

    A space of ours that is given by its name is searched by `search.py`, with the training evaluator, in the folder
    `search` of the results: --workers, budgets and the report are as there. Everything else is trained and judged by
    functions of one's own; without them, networks of a `model_builder` are trained as `retrain.py` trains one, on the
    data set and by the recipe of the file (`train`) or of `NASConfig.options`, in the folder `trials` of the results.

    Attributes:
        train_func: trains a network in place; None where `eval_func` does it.
        eval_func: a network to a number, or to {metric: number}.
    """

    train_func: Callable[[nn.Module], Any] | None = None
    eval_func: Callable[[nn.Module], Any] | None = None

    def estimate(self, model: nn.Module) -> Any:
        assert self.eval_func is not None  # see `_run`
        return judged_by(self.train_func, self.eval_func)(model)

    def _run(self, folder: Path, overwrite: bool) -> None:
        if self.train_func is not None and self.eval_func is None:
            raise UserError("a train_func of your own needs an eval_func: what it trained is to be judged")
        own = (self.eval_func, self.model_builder)
        if isinstance(self.search_space, str) and own == (None, None):
            self._run_stage(folder, overwrite)
        else:
            super()._run(folder, overwrite)

    def _evaluator(self, folder: Path) -> Any:
        if self.eval_func is not None:
            return super()._evaluator(folder)
        space = self.space
        trained = built(space, guard(self._builder())) if isinstance(space, ValueSpace) else space
        options = parse(SearchOptions, self._words(folder), "search.py", "")
        context = Context(options, space=trained)
        evaluator = make_evaluator(options.evaluator, context)
        if len(evaluator.fidelities) > 1:
            raise UserError("several fidelities are for search.py: from Python a network is trained once")
        measures = measures_of(options.evaluator, context)
        self._metrics.taken = parse_objectives(options.objective, measures)
        check_objectives(self._metrics.taken, measures, ())
        return evaluator


@nas_registry("dynas")
class DyNAS(NASBase):
    """A search on predictors with the weights of a supernet that `train_supernet.py` left: the stage `search.py`."""

    def _run(self, folder: Path, overwrite: bool) -> None:
        self._run_stage(folder, overwrite)
