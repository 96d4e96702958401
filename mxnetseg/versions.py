"""Which version of a package is installed."""

import platform
import sys
from datetime import datetime
from importlib import metadata

from . import __version__

__all__ = ["package_version", "versions"]

_DISTRIBUTIONS = {"cv2": "opencv-python", "yaml": "pyyaml", "PIL": "pillow"}


def package_version(module: str) -> str:
    """Version of an imported module, as pip knows it (gluoncv 0.10.5.post0 calls itself 0.11.0), else its own word."""
    try:
        return metadata.version(_DISTRIBUTIONS.get(module, module))
    except metadata.PackageNotFoundError:  # mxnet-cu112 is mxnet, too
        return getattr(sys.modules.get(module), "__version__", "?")


def versions() -> dict:
    """What a checkpoint records of the software that wrote it."""
    import gluoncv  # noqa: F401
    import mxnet  # noqa: F401

    names = ("mxnet", "gluoncv", "numpy")
    return {
        "mxnetseg": __version__,
        **{name: package_version(name) for name in names},
        "python": platform.python_version(),
        "created": datetime.now().isoformat(timespec="seconds"),
    }
