"""Options of `python -m search.rank`."""

from typing import ClassVar

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options
from config_file.run_options import RunOptions
from search.evaluators.options import EvaluationOptions
from search.scores import ScoreOptions
from search.structure.options import StructureOptions
from supernet.spaces.options import SpaceOptions
from training.data.options import DataOptions

_GROUP = "Ranking"


@options()
class RankOptions(StructureOptions, ScoreOptions, EvaluationOptions, SpaceOptions, DataOptions, RunOptions):
    """Options of `python -m search.rank`."""

    stage: ClassVar[str] = "rank"

    truth: str = option(
        "nasbench_macro", "accuracies of networks trained alone: nasbench_macro, nasbench201 (files in the folder that "
        "NAS_SHARED_DATA names), FILE.npz of either, or FILE.csv with architecture (names, indices or a JSON list) and "
        "accuracy (percent, or fractions where none is above 1; several rows of a network are trainings of it)",
        group=_GROUP, metavar="TRUTH"
    )  # fmt: skip
    truth_dataset: str = option(
        "cifar10", "data set of nasbench201", group=_GROUP, choices=("cifar10", "cifar100", "ImageNet16-120")
    )
    scores: str | None = option(
        None, "rank these scores instead of a supernet's: CSV with architecture and score or accuracy; names of "
        "options need --search-space", group=_GROUP,
        metavar="FILE.csv"
    )  # fmt: skip
    architectures: int = option(0, "networks of the truth, drawn uniformly; 0: all", group=_GROUP, at_least=0)
    resamples: int = option(1000, "of the bootstrap", group=_GROUP, at_least=10, at_most=10**6)
    supernet: str | None = option(
        None, "folder of the trained supernet; none: by --title", group="Run", metavar="FOLDER"
    )

    def rules(self) -> None:
        """Raises UserError where options of the groups contradict each other."""
        if 0 < self.architectures < 3:
            raise UserError(f"--architectures must be 0, for all, or at least 3, not {self.architectures}")
        if len(self.eval_images) > 1:
            raise UserError("--eval-images: a ranking judges all networks on the same images, so give one number")
        if self.score == "sloped":
            raise UserError("--score sloped is drawn towards a limited cost: a ranking has no limit (search.py has)")
