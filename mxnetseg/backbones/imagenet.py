"""ImageNet weights for a backbone, from GluonCV's model store."""

from gluoncv.model_zoo import get_model

from ..errors import MXNetSegError
from ..names import lookup
from ..registry import BACKBONES

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
        classifier = get_model(store_name, pretrained=True)
    except Exception as err:  # GluonCV raises whatever its download meets
        raise MXNetSegError(
            f"the ImageNet weights of {store_name} can't be had from the GluonCV store ({err}); put the "
            "file into ~/.mxnet/models, or set model.init to random or to a checkpoint's path"
        ) from err
    source = type(net.backbone)(classifier, net.backbone.channels)
    theirs = source._collect_params_with_prefix()
    ours = net.backbone._collect_params_with_prefix()
    for name, parameter in ours.items():
        parameter.set_data(theirs[name].data())
    return len(ours)
