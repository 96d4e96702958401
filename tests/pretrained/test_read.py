"""Weights of timm, torchvision and efficientnet_lite_pytorch: our backbones answer as theirs do, or say why not."""

import mxnet as mx
import numpy as np
import pytest

from mxnetseg.pretrained.read import bare_backbone, fit
from tests.goldens import imagenet
from tests.goldens.deterministic import image

QUICK = ("efficientnet_lite0", "timm_efficientnet_lite0", "timm_mobilenet_v2", "torchvision_mobilenet_v2")
NAMES = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in imagenet.NETWORKS]


@pytest.mark.parametrize("name", NAMES)
def test_features_are_the_originals(name):
    *_, backbone, size = imagenet.NETWORKS[name]
    meta, samples = imagenet.read(name)
    arrays = fit(imagenet.state_of(meta), backbone, name)
    net = bare_backbone(backbone, **({"crop_size": size[0]} if "vit" in backbone else {}))
    net.initialize()
    for key, parameter in net._collect_params_with_prefix().items():
        parameter.set_data(mx.nd.array(arrays[key]))
    for level, out in enumerate(net(mx.nd.array(image(1, (1, 3, *size)))), 1):
        out, expected = out.asnumpy(), samples[f"c{level}_val"]
        assert out.shape == tuple(samples[f"c{level}_shape"])
        assert np.abs(out.ravel()[samples[f"c{level}_idx"]] - expected).max() <= 3e-5 * np.abs(out).max(), level
