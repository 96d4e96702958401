"""ImageNet weights for backbones: which there are, where they are on this machine, and files of them read."""

from .catalog import CATALOG, Weights, weights_for
from .places import Found, digest_of, find, folder, identify, imported_file, published
from .read import bare_backbone, fit, read_classifier, read_stored
from .store import download_file

__all__ = [
    "CATALOG",
    "Found",
    "Weights",
    "bare_backbone",
    "digest_of",
    "download_file",
    "find",
    "fit",
    "folder",
    "identify",
    "imported_file",
    "read_classifier",
    "read_stored",
    "published",
    "weights_for",
]
