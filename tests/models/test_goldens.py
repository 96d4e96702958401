"""Every model answers what the published toolkit's model answers, given the same weights."""

import json
import re
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import create_model
from mxnetseg.convert import load_state
from mxnetseg.nn import resize_like
from mxnetseg.ops import mxnet_only
from tests.goldens import deterministic

HERE = Path(__file__).parent.parent / "goldens" / "classic"
FULL = Path(__file__).parents[3] / "shared" / "goldens" / "classic"

_VIT = dict(backbone="vit_large_16", aux=True, num_classes=19, backbone_options=dict(crop_size=96))
MODELS = {
    "fcn_r18_os8_aux": dict(name="fcn", backbone="resnet18", output_stride=8, aux=True),
    "fcn_r18_os32": dict(name="fcn", backbone="resnet18", output_stride=32),
    "fcn_r50_os8": dict(name="fcn", backbone="resnet50", output_stride=8),
    "fcn_mbv2_025_aux": dict(name="fcn", backbone="mobilenet_v2_0_25", output_stride=32, aux=True),
    "fcn_mbv2_10": dict(name="fcn", backbone="mobilenet_v2_1_0", output_stride=32),
    "pspnet_r50_aux": dict(name="pspnet", backbone="resnet50", aux=True),
    "deeplabv3_r18_os8_aux": dict(name="deeplabv3", backbone="resnet18", output_stride=8, aux=True),
    "deeplabv3_r18_os32": dict(name="deeplabv3", backbone="resnet18", output_stride=32),
    "bisenetr_r18_aux": dict(name="bisenet", backbone="resnet18", aux=True),
    "bisenetx_aux": dict(name="bisenet", backbone="xception39", aux=True),
    "fcn_resnest14_os8": dict(name="fcn", backbone="resnest14", output_stride=8),
    "att2scale_r18_aux": dict(name="attention_to_scale", backbone="resnet18", aux=True),
    "deeplabv3plus_x65": dict(name="deeplabv3plus", backbone="xception65"),
    "ladderdensenet_121_aux": dict(name="ladderdensenet", aux=True),
    "alignseg_r18_aux": dict(name="alignseg", backbone="resnet18", aux=True),
    "attanet_r18_aux": dict(name="attanet", backbone="resnet18", aux=True),
    "eprnet": dict(name="eprnet"),
    "eprnet_light": dict(name="eprnet", backbone="eprnet_light"),
    "swiftnet_r18_aux": dict(name="swiftnet", backbone="resnet18", aux=True),
    "swiftnetpr_r18_aux": dict(name="swiftnet_pr", backbone="resnet18", aux=True),
    "setr_mla_aux": dict(name="setr_mla", **_VIT),
    "setr_naive_aux": dict(name="setr_naive", **_VIT),
    "setr_pup_aux": dict(name="setr_pup", **_VIT),
    "canetv1_r50_aux": dict(name="canet", backbone="resnet50", aux=True),
    "canetv2_r18_aux": dict(name="canet_v2", backbone="resnet18", aux=True),
    "danet_r18_aux": dict(name="danet", backbone="resnet18", aux=True),
    "denseaspp_r50_aux": dict(name="denseaspp", backbone="resnet50", aux=True),
    "seenet_r50_aux": dict(name="seenet", backbone="resnet50", aux=True),
}
# ViT-Large takes gigabytes and minutes; tests/models/test_setr.py looks at a small one. The others have relatives.
SLOW = re.compile("setr_|fcn_(r18_os32|r50|mbv2_10)|deeplabv3_r18_os32|swiftnet_r18")
NAMES = [pytest.param(name, marks=pytest.mark.slow) if SLOW.match(name) else name for name in MODELS]
# where the original backbone put out fewer: which of ours these are
LEVELS = {"bisenetx_aux": (2, 3), "deeplabv3plus_x65": (0, 2, 3), "eprnet": (3,), "eprnet_light": (3,)}


