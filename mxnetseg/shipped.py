"""Files that come with the package: beside it in a clone, inside it where it is installed."""

from pathlib import Path
from typing import Optional, Union

__all__ = ["CAMVID", "clone", "here_or_shipped", "shipped"]

CAMVID = "weights/swiftnet/swiftnet_efficientnet_lite0_camvid.params"  # a network for street scenes

_PACKAGE = Path(__file__).resolve().parent


def clone() -> Optional[Path]:
    """The folder of the clone that the package runs from; None where it is installed."""
    above = _PACKAGE.parent
    return above if (above / "train.py").is_file() and (above / "configs").is_dir() else None


def shipped(name: str) -> Path:
    """A folder or file that ships with the package, "configs" or "weights"; nothing there if it does not."""
    return (clone() or _PACKAGE) / name


def here_or_shipped(path: Union[str, Path]) -> Path:
    """`path`, or the shipped file of that name where there is none: "weights/fcn/x.params" from any folder."""
    path = Path(path)
    there = shipped(str(path))
    return there if path.parts[:1] == ("weights",) and not path.exists() and there.is_file() else path
