"""Expected feature maps of others' ImageNet classifiers, and the weights they were made with."""

import json
from pathlib import Path

import numpy as np

from tests.goldens.deterministic import stream

FOLDER = Path(__file__).parent / "imagenet"
SAMPLES = 128  # of each map

# name of the golden: library, its name there, our backbone, size of the image
NETWORKS = {
    "efficientnet_lite0": ("efficientnet_lite_pytorch", "efficientnet-lite0", "efficientnet_lite0", (97, 161)),
    "efficientnet_lite1": ("efficientnet_lite_pytorch", "efficientnet-lite1", "efficientnet_lite1", (97, 161)),
    "efficientnet_lite2": ("efficientnet_lite_pytorch", "efficientnet-lite2", "efficientnet_lite2", (65, 96)),
    "efficientnet_lite3": ("efficientnet_lite_pytorch", "efficientnet-lite3", "efficientnet_lite3", (65, 96)),
    "efficientnet_lite4": ("efficientnet_lite_pytorch", "efficientnet-lite4", "efficientnet_lite4", (65, 96)),
    "timm_efficientnet_lite0": ("timm", "tf_efficientnet_lite0", "efficientnet_lite0", (64, 96)),
    "timm_resnet18": ("timm", "resnet18", "resnet18", (65, 96)),
    "torchvision_resnet34": ("torchvision", "resnet34", "resnet34", (65, 96)),
    "timm_resnet50": ("timm", "resnet50s", "resnet50", (65, 96)),
    "timm_resnest14": ("timm", "resnest14d", "resnest14", (65, 96)),
    "timm_densenet121": ("timm", "densenet121", "densenet121", (64, 96)),
    "torchvision_densenet161": ("torchvision", "densenet161", "densenet161", (64, 96)),
    "timm_mobilenet_v2": ("timm", "mobilenetv2_100", "mobilenet_v2_1_0", (65, 96)),
    "torchvision_mobilenet_v2": ("torchvision", "mobilenet_v2", "mobilenet_v2_1_0", (65, 96)),
    "timm_vit_base": ("timm", "vit_base_patch16_224", "vit_base_16", (224, 224)),
}


def read(name):
    """The state's names and shapes, in order, and the samples: `c1_idx`, `c1_val`, `c1_shape`, ..."""
    data = np.load(FOLDER / f"{name}.npz")
    return json.loads(str(data["state"])), data


def state_of(meta):
    """Name -> array, each drawn from a stream seeded by its name."""
    norms = {name.rpartition(".")[0] for name, shape in meta if name.endswith(".weight") and len(shape) == 1}
    return {name: _tensor(name, tuple(shape), name.rpartition(".")[0] in norms) for name, shape in meta}


def _tensor(name, shape, of_norm):
    rng, leaf = stream(name), name.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return np.array(1, "int64")
    if leaf == "running_var" or (of_norm and leaf == "weight"):
        value = rng.uniform(0.5, 1.5, shape)
    elif len(shape) > 1 and leaf == "weight":
        value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    else:
        value = rng.standard_normal(shape) * 0.1
    return value.astype("float32")
