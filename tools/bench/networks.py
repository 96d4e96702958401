"""The networks that are compared, and weights for them."""

from typing import Any, Dict, NamedTuple, Tuple

__all__ = ["NETWORKS", "Network", "build"]


class Network(NamedTuple):
    """How `mxnetseg.create_model` builds it; (height, width) of the images; whether its training is timed, too."""

    arguments: Dict[str, Any]
    sizes: Tuple[Tuple[int, int], ...] = ((512, 512),)
    trains: bool = False


_DILATED = dict(backbone="resnet50", output_stride=8, num_classes=19)

NETWORKS = {
    "fcn_resnet50": Network(dict(name="fcn", **_DILATED), trains=True),
    "pspnet_resnet50": Network(dict(name="pspnet", **_DILATED), trains=True),
    "deeplabv3_resnet50": Network(dict(name="deeplabv3", **_DILATED), trains=True),
    "bisenet_resnet18": Network(
        dict(name="bisenet", backbone="resnet18", num_classes=19), ((512, 512), (1024, 2048)), True
    ),
    "upernet_moganet_tiny": Network(dict(name="upernet", backbone="moganet_tiny", num_classes=150), trains=True),
    "upernet_ffnet_2": Network(dict(name="upernet", backbone="ffnet_2", num_classes=150), trains=True),
    "setr_pup_dgmn2_tiny": Network(dict(name="setr_pup", backbone="dgmn2_tiny", num_classes=19), trains=True),
    "setr_naive_vit_base": Network(dict(name="setr_naive", backbone="vit_base_16", num_classes=19), (), True),
    "semantic_fpn_efficientnet_lite0": Network(
        dict(name="semantic_fpn", backbone="efficientnet_lite0", num_classes=19), (), True
    ),
}


def build(arguments: Dict[str, Any], image):
    """What `create_model` makes of `arguments`, with weights of fixed random numbers, and batch statistics near those
    of `image` (N, 3, H, W).

    Layer scales, whose initial values all but switch blocks off, are of the size of trained ones, and no norm is
    the identity: a block that a conversion gets wrong then shows in the logits. Norms take away a quarter of the mean,
    divide by the root mean square, and scale down: were they exact, random networks would amplify rounding a
    thousandfold, which trained ones do not.
    """
    import mxnet as mx
    import numpy as np

    from mxnetseg import create_model
    from mxnetseg.nn.norm import BatchNorm

    mx.random.seed(0)
    np.random.seed(0)
    net = create_model(aux=False, **arguments)
    net.initialize(mx.init.Xavier(magnitude=2))
    rng = np.random.RandomState(0)
    for key, parameter in net._collect_params_with_prefix().items():
        leaf, shape = key.rsplit(".", 1)[-1], parameter.shape
        if leaf == "gamma":
            value = rng.uniform(0.15, 0.3, shape)
        elif leaf in ("beta", "bias"):
            value = rng.normal(0, 0.1, shape)
        elif leaf in ("sigma", "layer_scale", "layer_scale_1", "layer_scale_2"):
            value = rng.uniform(0.2, 0.6, shape)
        else:
            continue
        parameter.set_data(mx.nd.array(value))

    def measure(block, inputs):
        block.running_mean.set_data(inputs[0].mean(axis=(0, 2, 3)) / 4)
        block.running_var.set_data(inputs[0].square().mean(axis=(0, 2, 3)) + 0.01)

    handles = []
    net.apply(lambda b: handles.append(b.register_forward_pre_hook(measure)) if isinstance(b, BatchNorm) else None)
    net(mx.nd.array(image)).wait_to_read()
    for handle in handles:
        handle.detach()
    return net
