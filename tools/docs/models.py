"""docs/models.md: a table to choose by, and where each model differs from its paper or from the toolkit of 2022.

Parameters and FLOPs are those of `mxnetseg models`, accuracies those that the recipes say were published, speeds those
in docs/performance.md. What nobody has published or measured stays empty.
"""

import re
from pathlib import Path
from typing import Dict, List, Tuple

from mxnetseg.cli.models import zoo
from mxnetseg.config import load_recipe
from tools.bench import summary

ROOT = Path(__file__).resolve().parents[2]
SAME = "nowhere"
DATA = {"cityscapes": "Cityscapes", "ade20k": "ADE20K", "voc_aug": "VOC", "voc2012": "VOC", "nyuv2": "NYUv2"}

# good for; where it differs: "toolkit" is the MXNetSeg of 2022, whose figures and .params files belong to its own form
NOTES = {
    "acfnet": (
        "accuracy from wide context",
        "from the toolkit, which has no class centres; this is the paper's. No published figure was made with "
        "the toolkit's",
    ),
    "alignseg": (
        "sharp borders: levels are warped onto one another before they are added",
        "the recipe has the paper's ResNet-101; without a backbone you get the toolkit's ResNet-50",
    ),
    "attanet": ("speed: strip attention", SAME),
    "attention_to_scale": (
        "objects of very different sizes",
        "from the paper: the sigmoid of one score per scale instead of a softmax over two, which is the same",
    ),
    "bisenet": ("real time; small variants train on a CPU (the CamVid checkpoint here)", SAME),
    "canet": (
        "context, gathered by several flows",
        "from the paper: the toolkit's plain convolution instead of a selection of channels",
    ),
    "canet_v2": ("context at two scales, light decoder", SAME),
    "danet": (
        "accuracy: attention over all positions and channels",
        "from the paper: the softmax over channels prefers unlike ones, as in the published weights. Attention runs in "
        "16 parts, so no map of all pixels by all pixels is ever held",
    ),
    "deeplabv3": (
        "a strong baseline",
        "from the paper: rates 6, 12, 18 at output stride 8 too (the paper has `rates=(12, 24, 36)`)",
    ),
    "deeplabv3plus": (
        "a strong baseline with finer borders",
        "from the paper: plain convolutions in ASPP and decoder; the rates of output stride 8 at every stride",
    ),
    "denseaspp": ("large fields of view in street scenes", "from the paper: no 1x1 convolution before the first layer"),
    "eprnet": (
        "under a million parameters: embedded devices",
        "the light form is `backbone=eprnet_light`; the auxiliary head is ours",
    ),
    "fapn": (
        "sharp borders on a feature pyramid",
        "from the toolkit, whose deformable convolution reads the wrong input and does not train on a CPU; this is the "
        "paper's",
    ),
    "fcn": ("the plainest baseline", SAME),
    "ffnet": (
        "accuracy per FLOP with convolutions alone",
        "from the original: inputs needn't be multiples of 32. It folds for deployment (`reparameterize`)",
    ),
    "gffnet": (
        "thin objects: gates choose what each level gives",
        "from the toolkit, which fuses levels that are fused already; this is the paper's",
    ),
    "ladderdensenet": ("little memory: DenseNet with a light ladder", SAME),
    "pspnet": ("a strong baseline", SAME),
    "seenet": (
        "context with borders",
        "from the paper: plain instead of depthwise separable convolutions, as in the toolkit",
    ),
    "semantic_fpn": ("a light decoder for any four-level backbone", "as mmsegmentation has it"),
    "setr_mla": (
        "transformers, several levels",
        "from the originals, which squash inputs to squares: this follows their aspect. On ViT as the toolkit, else "
        "as DGMN2",
    ),
    "setr_naive": ("transformers, the plainest decoder", "as setr_mla"),
    "setr_pup": (
        "transformers, step by step upwards",
        "as setr_mla; without the ReLU on the logits that the toolkit has on ViT",
    ),
    "swiftnet": ("real time with ImageNet backbones", SAME),
    "swiftnet_pr": (
        "real time, large objects: the image and its half",
        "from the toolkit: any input size; the half's levels are resized where sides are odd",
    ),
    "upernet": ("accuracy on any four-level backbone", "as mmsegmentation has it"),
}

