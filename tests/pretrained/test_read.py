"""Weights of timm, torchvision and efficientnet_lite_pytorch: our backbones answer as theirs do, or say why not."""

import mxnet as mx
import numpy as np
import pytest

from mxnetseg.errors import MXNetSegError
from mxnetseg.optional import installed
from mxnetseg.pretrained.read import bare_backbone, fit, read_classifier
from tests.goldens import imagenet
from tests.goldens.deterministic import image

QUICK = ("efficientnet_lite0", "timm_efficientnet_lite0", "timm_mobilenet_v2", "torchvision_mobilenet_v2")
TOLERANCES = (1e-5, 1e-5, 3e-5, 1e-4)  # of the largest value: random weights make rounding grow with the depth
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
    for level, (out, tolerance) in enumerate(zip(net(mx.nd.array(image(1, (1, 3, *size)))), TOLERANCES), 1):
        out, expected = out.asnumpy(), samples[f"c{level}_val"]
        assert out.shape == tuple(samples[f"c{level}_shape"])
        assert np.abs(out.ravel()[samples[f"c{level}_idx"]] - expected).max() <= tolerance * np.abs(out).max(), level


@pytest.mark.parametrize(
    "backbone, shapes, message",
    [
        ("resnet18", {"conv1.0.weight": (64, 3, 3, 3)}, "its stem is three convolutions"),
        ("resnet50", {"conv1.weight": (64, 3, 7, 7)}, "its stem is one 7x7 convolution .* take timm's resnet50s.gluon"),
        ("resnet50", {"conv1.0.weight": (32, 3, 3, 3)}, "its stem is 32 channels wide, that of resnet50 64"),
        ("resnet18", {"conv1.weight": (64, 3, 7, 7), "odd": (3,)}, "missing: bn1.gamma, .* \\.\\.\\.; unknown: odd"),
        (
            "resnet18",
            {"conv1.weight": (32, 3, 7, 7)},
            r"other shapes: conv1.weight \(32, 3, 7, 7\) for \(64, 3, 7, 7\)",
        ),
        ("vit_base_16", {"class_token": (1, 1, 768)}, "it is torchvision's"),
        ("vit_base_16", {"pos_embed": (1, 200, 768)}, r"pos_embed \(1, 200, 768\) is no square grid"),
        ("vit_base_16", {"pos_embed": ()}, r"pos_embed \(\) is no square grid"),
        ("moganet_tiny", {"norm.weight": (3,)}, "unknown: norm.weight"),
        ("moganet_tiny", {"decode_head.conv_seg.weight": (3, 3, 1, 1)}, "a whole segmentation network; .*convert"),
        ("xception39", {}, "no ImageNet weights are known for xception39"),
    ],
)
def test_what_does_not_fit_says_why(backbone, shapes, message):
    with pytest.raises(MXNetSegError, match=f"^file.pth.*{message}"):
        fit({name: np.zeros(shape, "float32") for name, shape in shapes.items()}, backbone, "file.pth")


def test_files_that_are_damaged(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"no such file")
    (tmp_path / "model.pth").write_bytes(b"no such file")
    with pytest.raises(MXNetSegError, match="model.pth: is a text, not a checkpoint"):
        read_classifier(tmp_path / "model.pth")
    wanted = "is no whole safetensors file" if installed("safetensors") else "needs safetensors, which is not installed"
    with pytest.raises(MXNetSegError, match=wanted):
        read_classifier(tmp_path / "model.safetensors")


def test_weights_are_floats():
    with pytest.raises(MXNetSegError, match="conv1.weight is of type complex64, not of floats"):
        fit({"conv1.weight": np.zeros((64, 3, 7, 7), "complex64")}, "resnet18", "file.pth")


@pytest.mark.parametrize("positions, kept", [(17, 16), (16, 16)])
def test_a_class_position_is_known_by_the_square(positions, kept):
    """Networks without a position for their class token have a token all the same."""
    shapes = {key: p.shape for key, p in bare_backbone("vit_base_16")._collect_params_with_prefix().items()}
    names = {"patch_embed.": "patch_embed.proj.", ".attn.project.": ".attn.proj.", "norms.3.": "norm."}
    state = {"cls_token": np.zeros((1, 1, 768), "float32")}
    for key, shape in shapes.items():
        if key.startswith(("norms.0", "norms.1", "norms.2")):
            continue
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        key = key.replace(".fc", ".mlp.fc") if ".mlp." not in key else key
        state[key.replace("gamma", "weight").replace("beta", "bias")] = np.zeros(shape, "float32")
    state["pos_embed"] = np.arange(positions, dtype="float32").reshape(1, -1, 1).repeat(768, axis=2)
    found = fit(state, "vit_base_16", "file.pth")["pos_embed"]
    assert found.shape == (1, kept, 768) and found[0, 0, 0] == positions - kept
