"""Data sets, transforms and loading; NumPy and OpenCV only, never MXNet, so that workers stay light."""

from .cache import Cache, announce
from .catalog import get_spec, list_datasets, num_classes_of
from .dataset import IGNORE, Dataset, Sample
from .foreign import register_transform
from .loader import Batch, EvalLoader, TrainLoader
from .mixing import mixing_of
from .opening import open_dataset
from .sampling import RareClassStream, SampleStream, Share, count_pixels
from .spec import DatasetSpec
from .spec import register as register_dataset
from .transforms import TrainTransform, normalize

__all__ = [
    "Batch",
    "Cache",
    "Dataset",
    "DatasetSpec",
    "EvalLoader",
    "IGNORE",
    "RareClassStream",
    "Sample",
    "SampleStream",
    "Share",
    "TrainLoader",
    "TrainTransform",
    "announce",
    "count_pixels",
    "get_spec",
    "list_datasets",
    "mixing_of",
    "normalize",
    "num_classes_of",
    "open_dataset",
    "register_dataset",
    "register_transform",
]
