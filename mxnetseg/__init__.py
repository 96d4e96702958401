"""MXNetSeg: semantic segmentation on Apache MXNet (Gluon) and GluonCV.

import mxnetseg
net = mxnetseg.create_model("fcn", backbone="resnet18", num_classes=19)
net = mxnetseg.load("weights/....params")
class_map = mxnetseg.Predictor(net)(image)
fast = mxnetseg.deploy.optimize(net, "bfloat16")
"""

import importlib

from . import preflight, startup

__version__ = "0.2.0"

# Importing this package imports neither MXNet nor OpenCV: each name comes when it is asked for.
_PUBLIC = {
    "create_model": ("mxnetseg.zoo", "create_model"),
    "list_models": ("mxnetseg.zoo", "list_models"),
    "list_backbones": ("mxnetseg.zoo", "list_backbones"),
    "load": ("mxnetseg.opening", "load"),
    "Predictor": ("mxnetseg.predictor", "Predictor"),
    "MXNetSegError": ("mxnetseg.errors", "MXNetSegError"),
    "deploy": ("mxnetseg.deploy", None),  # the module itself
}

__all__ = ["__version__", *_PUBLIC]

startup.prepare()


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'mxnetseg' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    problem = preflight.python_problem() or preflight.numpy_problem()
    if problem:
        raise ImportError(problem)
    found = importlib.import_module(module)
    return found if attribute is None else getattr(found, attribute)


def __dir__():
    return sorted(__all__)
