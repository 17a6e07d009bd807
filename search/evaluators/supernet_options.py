"""Options of an evaluation with the weights of a supernet."""

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options


@options("Evaluation")
class SupernetEvaluationOptions:
    """Scoring of a candidate with the supernet's weights."""

    calibration_images: int = option(1024, "training images that re-calibrate a candidate's BN; 0: none", at_least=0)
    eval_images: tuple[int, ...] = option(
        (0,),
        "validation images per candidate, 0: all that are not held back; several, as 500,2000,0: everyone on the "
        "first, the better half of a population on the next, what is chosen on the last",
        at_least=0,
    )
    eval_batch_size: int = option(
        64, "images per batch of an evaluation; a GPU validates more at once", at_least=1, at_most=2**20
    )
    refit_head: bool = option(
        False,
        "judge a candidate by its features: its last linear layer is fitted anew, in closed form, each validation "
        "image is predicted by the fit on all others, and the loss is the squared error",
    )
    prefix_sharing: bool = option(True, "compute layers that several candidates begin with once (chains; same results)")
    equal_networks: str = option(
        "once",
        "cells that are the same network (nasbench201): once, all with the score of the first of them in the order of "
        "the space; each, with its own weights",
        choices=("once", "each"),
    )
    eval_memory: float = option(
        4.0,
        "activations that shared prefixes may hold; on a GPU, where it is not given, a quarter of its memory",
        unit="GiB",
        at_least=0,
    )

    def rules(self) -> None:
        """Raise UserError where options contradict each other."""
        if self.refit_head and 1 in self.eval_images:
            raise UserError("--refit-head fits on the validation images, at least 2 of them: not --eval-images 1")
