"""Options of what a supernet's training draws and learns by: those that its phases may have each for itself."""

from config_file.fields import option
from config_file.options import options
from training.controller import EnasOptions
from training.recipe_options import course
from training.trainers import TRAINERS
from training.trainers.balanced import BalanceOptions
from training.trainers.paths import FairOptions
from training.trainers.sandwich import SandwichOptions
from training.trainers.teacher import TeacherOptions
from training.trainers.uniform import UniformOptions


@options("Training")
class SamplingOptions(EnasOptions, TeacherOptions, FairOptions, BalanceOptions, UniformOptions, SandwichOptions):
    """Sampling of paths, and what they learn beside the labels."""

    sample_strategy: str = option(
        "uniform",
        "{names} or module:callable (balanced: networks of every size equally often; fair as FairNAS: every candidate "
        "in every step; sandwich: the largest network, the smallest and random ones; differentiable: weights and "
        "architecture parameters; enas: weights and a controller)",
        metavar="NAME",
        names=TRAINERS,
        aliases={"strict_fairness": "fair", "random_one_shot": "uniform"},
        decides="training learning",
    )
    elastic_resolution: str | None = course(
        None,
        "image sizes, one of which is drawn per step: 128-224:4 or 128,160,224, at most --resolution; none: that one",
        metavar="SIZES",
    )
