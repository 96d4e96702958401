"""Packages that only some of the work needs: wandb, matplotlib, scipy, h5py."""

import importlib.util

from .errors import MXNetSegError

__all__ = ["check_installed", "installed"]


def installed(module: str) -> bool:
    """Whether a top-level module can be imported; a mere folder of its name, as wandb makes one, does not count."""
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None


def check_installed(module: str, purpose: str) -> None:
    """Raise MXNetSegError, "`purpose` needs `module`", with the remedy, where it is not installed."""
    if not installed(module):
        raise MXNetSegError(f"{purpose} needs {module}, which is not installed: pip install {module}")
