"""Which version of a package is installed."""

import platform
import sys
from datetime import datetime
from importlib import metadata

from . import __version__, preflight

__all__ = ["package_version", "versions"]


def package_version(module: str) -> str:
    """Version of an imported module, as pip knows it, else its own word."""
    try:
        return metadata.version(preflight.DISTRIBUTIONS.get(module, module))
    except metadata.PackageNotFoundError:  # mxnet-cu112 is mxnet, too
        return getattr(sys.modules.get(module), "__version__", "?")


def versions() -> dict:
    """What a checkpoint records of the software that wrote it."""
    import mxnet  # noqa: F401

    names = ("mxnet", "numpy")
    return {
        "mxnetseg": __version__,
        **{name: package_version(name) for name in names},
        "python": platform.python_version(),
        "created": datetime.now().isoformat(timespec="seconds"),
    }
