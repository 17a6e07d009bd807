"""An approach of a search from Python: what proposes, what estimates, and what is kept of it.

    @nas_registry("mine")
    class Mine(NASBase):
        def estimate(self, model):
            return {"acc": ...}

    config = NASConfig(approach="mine", search_space={"channels": [16, 32]})
    best = NAS(config, model_builder=build).search("results")

Every trial is kept in an archive: an approach is driven again when it is resumed, and what is there is looked up.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from torch import nn

from config_file.errors import UserError
from config_file.files import atomic_write_text, remove_leftovers
from config_file.lock import only_process
from lookup_tables.limits import Limits
from search import engine
from search.archive import Archive, read_archive
from search.basic.config import NASConfig
from search.basic.results_text import line_of, results_text
from search.basic.trials import PARAMS, Metrics, Total, TrialEvaluator
from search.basic.values import Config, architecture_of, config_of, space_of_values
from search.cli import main as search_stage
from search.foreign.neural_compressor import NEURAL_COMPRESSOR
from search.ledger import Ledger, Stop
from search.objectives import Objective
from search.pareto import non_dominated
from search.problem import Problem
from search.reporting.finished_search import ARCHIVE, read_search
from search.reporting.front_report import values_of
from search.result import Result
from search.schedules import AllAlike
from search.strategies import Strategy, make_strategy, searches_front
from supernet import Architecture, Network, NetworkSpace
from supernet.decisions import DecisionSpace
from training.kept_trial import FOLDER as TRIALS

FOLDER = "NASResults"
FINAL = "Final_results.txt"
TRIAL = "Trial_{}_results.txt"
LEFT = (ARCHIVE, FINAL, TRIAL.format("*"), f"{TRIALS}/*")
"""The files that a search leaves in its folder."""

APPROACHES: dict[str, Callable[..., "NASBase"]] = {}
"""Each called (config, search_space=, model_builder=)."""

A = TypeVar("A", bound=type["NASBase"])


def nas_registry(name: str) -> Callable[[A], A]:
    """Enter a class of approaches under a name, which `NASConfig.approach` and a file may then give."""

    def enter(approach: A) -> A:
        APPROACHES[name.lower()] = approach
        return approach

    return enter


class NASBase:
    """A search by trials; a subclass says what a network is worth, or what is proposed.

    Args:
        config: the settings.
        search_space: instead of that of the settings: {name: [value, ...]}, or a space of ours.
        model_builder: a value of each name to a network; none: the network that the space says.

    Attributes:
        search_algorithm: the name of a strategy; or an object that proposes: with `ask` and `tell` as a strategy, or
            with `suggest` and `get_feedback`.
        best_model_archs: of the last search, best first.
        log: takes the lines that say how far it is.
    """

    def __init__(
        self,
        config: NASConfig,
        search_space: Mapping[str, Sequence[Any]] | DecisionSpace | None = None,
        model_builder: Callable[[Config], nn.Module] | None = None,
    ) -> None:
        self.config = config
        self.search_space = search_space or config.search_space
        self.model_builder = model_builder
        self.search_algorithm: Any = config.search_algorithm
        self.best_model_archs: list[Config] | None = None
        self.log: Callable[[str], Any] = print
        directions = config.higher_is_better
        self._metrics = Metrics(
            None if config.metrics is None else tuple(config.metrics), None if directions is None else tuple(directions)
        )
        self._total = Total("total", maximise=True, measured=True, metrics=self._metrics)
        self._space: DecisionSpace | None = None
        self._results: dict[Architecture, Result] = {}
        self._proposing: Any = None

    # ---- what a subclass may say

    def estimate(self, model: nn.Module) -> Any:
        """The worth of a network: a number, or {metric: number}. What it raises is a failed trial."""
        raise NotImplementedError(f"{type(self).__name__} has no estimate()")

    def select_model_arch(self) -> Config | None:
        """The next proposal of the search algorithm, a value of each name; None when there are no more."""
        if self._proposing is None:
            self._proposing = self._algorithm()
        if hasattr(self._proposing, "suggest"):
            return dict(self._proposing.suggest())
        proposals = self._proposing.ask(1)
        return config_of(self.space, proposals[0]) if proposals else None

    def learn(self, results: Sequence[Result]) -> None:
        """Tell the search algorithm what became of its proposals; one with `get_feedback` the sum of the metrics."""
        if hasattr(self._proposing, "get_feedback"):
            for result in results:
                if not result.failed:
                    self._proposing.get_feedback(self._total.value(result))
        elif self._proposing is not None:
            self._proposing.tell(results)

    # ---- the search

    @property
    def space(self) -> DecisionSpace:
        """The architectures there are. Raises UserError where that is not said, or by a name only."""
        if self._space is None:
            space = self.search_space
            if space is None or isinstance(space, str):
                raise UserError(f"search_space is {{name: [value, ...]}}, or a space that was built, not {space!r:.60}")
            self._space = space if isinstance(space, DecisionSpace) else space_of_values(space)
        return self._space

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The metrics that count, and which way is better."""
        return self._metrics.objectives

    def search(self, res_save_path: str | Path | None = None, overwrite: bool = False) -> list[Config]:
        """The best architectures of `max_trials`: those that none beats in all metrics.

        Every finished trial is kept in the folder NASResults; the same call goes on where it was interrupted.

        Args:
            res_save_path: the folder in which that one lies; none: the current one.
            overwrite: forget the trials that lie there.

        Raises:
            UserError: the folder holds trials of something else, another process writes there, or all trials failed.
        """
        folder = Path(res_save_path or ".").expanduser() / FOLDER
        with only_process(folder):
            folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder)
            if overwrite:
                for path in [path for name in LEFT for path in folder.glob(name)]:
                    path.unlink()
            self.config.check()
            self._run(folder, overwrite)
            best = self.find_best_model_archs()
            self.dump_search_results(folder / FINAL)
        self.log(f"{len(best)} best of {len(self._results)}, all of them in {folder / FINAL}")
        return best

    __call__ = search

    def _run(self, folder: Path, overwrite: bool) -> None:
        """Propose and judge until there were as many trials as there should be."""
        judge = self._evaluator(folder)
        archive = Archive(folder / ARCHIVE, judge.fingerprints)
        if len(archive):
            self.load_search_results(folder)
            self.log(f"{len(archive)} trials are there already")
        self._results, self._proposing = {}, None

        def watch(result: Result, _cached: bool, _first: bool) -> None:
            if result.architecture in self._results:
                return
            self._results[result.architecture] = result
            number = len(self._results)
            self.log(f"trial {number} of {self.config.max_trials}: {line_of(self.space, result)}")
            path = folder / TRIAL.format(number)
            if not path.exists():
                self.dump_search_results(path)

        budget = {what: self.config.options.get(f"budget_{what}") for what in ("epochs", "seconds")}
        ledger, schedule = Ledger(Stop(self.config.max_trials, **budget)), AllAlike(tuple(judge.fidelities))
        engine.run(_Proposals(self), judge, archive, {}, ledger=ledger, schedule=schedule, watch=watch)
        if callable(finish := getattr(judge, "finish", None)):
            finish()

    def _evaluator(self, folder: Path) -> Any:
        """The judge of the networks, with files of its own in the folder where it has any."""
        return TrialEvaluator(self.space, self._builder(), self.estimate, self._metrics, int(self.config.seed or 0))

    def _run_stage(self, folder: Path, overwrite: bool) -> None:
        """The same by `search.py`, in a folder of its own that `retrain.py --search` takes."""
        place = folder / "search"
        going_on = not overwrite and (place / "config.yaml").is_file()
        search_stage([*self._words(place), *["--overwrite"] * overwrite, *["--resume"] * going_on])
        found = read_search(place)
        self._space, self._results = found.space, {result.architecture: result for result in found.results}
        self._metrics.taken = found.objectives

    def _words(self, place: Path) -> list[str]:
        """The settings as a command line of `search.py`, which is checked, and goes on from other stages, as any is."""
        content = self.config.content()
        if not isinstance(self.config.search_space, str):
            content["nas"]["search"].pop("search_space", None)
        values = {**NEURAL_COMPRESSOR.options(content), **self.config.options, "output": place}
        return [f"--{name}={_in_words(value)}" for name, value in values.items() if value is not None]

    def load_search_results(self, path: str | Path) -> None:
        """Take the trials that a search left in its folder.

        Raises:
            UserError: there is no archive, it is damaged, or of another space.
        """
        file = Path(path) / ARCHIVE
        prints, results = read_archive(file)
        if prints is None or prints.get("space") != self.space.decisions_fingerprint:
            raise UserError(f"{file}: {'no trials are there' if prints is None else 'its trials are of another space'}")
        self._results = {result.architecture: result for result in results}
        if self._metrics.names is None and (sound := self._sound()):
            self._metrics.names = tuple(name for name in sound[0].metrics if name != PARAMS)

    def dump_search_results(self, path: str | Path) -> None:
        """Write all results and the best of them as text."""
        atomic_write_text(path, results_text(self.space, self._results.values(), self._best()))

    def find_best_model_archs(self) -> list[Config]:
        """The architectures that no other one beats in all metrics, the best by the first metric first.

        Raises:
            UserError: there are no trials, or all of them failed.
        """
        if not (best := self._best()):
            notes = [result.note for result in self._results.values()]
            if not notes:
                raise UserError("there are no trials yet")
            raise UserError(
                f"all {len(notes)} trials failed, the first one: {notes[0]} (they are kept: overwrite=True tries again)"
            )
        self.best_model_archs = [config_of(self.space, result.architecture) for result in best]
        return self.best_model_archs

    @property
    def search_results(self) -> dict[tuple[Any, ...], dict[str, float]]:
        """{values in the order of their names: {metric: number}} of the trials that did not fail."""
        return {
            tuple(config_of(self.space, result.architecture).values()): dict(result.metrics) for result in self._sound()
        }

    def _sound(self) -> list[Result]:
        return [result for result in self._results.values() if not result.failed]

    def _best(self) -> list[Result]:
        sound = self._sound()
        values = values_of(sound, self.objectives)
        return [sound[place] for place in sorted(non_dominated(values).tolist(), key=lambda place: values[place, 0])]

    def _builder(self) -> Callable[[Config], nn.Module]:
        space, build = self.space, self.model_builder
        if build is not None:
            return build
        if not isinstance(space, NetworkSpace):
            raise UserError("a search space of values needs a model_builder: a value of each name to a torch.nn.Module")
        return lambda config: Network(space.decode(architecture_of(space, config)), space.input_shape[0])

    def _algorithm(self) -> Strategy | Any:
        """The object that proposes: one of the user's own as it is, else a strategy by its name."""
        if self.search_algorithm is not None and not isinstance(self.search_algorithm, str):
            return self.search_algorithm
        self.config.search_algorithm = self.search_algorithm
        name = self.config.strategy
        objectives = self.objectives if searches_front(name) else (self._total,)
        if not objectives:
            raise UserError(f"search_algorithm {name} searches a front of metrics: name them in the settings (metrics)")
        settings = {
            "random_seed": self.config.seed,
            "warm_start": None,
            "random_iteration": self.config.max_trials,
            "startup": 2,  # as Neural Compressor's; so is the upper bound
            "bo_acquisition": "ucb",
            **self.config.options,
        }
        return make_strategy(name, Problem(Limits(self.space), objectives), SimpleNamespace(**settings))


def _in_words(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


class _Proposals:
    """The proposals of an approach, as a strategy that proposes one at a time."""

    size: int | None = None

    def __init__(self, approach: NASBase) -> None:
        self._approach = approach

    def ask(self, n: int) -> list[Architecture]:
        config = self._approach.select_model_arch()
        space = self._approach.space
        return [] if config is None else [space.canonical(architecture_of(space, config))]

    def tell(self, results: Sequence[Result]) -> None:
        self._approach.learn(results)
