"""docs/parity.md: every model compared with its original.

Weights, inputs and expected values are those of tests/goldens; networks are counted as `mxnetseg flops` counts.
"""

import json
from pathlib import Path

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from mxnetseg import create_model  # before MXNet, which starts on NumPy 2 only so

# isort: split
from mxnet import nd

from mxnetseg.config import load_recipe
from mxnetseg.flops import count, short
from tests.goldens import families
from tests.models import test_family_goldens as family
from tests.models import test_goldens as classic

ROOT = Path(__file__).resolve().parents[2]
TEXT = """# Parity

How near each model is to its original. Made by `OMP_NUM_THREADS=2 python -m tools.docs parity`; the tests hold the same
differences to the tolerances given here.

## Logits of MogaNet, FFNet and DGMN2

The original PyTorch code (with mmsegmentation's heads) and ours get the same weights and the same input, in float32,
in inference. The table has the largest difference over the logits, auxiliary logits and features of every stage.
Allowed are a relative L2 of 1e-5, and 1e-4 of the largest value.

{eval}

## A step of training

The loss, and the gradient of every parameter, with dropout and drop path off. For gradients it is the largest
difference of a tensor's norm or of eight of its values, relative to the originals in float64 (allowed: 1e-4 in
float64, 5e-3 in float32). In float32 a value may fall on the other side of a ReLU's kink, which moves gradients more
than rounding does: the two UPerNets may differ by 1e-2 on one thread (with two they stay below 5e-3). float64 shows
that there is nothing else.

{train}

MXNet's running variance is the biased one, PyTorch's is not. After the same step, MXNet's is smaller by 1 / n of the
batch's share, where n is the number of values per channel.

## Parameters and FLOPs of the published tables

Counted by the originals' rules ([flops.md](flops.md)) at the originals' sizes. No single rule gives both of
FFNet-seg's published figures (unfused, with or without norms, by mmcv or by torchprofile); ours are mmcv's. DGMN2
published none.

{counts}

## The classic models

The MXNetSeg toolkit of 2022 and ours: the largest difference of any output, relative to its standard deviation
(allowed: 2e-4). The toolkit's SETR-PUP clips its logits at 0 before it resizes them; for the comparison so do we.

{classic}
"""


def text(_: str) -> str:
    return TEXT.format(eval=_eval(), train=_train(), counts=_counts(), classic=_classic())


def _table(headers, rows) -> str:
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def _title(name: str) -> str:
    model, backbone = families.model_of(name)
    return f"{model}, {backbone}"


def _eval() -> str:
    rows = []
    for name in tqdm(families.EVAL, desc="logits"):
        meta, data = families.read(name)
        net, x = family.loaded(name, meta)
        found = {key: (data[f"{key}_idx"], data[f"{key}_val"]) for key in meta["outputs"]}
        relative, most = zip(
            *(family.difference(out, *found[key]) for key, out in family.everything(net, x, found).items())
        )
        size = "x".join(map(str, meta["input_shape"][2:]))
        rows.append((_title(name), size, f"{max(relative):.1e}", f"{max(most):.1e}"))
    return _table(("model", "input", "relative L2", "of the largest value"), rows)


def _train() -> str:
    rows = []
    for name in tqdm(families.TRAIN, desc="training"):
        found = [family.train_step(name, dtype) for dtype in ("float64", "float32")]
        rows.append((_title(name), f"{found[1].loss:.1e}", *(f"{step.gradient:.1e}" for step in found)))
    return _table(("model", "loss, float32", "gradients, float64", "gradients, float32"), rows)


def _counts() -> str:
    published = {row["recipe"]: row for row in families.published()}
    rows = []
    for path in tqdm(sorted(p for d in ("moganet", "ffnet", "dgmn2") for p in (ROOT / "configs" / d).glob("*.yaml"))):
        name = f"{path.parent.name}/{path.stem}"
        row = published.get(name)
        shape = (int(row["height"]), int(row["width"])) if row else (769, 769)
        found = count(create_model(config=str(path)), shape)
        theirs = (f"{row['parameters']} M", f"{row['flops']} G") if row else ("", "")
        rows.append(
            (
                load_recipe(path).description.split(";")[0],
                "x".join(map(str, shape)),
                short(found.parameters, "M"),
                theirs[0],
                short(found.flops, "G"),
                theirs[1],
            )
        )
    return _table(("model", "input", "parameters", "published", "FLOPs", "published"), rows)


def _classic() -> str:
    rows = []
    for golden, arguments in tqdm(classic.MODELS.items(), desc="classic"):
        data = np.load(classic.HERE / f"{golden}.npz")
        meta = json.loads(str(data["meta"]))
        net, x = classic.network_and_input(golden, meta)
        outputs = classic.as_published(golden, net, x, classic.all_outputs(net, x))
        most = max(
            np.abs(out[:, :, :: meta["step"], :: meta["step"]].ravel()[data[f"index{i}"]] - data[f"value{i}"]).max()
            / std
            for i, (out, std) in enumerate(zip(outputs, meta["std"]))
        )
        found = count(net, 512)
        rows.append(
            (
                f"{net.spec['name']}, {net.spec['backbone']}",
                net.spec["output_stride"],
                "yes" if arguments.get("aux") else "",
                f"{most:.1e}",
                short(found.parameters, "M"),
                short(found.flops, "G"),
            )
        )
        nd.waitall()
    return _table(("model", "output stride", "auxiliary", "difference", "parameters", "FLOPs at 512x512"), rows)
