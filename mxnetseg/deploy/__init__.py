"""Networks made fast for inference on a CPU (docs/deploy.md)."""

from .accuracy import Comparison, agreement, compare
from .calibration import calibration_images
from .limits import LIMITS
from .network import DeployedNetwork, load
from .optimize import DTYPES, optimize

__all__ = [
    "DTYPES",
    "LIMITS",
    "Comparison",
    "DeployedNetwork",
    "agreement",
    "calibration_images",
    "compare",
    "load",
    "optimize",
]
