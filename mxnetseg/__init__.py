"""MXNetSeg: semantic segmentation on Apache MXNet (Gluon) and GluonCV.

import mxnetseg
net = mxnetseg.create_model("fcn", backbone="resnet18", num_classes=19)
net = mxnetseg.load("weights/....params")
class_map = mxnetseg.Predictor(net)(image)
scores = mxnetseg.evaluate(net)
result = mxnetseg.train("fcn", overrides=["train.epochs=50"])
fast = mxnetseg.deploy.optimize(net, "bfloat16")

docs/python.md has them all; docs/extending.md: models, data sets, losses and transforms of your own.
"""

import importlib
from typing import TYPE_CHECKING, Any, List

from . import compat, preflight, startup

if TYPE_CHECKING:
    from . import convert as convert
    from . import deploy as deploy
    from . import export as export
    from .config import Recipe, load_recipe
    from .data import DatasetSpec, register_dataset, register_transform
    from .engine.callbacks import Step, Validation
    from .engine.stop import Interrupted
    from .engine.trainer import Result
    from .errors import MXNetSegError
    from .metrics import Scores
    from .opening import load, open_network
    from .plugins import PluginError
    from .predictor import Predictor
    from .registry import register_backbone, register_loss, register_model
    from .saving import SaveError
    from .scoring import evaluate
    from .together import processes
    from .training import train
    from .zoo import create_model, list_backbones, list_models

__version__ = "0.2.0"

__all__ = [
    "DatasetSpec",
    "Interrupted",
    "MXNetSegError",
    "PluginError",
    "Predictor",
    "Recipe",
    "Result",
    "SaveError",
    "Scores",
    "Step",
    "Validation",
    "__version__",
    "convert",
    "create_model",
    "deploy",
    "evaluate",
    "export",
    "list_backbones",
    "list_models",
    "load",
    "load_recipe",
    "open_network",
    "processes",
    "register_backbone",
    "register_dataset",
    "register_loss",
    "register_model",
    "register_transform",
    "train",
]

# Importing this package imports neither MXNet nor OpenCV: each name comes, from its module, when it is asked for.
_MODULES = {
    "config": ["Recipe", "load_recipe"],
    "data": ["DatasetSpec", "register_dataset", "register_transform"],
    "engine.callbacks": ["Step", "Validation"],
    "engine.stop": ["Interrupted"],
    "engine.trainer": ["Result"],
    "errors": ["MXNetSegError"],
    "metrics": ["Scores"],
    "opening": ["load", "open_network"],
    "plugins": ["PluginError"],
    "predictor": ["Predictor"],
    "registry": ["register_backbone", "register_loss", "register_model"],
    "saving": ["SaveError"],
    "scoring": ["evaluate"],
    "together": ["processes"],
    "training": ["train"],
    "zoo": ["create_model", "list_backbones", "list_models"],
}
_PUBLIC = {name: module for module, names in _MODULES.items() for name in names}

compat.install()
startup.prepare()


if not TYPE_CHECKING:  # with it, type checkers would accept any name

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module 'mxnetseg' has no attribute {name!r}")
        problem = preflight.python_problem() or preflight.numpy_problem()
        if problem:
            raise ImportError(problem)
        if name not in _PUBLIC:  # a module
            return importlib.import_module(f"mxnetseg.{name}")
        return getattr(importlib.import_module(f"mxnetseg.{_PUBLIC[name]}"), name)


def __dir__() -> List[str]:
    return sorted(__all__)
