"""Images, split and batched.

`load_data` gives a `Data`; its splits give batches that are a pure function of (seed, epoch, position). A new data set
is one new entry in `DATASETS`, or a callable of the user's own.
"""

from training.data.load import DATASETS, load_data
from training.data.source import ImageArrays, ImageFiles, Source
from training.data.split import Batch, Data, Normalisation, Split

__all__ = ["DATASETS", "Batch", "Data", "ImageArrays", "ImageFiles", "Normalisation", "Source", "Split", "load_data"]
