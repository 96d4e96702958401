"""Make the folder imagenet beside this: what classifiers of others answer, with weights that anyone can generate.

    python -m tests.goldens.make_imagenet [NAME ...]

Needs PyTorch, timm, torchvision and efficientnet_lite_pytorch, which nothing else here does; the committed files are of
PyTorch 2.13, timm 1.0.31, torchvision 0.28. Each holds the names and shapes of a classifier's state, whose values
tests/goldens/imagenet.py draws by name, and samples of its four feature maps, computed in float64.
"""

import json
import sys

import numpy as np
import torch

from tests.goldens.deterministic import image
from tests.goldens.imagenet import FOLDER, NETWORKS, SAMPLES, state_of


def build(library: str, name: str):
    if library == "efficientnet_lite_pytorch":
        from efficientnet_lite_pytorch import EfficientNet

        return EfficientNet.from_name(name)
    if library == "torchvision":
        import torchvision

        return torchvision.models.get_model(name)
    import timm

    # ours have no class token, and a norm behind every level
    options = dict(class_token=False, global_pool="avg", fc_norm=False) if name.startswith("vit") else {}
    return timm.create_model(name, **options)


def features(network, library: str, name: str, x):
    """c1..c4 as our backbones have them."""
    if name.startswith("vit"):
        depth = len(network.blocks)
        taken = [depth * (i + 1) // 4 - 1 for i in range(4)]
        return network.forward_intermediates(x, indices=taken, norm=True, intermediates_only=True)
    modules = dict(network.named_modules())
    seen = {}
    places = levels(network, library, name)
    for place in places:
        modules[place].register_forward_hook(lambda module, inputs, out, place=place: seen.__setitem__(place, out))
    network(x)
    found = [seen[place] for place in places]
    if name.startswith("densenet") and library == "torchvision":  # timm's last norm has its ReLU inside
        found[3] = found[3].relu()
    return found


def levels(network, library: str, name: str):
    """The modules that put them out."""
    if library == "efficientnet_lite_pytorch":
        strides = [i for i, block in enumerate(network._blocks) if block._block_args.stride in (2, [2])]
        return [f"_blocks.{i - 1}" for i in strides[1:]] + [f"_blocks.{len(network._blocks) - 1}"]
    if name.startswith("densenet"):
        return [*(f"features.denseblock{i}" for i in (1, 2, 3)), "features.norm5"]
    if name == "mobilenet_v2":
        return [f"features.{i}" for i in (3, 6, 13, 17)]
    if "resne" in name:
        return [f"layer{i}" for i in (1, 2, 3, 4)]
    return [f"blocks.{i}" for i in (1, 2, 4, 6)]


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for key in sys.argv[1:] or NETWORKS:
        library, name, _, size = NETWORKS[key]
        network = build(library, name).eval().double()
        meta = [[key, list(value.shape)] for key, value in network.state_dict().items()]
        network.load_state_dict({key: torch.from_numpy(value) for key, value in state_of(meta).items()})
        with torch.no_grad():
            maps = features(network, library, name, torch.from_numpy(image(1, (1, 3, *size))).double())
        rng, kept = np.random.RandomState(0), {}
        for level, values in enumerate(maps):
            flat = values.numpy().astype("float32").ravel()
            index = np.sort(rng.choice(flat.size, SAMPLES, replace=False))
            kept[f"c{level + 1}_shape"] = np.array(values.shape)
            kept[f"c{level + 1}_idx"], kept[f"c{level + 1}_val"] = index.astype("int32"), flat[index]
            print(key, tuple(values.shape), float(flat.mean()), float(flat.std()))
        np.savez_compressed(FOLDER / f"{key}.npz", state=np.array(json.dumps(meta)), **kept)


if __name__ == "__main__":
    main()
