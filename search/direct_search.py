"""`search.py --directly-search`: the supernet is trained first, with its architecture parameters."""

from dataclasses import replace

from config_file.errors import UserError
from config_file.fields import options_of
from config_file.options import was_given
from config_file.run_folder import RunFolder
from config_file.run_mark import has_begun, is_finished
from config_file.stages import stage_path
from search.options import DERIVED, SearchOptions
from training.options import TrainSupernetOptions
from training.train_supernet import train_supernet
from training.trainers import relaxation_of


def train_first(options: SearchOptions) -> SearchOptions:
    """`--directly-search`: the supernet's stage, with weights and architecture parameters trained together.

    A finished supernet is kept under --resume, trained anew under --overwrite, and refused otherwise. Returns the
    options of the search that follows.

    Raises:
        UserError: another --sample-strategy than a differentiable one was asked for, or what the training refuses.
        KeyboardInterrupt: Ctrl-C, after a checkpoint.
    """
    strategy = options.sample_strategy
    if relaxation_of(strategy) is None:
        if was_given(options, "sample_strategy"):
            raise UserError(f"--directly-search trains differentiably, not by --sample-strategy {strategy}")
        strategy = DERIVED
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
    if not (options.resume and is_finished(folder, "supernet")):
        train_supernet(replace(training, resume=options.resume and has_begun(folder)))
    searched = options.resume and has_begun(stage_path(options))
    return replace(options, resume=searched)
