"""Options of an evaluation, whatever evaluates."""

from config_file.fields import option
from config_file.options import options
from search.evaluators import EVALUATORS
from search.evaluators.benchmark_options import BenchmarkOptions
from search.evaluators.supernet_options import SupernetEvaluationOptions
from search.evaluators.training import TrainedOptions
from search.evaluators.zero_cost import ZeroCostOptions
from training.options import NetworkTrainersOptions


@options("Evaluation")
class EvaluationOptions(
    SupernetEvaluationOptions, TrainedOptions, NetworkTrainersOptions, ZeroCostOptions, BenchmarkOptions
):
    """The evaluator that scores candidates, and in how many processes; with the options of the shipped ones."""

    evaluator: str = option(
        "supernet",
        "what scores candidates: {names} (the weights of a trained one), or module:callable",
        metavar="NAME",
        names=EVALUATORS,
    )
    workers: int = option(
        1,
        "processes that evaluate, each with --threads or else one; same results in the same order",
        at_least=1,
        at_most=1024,
    )
