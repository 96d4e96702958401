"""Networks made fast for inference on a CPU (docs/deploy.md)."""

from .network import DeployedNetwork
from .optimize import DTYPES, optimize

__all__ = ["DTYPES", "DeployedNetwork", "optimize"]
