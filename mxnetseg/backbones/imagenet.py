"""ImageNet weights for a backbone, from GluonCV's model store."""

import mxnet as mx

from ..errors import MXNetSegError
from ..names import lookup
from ..registry import BACKBONES
from .store import stored_file

__all__ = ["load_imagenet"]


def load_imagenet(net) -> int:
    """Load GluonCV's ImageNet weights into `net.backbone`; returns how many arrays were loaded.

    The files come from GluonCV's cache (~/.mxnet/models) or, where there is a network, its store.

    Raises
    ------
    MXNetSegError
        There are none for this backbone or norm, or they can't be had.
    """
    spec = net.spec
    store_name = lookup("backbone", spec["backbone"], BACKBONES).store_name
    if store_name is None or spec["norm"] == "gn":
        raise MXNetSegError(
            f"there are no ImageNet weights for {spec['backbone']} with norm {spec['norm']}; "
            "set model.init to random or to a checkpoint's path"
        )
    try:
        stored = mx.nd.load(str(stored_file(store_name)))
    except Exception as err:  # a download fails in many ways
        raise MXNetSegError(
            f"the ImageNet weights of {store_name} can't be had from the GluonCV store ({err}); put the "
            "file into ~/.mxnet/models, or set model.init to random or to a checkpoint's path"
        ) from err
    return _fill(net.backbone, stored)


def _fill(backbone, stored) -> int:
    ours = backbone._collect_params_with_prefix()
    structural = any("." in name for name in stored)  # files of before 2018 hold the names of Gluon's scopes
    for name, parameter in ours.items():
        key = backbone.stored_name(name) if structural else parameter.name[len(backbone.prefix) :]
        parameter.set_data(stored[key])
    return len(ours)
