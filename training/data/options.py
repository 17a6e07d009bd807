"""Options that name a data set and say how it is split."""

from config_file.fields import option
from config_file.options import options
from config_file.run_options import LARGEST_SEED
from training.data.augmentation import AugmentationOptions
from training.data.landmarks import ListOptions
from training.data.load import DATASETS
from training.data.preprocessing import PreprocessingOptions
from training.data.unreadable import UnreadableOptions


@options("Data")
class DataOptions(UnreadableOptions, PreprocessingOptions, AugmentationOptions, ListOptions):
    """Images, and how they are split. Later stages take these from the supernet's run unless told otherwise."""

    dataset: str = option(
        "digits", "{names} or module:callable", metavar="NAME", names=DATASETS, inherit=True, decides="training"
    )
    data_path: str = option("./data", "folder of the data set", metavar="FOLDER", flags=("dataset_path",), inherit=True)
    download: bool = option(False, "download the data set where torchvision can")
    train_portion: float = option(
        0.8,
        "share of the training images that weights are fitted on; the rest validates",
        above=0,
        below=1,
        inherit=True,
        decides="training",
    )
    split_seed: int = option(
        42,
        "seed of that split, apart from --random-seed so that all stages and seeds validate on the same images",
        at_least=0,
        at_most=LARGEST_SEED,
        inherit=True,
        decides="training",
    )
    flip: bool | None = option(
        None,
        "mirror half of the training images; none: unless the data set says not to (digits). Letters and signs: no",
        inherit=True,
        decides="training",
    )
    memory_limit: float = option(
        2.0,
        "decoded images are kept in memory up to this; larger sets of files are read by --num-workers processes",
        unit="GiB",
        at_least=0,
        inherit=True,
    )
    batch_size: int = option(128, "images per step", at_least=1, at_most=2**20, decides="training learning")
