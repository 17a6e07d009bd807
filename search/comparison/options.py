"""Options of `python -m search.verdict`, and the arms of its comparison."""

from typing import ClassVar

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options
from training.options import RetrainOptions

FOUND, RANDOM, BASELINE = "found", "random", "mobilenetv2"


@options()
class VerdictOptions(RetrainOptions):
    """Options of `python -m search.verdict`: those of a retraining, which every network gets alike."""

    stage: ClassVar[str] = "verdict"

    top_k: int = option(1, "best architectures of the search that are retrained", group="Verdict", at_least=1)
    seeds: int = option(3, "trainings of each: seeds RANDOM_SEED, RANDOM_SEED + 1, ...", group="Verdict", at_least=2)
    lookup_table: str | None = option(
        None, "table of the cost that the search was limited in; none: the one it used", group="Verdict",
        metavar="[NAME=]FILE.json", repeat=True, flags=("lookup_table_path",), inherit=True
    )  # fmt: skip
    only: str = option(
        "all", "train one arm of the comparison here, to share the work between processes", group="Verdict",
        choices=("all", FOUND, RANDOM, BASELINE), saved=False
    )  # fmt: skip

    def rules(self) -> None:
        """Raises UserError where options of the groups contradict each other."""
        super().rules()
        if self.architecture is not None or self.init != "scratch":
            raise UserError("a verdict retrains what the search found, from scratch: no --architecture, no --init")
        if self.export_checkpoint != "last":
            raise UserError("a verdict tests the weights of the last step: no --export-checkpoint")