def network_and_input(golden, meta):
    net = create_model(**MODELS[golden])
    net.initialize()
    load_state(net, {name: deterministic.parameter(name, shape) for name, shape in meta["params"]})
    return net, mx.nd.array(deterministic.image(**meta["input"]))


def all_outputs(net, x):
    with autograd.record(train_mode=False):
        outputs = net(x)
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return [out.asnumpy() for out in outputs]


def as_published(golden, net, x, outputs):
    """The toolkit's SETR-PUP clips its logits at 0 before it resizes them: so do we, here only."""
    if golden != "setr_pup_aux":
        return outputs
    clipped = resize_like(mx.nd, mx.nd.relu(net.head_logits(x)[0]), x, align_corners=True)
    return [clipped.asnumpy(), *outputs[1:]]


def check_outputs(golden, net, x, meta, data):
    outputs = all_outputs(net, x)
    assert len(outputs) == len(meta["std"])
    step = meta["step"]
    for i, (out, std) in enumerate(zip(as_published(golden, net, x, outputs), meta["std"])):
        ours = out[:, :, ::step, ::step].ravel()[data[f"index{i}"]]
        assert np.abs(ours - data[f"value{i}"]).max() <= 2e-4 * std
    # the operators for training round otherwise
    np.testing.assert_allclose(net(x).asnumpy(), outputs[0], rtol=0, atol=2e-5 * meta["std"][0])
    net.forget_traces()
    with mxnet_only():
        np.testing.assert_array_equal(net(x).asnumpy(), all_outputs(net, x)[0])
    net.forget_traces()


def check_features(golden, net, x, meta):
    features = net.backbone(x)
    levels = LEVELS.get(golden, range(4))
    assert len(meta["features"]) == len(levels)
    for i, feature in enumerate(features[level] for level in levels):
        expected = meta["features"][f"feat{i}"]
        assert list(feature.shape) == expected["shape"]
        assert np.isclose(feature.asnumpy().mean(), expected["mean"], rtol=1e-3, atol=1e-5)
        assert np.isclose(feature.asnumpy().std(), expected["std"], rtol=1e-3)


@pytest.mark.parametrize("golden", NAMES)
def test_samples_of_the_original_outputs(golden):
    """Of the backbone and of the network, imperative and hybridized."""
    data = np.load(HERE / f"{golden}.npz")
    meta = json.loads(str(data["meta"]))
    net, x = network_and_input(golden, meta)
    if not golden.startswith("setr"):
        check_features(golden, net, x, meta)
    check_outputs(golden, net, x, meta, data)
    net.hybridize(static_alloc=True, static_shape=True)
    check_outputs(golden, net, x, meta, data)


@pytest.mark.slow
@pytest.mark.skipif(not FULL.is_dir(), reason="the whole set of expected outputs is not beside this checkout")
@pytest.mark.parametrize("golden", MODELS)
def test_every_original_output(golden):
    meta = json.loads((FULL / f"{golden}.json").read_text())
    data = np.load(FULL / f"{golden}.npz")
    meta["input"].pop("how")
    net, x = network_and_input(golden, meta)
    step = meta["subsample"]
    for i, out in enumerate(as_published(golden, net, x, all_outputs(net, x))):
        assert np.abs(out[:, :, ::step, ::step] - data[f"out{i}"]).max() <= 2e-4 * out.std()


@pytest.mark.parametrize(
    "name, backbone, millions",
    [
        ("fcn", "resnet18", 12.4),
        ("fcn", "resnet101", 47.5),
        ("pspnet", "resnet101", 56.4),
        ("deeplabv3", "resnet101", 58.9),
        ("bisenet", "resnet18", 13.2),
        ("eprnet", "eprnet", 0.9),
        ("danet", "resnet101", 66.7),
        ("denseaspp", "resnet101", 69.4),
    ],
)
def test_published_parameter_counts(name, backbone, millions):
    """19 classes, no auxiliary head, running statistics counted."""
    net = create_model(name, backbone=backbone, num_classes=19)
    count = sum(np.prod(p.shape) for p in net.collect_params().values())
    assert round(count / 1e6, 1) == millions
