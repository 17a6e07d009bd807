"""The settings of a search from Python, or of Neural Compressor's YAML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from config_file.errors import UserError, choose, nearest
from config_file.fields import options_of
from config_file.foreign import section
from config_file.plugins import is_reference
from config_file.readers.door import reading
from config_file.readers.form import check_form
from config_file.readers.yaml_text import read_yaml
from search.foreign.neural_compressor import KEYS, TRIALS, check_keys, recognises, strategies
from search.options import SearchOptions
from supernet.decisions import DecisionSpace

_SEARCH = {
    "search_space?": (dict, str, None),
    "search_algorithm?": (str, None),
    "metrics?": ([str], str, None),
    "higher_is_better?": ([bool], None),
    "max_trials?": (int, None),
    "seed?": (int, None),
}


@dataclass
class NASConfig:
    """The settings: what is searched, how, and for how long.

    Attributes:
        approach: the name of one that is registered: basic, dynas, or one's own.
        search_space: {name: [value, ...]} for a `model_builder`, a space of ours, or the name of one.
        search_algorithm: bo, grid, random or any of our strategies; none: bo.
        metrics: the names of what an evaluation gives; none: all that it gives.
        higher_is_better: of each metric; none: more is better of all.
        max_trials: architectures that are evaluated.
        seed: of everything random.
        options: of `search.py`, such as epochs=3, for a search of a space of ours; of its strategies in any.
        dynas: the settings of that approach by their names there, as a mapping or so: `config.dynas.population = 50`.
        sections: of a file the others beside `nas`.

    Raises:
        UserError: a name or a value that there is nothing of.
    """

    approach: str | None = None
    search_space: Mapping[str, Sequence[Any]] | DecisionSpace | str | None = None
    search_algorithm: str | None = None
    metrics: Sequence[str] | None = None
    higher_is_better: Sequence[bool] | None = None
    max_trials: int | None = None
    seed: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    dynas: Any = field(default_factory=SimpleNamespace)
    sections: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.approach = self.approach or "basic"
        self.max_trials = TRIALS if self.max_trials is None else self.max_trials
        self.seed = 42 if self.seed is None else self.seed
        self.metrics = [self.metrics] if isinstance(self.metrics, str) else self.metrics
        if isinstance(self.dynas, Mapping):
            self.dynas = SimpleNamespace(**self.dynas)
        elif not hasattr(self.dynas, "__dict__"):
            raise UserError(f"NASConfig: dynas holds names and values, not {self.dynas!r:.60}")
        self.check()

    def check(self) -> None:
        """Raise UserError where something cannot be meant."""
        if not isinstance(self.max_trials, int) or self.max_trials < 1:
            raise UserError(f"max_trials is a number of trials, at least 1, not {self.max_trials!r:.60}")
        if self.higher_is_better is not None and len(self.higher_is_better) != len(self.metrics or ()):
            raise UserError("higher_is_better says true or false of each of metrics, which must be named too")
        known = [*options_of(SearchOptions)]
        for name in self.options:
            if name not in known:
                raise UserError(f"NASConfig: search.py has no option {name!r}{nearest(name, known)}")

    @property
    def strategy(self) -> str:
        """The name of the strategy."""
        name = self.search_algorithm or "bo"
        return name if is_reference(name) else choose("search_algorithm", name, strategies())

    def content(self) -> dict[str, Any]:
        """All of it in the form of Neural Compressor's files."""
        search = {
            "search_space": self.search_space,
            "search_algorithm": self.search_algorithm,
            "metrics": self.metrics,
            "higher_is_better": self.higher_is_better,
            "max_trials": self.max_trials,
            "seed": self.seed,
        }
        nas = {"approach": self.approach, "search": {k: v for k, v in search.items() if v is not None}}
        return {**self.sections, "nas": nas | ({"dynas": vars(self.dynas)} if vars(self.dynas) else {})}

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Neural Compressor's YAML.

        Raises:
            UserError: unreadable, without a section `nas`, or with an unknown key or a bad value in it; the message
                begins with the path.
        """
        content = read_yaml(path)
        with reading(path):
            if not isinstance(content, Mapping) or not recognises(content):
                raise UserError("a search from Python needs a section 'nas' (Neural Compressor's form)")
            check_keys(content)
            nas, search, dynas = (section(content, name, KEYS[name]) for name in ("nas", "nas.search", "nas.dynas"))
            check_form(dict(search), _SEARCH, path, "nas.search")
            for name in (search.get("search_algorithm"), search.get("search_space"), dynas.get("supernet")):
                if is_reference(str(name)):
                    raise UserError(
                        f"{name} is code of your own, and no file decides which code is run: say it in Python"
                    )
            return cls(
                approach=nas.get("approach"),
                **search,
                dynas=SimpleNamespace(**dynas),
                sections={name: part for name, part in content.items() if name != "nas"},
            )
