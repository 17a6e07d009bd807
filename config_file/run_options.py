"""Options of every stage: where its run lives, and on what it runs."""

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options

LARGEST_SEED = 2**32 - 1  # numpy takes no larger one


@options("Run")
class RunOptions:
    """Place and means of a run; part of every stage."""

    title: str | None = option(None, "name of the run; its stages lie in ROOT_PATH/NAME/", metavar="NAME")
    config: str | None = option(
        None, "YAML file with options; the command line wins over it", metavar="FILE.yml", saved=False
    )
    root_path: str = option("runs", "folder of all runs", metavar="FOLDER")
    output: str | None = option(None, "write this stage to exactly this folder instead", metavar="FOLDER")
    resume: bool = option(False, "continue an interrupted run, with its saved options", saved=False)
    overwrite: bool = option(False, "start anew where this stage has been run before", saved=False)
    plan: bool = option(False, "print what would run, its time and memory, and stop", saved=False)
    plan_seconds: float = option(
        10, "of --plan: for timing whole steps or evaluations, where a first estimate says that some fit", unit="s",
        at_least=0, saved=False, only={"plan": (True,)}
    )  # fmt: skip
    random_seed: int = option(
        42, "seed of everything random", at_least=0, at_most=LARGEST_SEED, decides="training learning"
    )
    device: str = option("auto", "auto (a GPU if there is one), cpu, cuda, cuda:1, ...", metavar="DEVICE")
    threads: int = option(0, "CPU threads; 0 leaves the choice to PyTorch", at_least=0, at_most=1024)
    num_workers: int = option(2, "processes that load data too large for memory", at_least=0, at_most=1024)
    amp: str = option("auto", "mixed precision; auto: where it pays", choices=("auto", "off", "bf16", "fp16"))
    channels_last: bool = option(True, "NHWC memory layout")
    tensorboard: bool = option(True, "write TensorBoard files beside metrics.jsonl")

    @property
    def parts(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Parts of the stage's work that this process does, and those that others may do; none if it has no parts."""
        return (), ()

    def rules(self) -> None:
        """Raise UserError where options contradict each other."""
        if self.title is None and self.output is None:
            raise UserError("--title NAME is missing: it names the run (or give --output FOLDER)")
        if self.title is not None and (self.title[:1] in ("", ".") or not set(self.title).isdisjoint("/\\:\0\n")):
            raise UserError(f"--title is the name of a folder, without / or a leading dot, not {self.title!r}")
        if self.resume and self.overwrite:
            raise UserError("--resume continues a run and --overwrite starts it anew: give one of them")
