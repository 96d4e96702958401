"""Expected outputs of the original MogaNet, FFNet and DGMN2, and the weights and inputs that they were made with."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.goldens.deterministic import stream

COMPACT = Path(__file__).parent / "families"
WHOLE = Path(__file__).parents[3] / "shared" / "goldens" / "families"

EVAL = [
    "moganet_fpn_xtiny",
    "moganet_fpn_xtiny__224x320",
    "moganet_fpn_tiny",
    "moganet_upernet_xtiny",
    "ffnet_upernet_2",
    "ffnet_seg_ade20k",
    "dgmn2_fpn_tiny",
    "dgmn2_fpn_tiny__97x161",
    "dgmn2_fpn_small",
    "dgmn2_setr_naive_tiny",
    "dgmn2_setr_naive_small",
    "dgmn2_setr_pup_tiny",
    "dgmn2_setr_pup_small",
    "dgmn2_setr_mla_tiny",
    "dgmn2_setr_mla_small",
]
# by default the smallest of each backbone and decoder
SIBLINGS = re.compile("_small|__|setr_(naive|pup)|moganet_fpn_tiny")
CASES = [pytest.param(name, marks=pytest.mark.slow) if SIBLINGS.search(name) else name for name in EVAL]
TRAIN = [
    "moganet_fpn_xtiny__train",
    "moganet_upernet_xtiny__train",
    "ffnet_upernet_2__train",
    "ffnet_seg_ade20k__train",
    "dgmn2_fpn_tiny__train",
    "dgmn2_setr_naive_tiny__train",
    "dgmn2_setr_pup_tiny__train",
    "dgmn2_setr_mla_tiny__train",
]


def published():
    """Rows of the papers' tables: recipe, height, width, parameters (millions), flops (billions), tolerance."""
    with open(Path(__file__).parent / "published.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def model_of(name):
    """The arguments of create_model that build a golden's network."""
    family, head, *size = name.split("__")[0].split("_")
    if family == "ffnet":
        return ("ffnet", "ffnet_seg") if head == "seg" else ("upernet", f"ffnet_{size[0]}")
    if head == "setr":
        return f"setr_{size[0]}", f"{family}_{size[1]}"
    return {"fpn": "semantic_fpn", "upernet": "upernet"}[head], f"{family}_{size[0]}"


def state_of(meta):
    """Name -> float32 array, each drawn from a stream seeded by its name; normals scaled to keep signals in range."""
    return {key: _tensor(key, shape, kind, scale) for key, shape, kind, scale in meta["state"] if kind != "skip"}


def _tensor(key, shape, kind, scale):
    rng = stream(key)
    if kind in ("weight", "offset_weight"):
        fan_in = np.sqrt(float(np.prod(shape[1:])))
        value = rng.standard_normal(shape) * ((0.05 if kind == "offset_weight" else 1.0) / fan_in)
    elif kind == "pos":
        value = rng.standard_normal(shape) * (1 / np.sqrt(float(shape[-1])))
    elif kind in ("bias", "bn_beta", "ln_beta"):
        value = rng.standard_normal(shape) * 0.1
    elif kind == "bn_mean":
        value = rng.standard_normal(shape) * (0.1 * scale)
    elif kind in ("bn_gamma", "ln_gamma"):
        value = rng.uniform(0.5, 1.5, shape)
    elif kind == "bn_var":
        value = rng.uniform(0.5, 1.5, shape) * scale**2
    elif kind == "scale":
        value = rng.uniform(0.5, 1.0, shape)
    elif kind == "offset_bias":  # keeps samples off the integers, where gradients jump
        value = rng.uniform(0.35, 0.65, shape)
        value = value + rng.randint(-2, 2, shape)
    else:
        raise KeyError(kind)
    return value.astype("float32")


def label_of(meta):
    """(N, H, W) uint8: blocks of 4x4 pixels, a tenth of the pixels and a rectangle per image ignored."""
    count, _, height, width = meta["input_shape"]
    rng = np.random.RandomState(meta["label_seed"])
    blocks = rng.randint(0, meta["num_classes"], (count, 1, (height + 3) // 4, (width + 3) // 4))
    label = blocks.repeat(4, axis=2).repeat(4, axis=3)[:, :, :height, :width]
    label[rng.uniform(size=label.shape) < 0.1] = 255
    for image in label:
        top, left = rng.randint(0, height // 2), rng.randint(0, width // 2)
        image[0, top : top + height // 8, left : left + width // 8] = 255
    return label[:, 0].astype("uint8")


def read(name, folder=COMPACT):
    """Meta data and samples of a compact golden: `<output>_idx` and `<output>_val` per output."""
    data = np.load(folder / f"{name}.npz")
    return json.loads(str(data["meta"])), data


def samples(name):
    """Meta data and (flat indices, values) per output of a golden of the whole set."""
    meta = json.loads((WHOLE / f"{name}.json").read_text())
    data = np.load(WHOLE / f"{name}.npz")
    found = {}
    for key in [*meta["outputs"], *(feature["name"] for feature in meta["features"])]:
        shape = meta["outputs"].get(key, {}).get("shape")
        if f"{key}_idx" in data:
            found[key] = data[f"{key}_idx"].astype("int64"), data[f"{key}_val"]
        elif key in data:
            found[key] = np.arange(data[key].size), data[key].ravel()
        else:
            out, index = meta["outputs"][key], np.arange(np.prod(shape)).reshape(shape)
            step, (top, left), (high, wide) = out["grid_stride"], out["crop_yx"], out["crop_hw"]
            grid, crop = index[..., ::step, ::step], index[..., top : top + high, left : left + wide]
            found[key] = (
                np.concatenate([grid.ravel(), crop.ravel()]),
                np.concatenate([data[f"{key}_grid"].ravel(), data[f"{key}_crop"].ravel()]),
            )
    return meta, found
