"""Options that several strategies read."""

from config_file.fields import option
from config_file.options import options


@options("Strategy")
class DedupOptions:
    """Of strategies that could propose an architecture again."""

    dedup: bool = option(True, "never propose the same architecture twice")


@options("Strategy")
class ProposalsOptions:
    """Of strategies that propose one architecture at a time by themselves."""

    proposals: int = option(
        1,
        "architectures proposed at once by regularized_evolution, local_search and bayesian, from the same knowledge",
        at_least=1,
        at_most=10**5,
    )


@options("Evolution")
class PopulationOptions:
    """Of strategies that propose population by population."""

    population: int = option(60, "architectures per generation", at_least=2, at_most=10**5)


@options("Bayesian")
class StartupOptions:
    """Of strategies that fit a model to random architectures first."""

    startup: int = option(
        20, "random architectures before tpe, bayesian and structured begin", at_least=2, at_most=10**5
    )
