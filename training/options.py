"""Options of the two stages that train: a supernet, and one network."""

from typing import TYPE_CHECKING, Any, ClassVar

from config_file.errors import UserError
from config_file.fields import option, options_of
from config_file.options import compose, options
from lookup_tables.options import FLOPS_OR_MS
from supernet.written import ABOUT
from training.differentiable_search.options import LearningOptions
from training.divergences import DivergenceOptions
from training.phases import PhaseOptions
from training.recipe_options import FittingOptions, course, learning_rate
from training.trainers import AUXILIARIES, NETWORK_AUXILIARIES, NETWORK_TRAINERS
from training.trainers.auxiliary_head import HeadOptions
from training.trainers.pose import PoseOptions


@options("Training")
class SupernetOptions(HeadOptions, PhaseOptions, PoseOptions):
    """Sampling of paths, and the weights that the supernet starts from."""

    auxiliary: str | None = course(
        None,
        "net trained beside the supernet and thrown away: {names} (pose: PFLD's, which learns the angles of heads in "
        "the lists of landmarks; head: a classifier after two thirds of the layers)",
        metavar="NAME",
        names=AUXILIARIES,
    )
    pretrained: str | None = course(
        None,
        "start matching blocks from torchvision's MobileNetV2 (file of its weights, or torchvision to download them), "
        "or all of spos or ofa_* from its published supernet (checkpoint-150000.pth.tar, ofa_mbv3_d234_e346_k357_w1.0; "
        "see --preprocessing; --epochs 0 trains nothing), or of elastic:NETWORK from its own weights (a file, or "
        "built: those that it is built with)",
        metavar="FILE",
    )
    sort_channels: bool = course(
        False,
        "before training, put the hidden channels first that weigh most behind them, where options are slices: "
        "narrower layers of --pretrained weights keep those (once-for-all)",
    )


@options("Training")
class TrainSupernetOptions(SupernetOptions, LearningOptions):
    """Options of ``train_supernet.py``."""

    stage: ClassVar[str] = "supernet"

    target_hc: float | None = option(  # type: ignore[assignment]  # a training may have none, a search has one
        None,
        "uniform: train only paths that cost at most this; differentiable: what the search is bent towards or held to; "
        "none: cost does not count",
        group="Constraint",
        unit=FLOPS_OR_MS,
        above=0,
        inherit=True,
        decides="training learning",
    )

    def unread(self) -> dict[str, str]:
        """{option of what follows a training, or of a teacher that is not there: where it is read}."""
        later = dict.fromkeys(("a_epochs", "a_samples"), "search.py --search-strategy differentiable reads it")
        in_place = self.sample_strategy == "sandwich" and self.distill_in_place
        taught = self.teacher is not None or self.phases is not None
        of_teacher = () if taught else ("kd_alpha", "plain_weight")
        of_answers = () if taught or in_place else tuple(options_of(DivergenceOptions))
        return later | dict.fromkeys((*of_teacher, *of_answers), "it needs a --teacher")


@options("Training")
class NetworkOptions:
    """Options of a training of one network that a supernet's has not."""

    trainer: str = course(
        "plain",
        "what a step trains: {names} (plain: one pass by the loss; pose: beside PFLD's auxiliary net, which learns the "
        "angles of heads in the lists of landmarks; distillation: with a teacher), or module:callable",
        metavar="NAME",
        names=NETWORK_TRAINERS,
    )
    auxiliary: str | None = course(
        None,
        "net trained beside the network and thrown away: {names} (a classifier after two thirds of the cells or "
        "stages, as in DARTS)",
        metavar="NAME",
        names=NETWORK_AUXILIARIES,
    )
    drop_path: float = course(
        0.0,
        "probability at the end of the training, to which it rises from 0 over the epochs, that a branch is left out "
        "of a sum, image by image (DARTS 0.2); 0: none",
        at_least=0,
        below=1,
    )
    ema_decay: float = course(
        0.0, "decay of the moving average of the weights; 0: none", group="Training", at_least=0, below=1
    )


if TYPE_CHECKING:

    class NetworkTrainersOptions:
        """The options of all trainers of one network, composed of what is registered."""

        def __getattr__(self, name: str) -> Any: ...
else:
    NetworkTrainersOptions = compose(NETWORK_TRAINERS, NETWORK_AUXILIARIES)


@options("Training")
class RetrainOptions(NetworkTrainersOptions, NetworkOptions, FittingOptions):
    """Options of ``retrain.py``."""

    stage: ClassVar[str] = "retrain"

    supernet: str | None = option(
        None, "folder of the trained supernet; none: by --title", group="Run", metavar="FOLDER"
    )
    search: str | None = option(None, "folder of the search; none: by --title", group="Run", metavar="FOLDER")
    architecture: str | None = option(
        None,
        f"{ABOUT}; none: what the search found",
        group="Network",
        metavar="WHICH",
        flags=("searched_model_path", "arc_checkpoint"),
        as_json=True,
    )
    init: str = course(
        "scratch",
        "start from random weights, the supernet's, or those that search.py --evaluator training kept of its trial",
        group="Network",
        choices=("scratch", "supernet", "trial"),
    )
    train_on: str = course(
        "trainval",
        "learn from training and validation images (nothing is chosen by them any more), or from training images only",
        group="Network",
        choices=("trainval", "train"),
        aliases={"train+val": "trainval"},
    )
    usual_lr: ClassVar[float] = 0.05
    lr: float | None = learning_rate(usual_lr)
    weight_decay: float = course(4e-4, "L2 penalty", group="Training", at_least=0)
    export_checkpoint: str = option(
        "last",
        "weights that are tested and exported: of the last step, or of the best validation (checkpoints/best.pt; needs "
        "--train-on train)",
        group="Network",
        choices=("last", "best"),
    )

    def rules(self) -> None:
        """Raises UserError where there is no validation to choose by."""
        if self.export_checkpoint == "best" and self.train_on != "train":
            raise UserError(
                f"--export-checkpoint best needs --train-on train: {self.train_on} leaves nothing to choose by"
            )
