"""The options of a stage that loaders read."""

from typing import Protocol


class DataSettings(Protocol):
    """The options that concern data; any object with these attributes serves."""

    @property
    def dataset(self) -> str:
        """A name in `DATASETS`, or ``package.module:callable``."""

    @property
    def data_path(self) -> str:
        """Folder of the data set."""

    @property
    def download(self) -> bool:
        """True to fetch it where torchvision can."""

    @property
    def train_portion(self) -> float:
        """Share of the training images that weights are fitted on; the rest validates."""

    @property
    def split_seed(self) -> int:
        """Seed of that split."""

    @property
    def flip(self) -> bool | None:
        """True if training mirrors images; None: as the data set says."""

    @property
    def memory_limit(self) -> float:
        """GiB of decoded images to keep in memory."""

    @property
    def num_workers(self) -> int:
        """Processes that read images too large for memory."""
