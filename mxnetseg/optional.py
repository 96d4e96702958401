"""Packages that only some of the work needs: wandb, matplotlib, tifffile, h5py, onnx."""

import importlib.util
from typing import Optional

from .errors import MXNetSegError

__all__ = ["check_installed", "installed"]


def installed(module: str) -> bool:
    """Whether a top-level module can be imported; a mere folder of its name, as wandb makes one, does not count."""
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None


def check_installed(module: str, purpose: str, packages: Optional[str] = None) -> None:
    """Raise MXNetSegError, "`purpose` needs `module`", with the remedy, where it is not installed.

    `packages` are all that `purpose` needs, as pip takes them, where that is more than the module.
    """
    if not installed(module):
        raise MXNetSegError(f"{purpose} needs {module}, which is not installed: pip install {packages or module}")
