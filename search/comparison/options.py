"""Options of `python -m search.verdict`, and the arms of its comparison."""

from typing import ClassVar

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options
from training.options import RetrainOptions

FOUND, RANDOM, BASELINE = ARMS = "found", "random", "mobilenetv2"


@options()
class VerdictOptions(RetrainOptions):
    """Options of `python -m search.verdict`: those of a retraining, which every network gets alike."""

    stage: ClassVar[str] = "verdict"

    searches: int = option(
        1, "searches that are compared: the finished one, and the same with the next seeds over the same supernet, "
        "which are run beside it (folders search-seed43, ...); with one, what is said is of the network that it found",
        group="Verdict", at_least=1, at_most=1000
    )  # fmt: skip
    top_k: int = option(
        1, "best architectures of each search that are retrained", group="Verdict", at_least=1, at_most=10**4
    )
    seeds: int = option(
        3, "trainings of each network found and of the MobileNetV2, each with a seed of its own from RANDOM_SEED on",
        group="Verdict", at_least=2, at_most=1000
    )  # fmt: skip
    random_networks: int = option(
        10, "random networks of the same cost, half of them below and half above it, each trained once",
        group="Verdict", at_least=2, at_most=10**4
    )  # fmt: skip
    lookup_table: str | None = option(
        None, "table of the cost that the search was limited in; none: the one it used", group="Verdict",
        metavar="[NAME=]FILE.json", repeat=True, flags=("lookup_table_path",), inherit=True
    )  # fmt: skip
    only: str = option(
        "all", "train one arm of the comparison here, to share the work between processes: the first begins it, the "
        "others, at the same time, give --resume; with --searches, once the searches are there", group="Verdict",
        choices=("all", *ARMS), saved=False
    )  # fmt: skip

    @property
    def parts(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The arms that this process trains, and those that others may."""
        mine = ARMS if self.only == "all" else (self.only,)
        return mine, tuple(arm for arm in ARMS if arm not in mine)

    def rules(self) -> None:
        """Raises UserError where options of the groups contradict each other."""
        super().rules()
        if self.random_networks < self.searches:
            raise UserError(f"--random-networks {self.random_networks}: at least as many as --searches {self.searches}")
        if self.architecture is not None or self.init != "scratch":
            raise UserError("a verdict retrains what the search found, from scratch: no --architecture, no --init")
        if self.export_checkpoint != "last":
            raise UserError("a verdict tests the weights of the last step: no --export-checkpoint")
