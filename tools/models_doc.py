"""Write docs/models.md: what each model is good for, and where it differs from its paper or from the toolkit of 2022.

    python -m tools.models_doc

Numbers are those of `mxnetseg models`.
"""

from pathlib import Path

from mxnetseg.cli.models import zoo

TARGET = Path(__file__).resolve().parents[1] / "docs" / "models.md"
SAME = "nowhere"

# good for; where it differs: "toolkit" is the MXNetSeg of 2022, whose figures and .params files rest on its own form
NOTES = {
    "acfnet": (
        "accuracy on large contexts",
        "from the toolkit, which has no class centres: the paper's. No published figure rests on the toolkit's",
    ),
    "alignseg": (
        "sharp borders: levels are warped onto one another before they are added",
        "paper's ResNet-101 in its recipe, the toolkit's ResNet-50 when none is named",
    ),
    "attanet": ("speed: strip attention", SAME),
    "attention_to_scale": (
        "objects of very different sizes",
        "from the paper: sigmoid of one score per scale instead of a softmax over two, which is the same",
    ),
    "bisenet": ("real time; small variants train on a CPU (the CamVid checkpoint here)", SAME),
    "canet": (
        "context over several flows",
        "from the paper: the toolkit's plain convolution instead of a selection of channels",
    ),
    "canet_v2": ("context at two scales, light decoder", SAME),
    "danet": (
        "accuracy: attention over all positions and channels",
        "from the paper: the softmax over channels prefers unlike ones, as published weights do. Attention runs in 16 "
        "parts, so that no map of all pixels by all pixels is held",
    ),
    "deeplabv3": (
        "a strong baseline",
        "from the paper: rates 6, 12, 18 at output stride 8, too (`rates=(12, 24, 36)` is the paper's)",
    ),
    "deeplabv3plus": (
        "a strong baseline with finer borders",
        "from the paper: plain convolutions in ASPP and decoder; rates of output stride 8 at any",
    ),
    "denseaspp": ("large fields of view in street scenes", "from the paper: no 1x1 convolution before the first layer"),
    "eprnet": (
        "under a million parameters: embedded devices",
        "light form: `backbone=eprnet_light`; auxiliary head ours",
    ),
    "fapn": (
        "sharp borders on a feature pyramid",
        "from the toolkit, whose deformable convolution reads the wrong input and does not train on a CPU: the paper's",
    ),
    "fcn": ("the plainest baseline", SAME),
    "ffnet": (
        "accuracy per FLOP with convolutions alone",
        "from the original: inputs need not be multiples of 32. Folds for deployment (`reparameterize`)",
    ),
    "gffnet": (
        "thin objects: gates choose what each level gives",
        "from the toolkit, which fuses levels that are fused already: the paper's",
    ),
    "ladderdensenet": ("memory: DenseNet with a light ladder", SAME),
    "pspnet": ("a strong baseline", SAME),
    "seenet": (
        "context with borders",
        "from the paper: plain instead of depthwise separable convolutions, as the toolkit",
    ),
    "semantic_fpn": ("a light decoder for any four-level backbone", "as mmsegmentation has it"),
    "setr_mla": (
        "transformers, several levels",
        "follows the input's aspect, where the originals make squares. On ViT as the toolkit, elsewhere as DGMN2",
    ),
    "setr_naive": ("transformers, the plainest decoder", "as setr_mla"),
    "setr_pup": (
        "transformers, step by step upwards",
        "as setr_mla; no ReLU on the logits, which the toolkit has on ViT",
    ),
    "swiftnet": ("real time with ImageNet backbones", SAME),
    "swiftnet_pr": (
        "real time, large objects: the image and its half",
        "from the toolkit: any input size; the half's levels are resized where sides are odd",
    ),
    "upernet": ("accuracy on any four-level backbone", "as mmsegmentation has it"),
}

TEXT = """# Models

Made by `python -m tools.models_doc`; `mxnetseg models` prints the numbers. Parameters without running statistics, FLOPs
at 512x512 by the rules of [flops.md](flops.md), both on the usual backbone with its usual number of classes. How near
each is to its original: [parity.md](parity.md).

{table}

Backbones: `mxnetseg models --backbones` lists them; `create_model(name, backbone=...)` takes any with any model unless
the table names others. ResNet-18 and -34 are GluonCV's v1b, deeper ones v1s; ResNeSt has its DropBlock switched off,
because its masks fit images of one size only.

Every model takes any input size and sizes that change from call to call. Where a name has options (`width=...`,
`rates=...`), they are keyword arguments of `create_model`, or `model.options` of a recipe.
"""


def text() -> str:
    rows = []
    for row in zoo():
        good, differs = NOTES[row["model"]]
        rows.append(
            (
                f"[`{row['model']}`]({row['paper']})",
                f"{row['usual backbone']}, {row['classes']} classes"
                + (f"; {row['others']}" if row["others"] != "any" else ""),
                row["parameters"],
                row["FLOPs"],
                good,
                differs,
            )
        )
    headers = ("model, paper", "usual backbone", "parameters", "FLOPs", "good for", "differs")
    lines = [headers, ["---"] * len(headers), *rows]
    return TEXT.format(table="\n".join(f"| {' | '.join(line)} |" for line in lines))


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