TEXT = """# Models

Made by `python -m tools.docs`. How to choose: find models that reach the accuracy you need, on data like yours,
and of these take the one with the fewest FLOPs. The parameters and FLOPs (at 512x512, [counted as in the
papers](flops.md)) are those of the usual backbone with its usual number of classes; `mxnetseg models` prints them. A
figure on another backbone names it.

**mIoU** is what was published, by the authors or by the toolkit of 2022, on the validation split: one scale / several
scales and mirrored. Nobody has trained these recipes here. **Images/s** were measured at 512x512 on two threads, as
float32 / int8 ([performance.md](performance.md)). An empty cell means that there is no figure.

{choice}

Trained here: `swiftnet` on EfficientNet-Lite0 (3.5 M parameters), from ImageNet weights on CamVid, mIoU 73.8 / 74.4
([how](training.md#camvid-from-imagenet-weights)).

Any backbone goes with any model, unless the table below names others: `create_model(name, backbone=...)`.
`mxnetseg models --backbones` lists them, [weights.md](weights.md) their ImageNet weights. Every model takes any input
size, and sizes that change from call to call; on EfficientNet-Lite from 32x32 pixels on.

## Where each differs

How near each is to its original is measured in [parity.md](parity.md).

{differs}

ResNet-18 and -34 are GluonCV's v1b, deeper ones v1s. ResNeSt has its DropBlock switched off, because its masks fit
images of one size only. Where a builder has options (`width=...`, `rates=...`), they are keyword arguments of
`create_model`, or `model.options` of a recipe.
"""


def accuracies() -> Dict[str, List[str]]:
    """Model -> its best published figure on each data set, for the recipes that state one: "79.3 / 80.0 Cityscapes"."""
    best: Dict[str, Dict[str, Tuple[float, str]]] = {}
    for path in sorted((ROOT / "configs").glob("**/*.yaml")):
        if "published mIoU" not in path.read_text(encoding="utf-8"):  # saves most of the time that reading them takes
            continue
        recipe = load_recipe(path)
        found = re.search(r"; published mIoU ([\d.]+)( / [\d.]+)?(.*)$", recipe.description)
        if not found or "another head" in found.group(3):
            continue
        where = DATA[recipe.data.name] + (" test" if "on test" in found.group(3) else "")
        several = "several scales" if "multi-scale" in found.group(3) else ""
        remarks = ", ".join(filter(None, (recipe.model.backbone, several)))
        figure = f"{found.group(1)}{found.group(2) or ''} {where} ({remarks})"
        held = best.setdefault(recipe.model.name, {})
        held[where] = max(held.get(where, (0.0, "")), (float(found.group(1)), figure))
    return {model: _two([figure for _, figure in held.values()]) for model, held in best.items()}


def _two(figures: List[str]) -> List[str]:
    """The two data sets that most people compare on."""
    order = ["Cityscapes (", "ADE20K (", "VOC (", "NYUv2 (", "test ("]
    return sorted(figures, key=lambda figure: next(i for i, name in enumerate(order) if name in figure))[:2]


def speeds() -> Dict[str, str]:
    """Model -> images per second at 512x512 where that was measured."""
    measured = summary.measured(summary.PAGE.read_text(encoding="utf-8"))
    found: Dict[str, List[str]] = {}
    for title, row in measured.items():
        network, size = title.split(", ")
        if size == "512x512":
            model, backbone = _split(network)
            found.setdefault(model, []).append(f"{row['float32']} / {row['int8']} ({backbone})")
    return {model: "; ".join(cells) for model, cells in found.items()}


def _split(network: str) -> Tuple[str, str]:
    model = max((name for name in NOTES if network.startswith(f"{name}_")), key=len)
    return model, network[len(model) + 1 :]


def table(headers, rows) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [headers, ["---"] * len(headers), *rows])


def text(_: str) -> str:
    published, measured, rows = accuracies(), speeds(), zoo()
    choice = table(
        (
            "model, paper",
            "good for",
            "usual backbone",
            "parameters",
            "FLOPs",
            "images/s (backbone)",
            "mIoU, data (backbone)",
        ),
        [
            (
                f"[`{row['model']}`]({row['paper']})",
                NOTES[row["model"]][0],
                f"{row['usual backbone']}, {row['classes']} classes",
                row["parameters"],
                row["FLOPs"],
                measured.get(row["model"], ""),
                "; ".join(published.get(row["model"], [])),
            )
            for row in rows
        ],
    )
    differs = table(
        ("model", "differs", "backbones"),
        [(f"`{row['model']}`", NOTES[row["model"]][1], _others(row)) for row in rows],
    )
    return TEXT.format(choice=choice, differs=differs)


def _others(row) -> str:
    return "any" if row["others"] == "any" else f"{row['usual backbone']}" + f", {row['others']}" * bool(row["others"])
