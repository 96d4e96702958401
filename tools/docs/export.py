"""The table in docs/export.md: every model and every backbone as ONNX.

    python -m tools.docs.export                             # what the table lacks; it is written after each row
    python -m tools.docs.export fcn/resnet18 fcn/resnet50   # these, measured again

Each network has random weights with measured statistics (tools.bench.networks). The file is run at three sizes, one of
them odd and in a batch of two, by ONNX Runtime and by OpenVINO, in the benchmark's Python (python -m tools.bench
--setup). Differences are the largest of a logit to MXNet's, by the largest logit.
"""

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Dict, List

import numpy as np

from ..bench.__main__ import PEERS
from ..bench.process import Failed, Worker
from ..bench.run_onnx import FILE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "export.md"
BEGIN, END = "<!-- made by python -m tools.docs.export -->", "<!-- end of the table -->"
HEADERS = ("model", "backbone", "any size, any batch", "ONNX Runtime", "OpenVINO", "MB")
SIZES = ((1, 64, 192), (2, 97, 131), (1, 160, 128))
CLASSES = 19
# of the families of backbones that models have by default
SMALLEST = {
    "dgmn2": "dgmn2_tiny",
    "ffnet": "ffnet_2",
    "moganet": "moganet_xtiny",
    "resnet": "resnet18",
    "xception": "xception39",
}


def networks() -> List[str]:
    """MODEL/BACKBONE: every model on a small backbone, and FCN on every backbone."""
    import mxnetseg
    from mxnetseg.registry import MODELS

    found = []
    for name in mxnetseg.list_models():
        entry = MODELS.find(name)
        family = re.match("[a-z]+[0-9]?(?=_)|[a-z]+", entry.backbone).group()
        small = SMALLEST.get(family, entry.backbone)
        found.append(f"{name}/{entry.backbone if entry.backbones else small}")
    return found + [f"fcn/{name}" for name in mxnetseg.list_backbones() if f"fcn/{name}" not in found]


def measured(name: str, peers: str) -> str:
    """A row of the table, which may say what went wrong."""
    import mxnet as mx

    from mxnetseg.config.schema import IMAGENET_MEAN, IMAGENET_STD
    from mxnetseg.data import normalize
    from mxnetseg.errors import MXNetSegError
    from mxnetseg.export import OnnxNetwork, to_onnx
    from mxnetseg.export.check import pictures

    from ..bench.networks import build

    model, backbone = name.split("/")
    images = [normalize(pictures(n, size), IMAGENET_MEAN, IMAGENET_STD) for n, *size in SIZES]
    net = build(dict(name=model, backbone=backbone, num_classes=CLASSES), images[1])
    cells = [f"`{model}`", f"`{backbone}`"]
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = to_onnx(net, Path(folder) / FILE)
        except MXNetSegError as err:
            return _row([*cells, "no", str(err), "", ""])
        wanted = [net(mx.nd.array(image)).asnumpy() for image in images]
        file = OnnxNetwork(report.path)
        ours = _difference([file(mx.nd.array(image)).asnumpy() for image in images], wanted)
        try:
            theirs = _difference(_openvino(images, folder, peers), wanted) if os.access(peers, os.X_OK) else ""
        except Failed as err:
            theirs = str(err)
    free = "yes" if report.free_size and report.free_batch and report.multiple == 1 else "no"
    return _row([*cells, free, ours, theirs, f"{report.bytes / 1e6:.1f}"])


def _openvino(images: List[np.ndarray], folder: str, peers: str) -> List[np.ndarray]:
    """What OpenVINO makes of the file in the folder."""
    logits, outcome = [], str(Path(folder) / "logits.npy")
    with Worker(peers, "run_onnx", sorted(os.sched_getaffinity(0))) as worker:
        for image in images:
            np.save(Path(folder) / "image.npy", image)
            worker.ask(prepare="openvino", folder=folder, outcome=outcome, dtype="float32")
            logits.append(np.load(outcome))
    return logits


def _difference(logits: List[np.ndarray], wanted: List[np.ndarray]) -> str:
    errors = [np.abs(one - other).max() for one, other in zip(logits, wanted)]
    return f"{max(errors) / max(np.abs(one).max() for one in wanted):.1e}"


def _row(cells) -> str:
    return f"| {' | '.join(cells)} |"


def read() -> Dict[str, str]:
    """The rows of the page by MODEL/BACKBONE."""
    lines = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].splitlines()
    return {"/".join(line.split("`")[1:4:2]): line for line in lines if line.startswith("| `")}


def write(rows: List[str]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    table = "\n".join([_row(HEADERS), _row(["---"] * len(HEADERS)), *rows])
    PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="MODEL/BACKBONE", help="what the table lacks when left out")
    parser.add_argument("--peers-python", default=str(PEERS), metavar="PATH", help="a Python that has OpenVINO")
    args = parser.parse_args()
    every, rows = networks(), read()
    for name in args.networks or [name for name in every if name not in rows]:
        rows[name] = measured(name, args.peers_python)
        print(rows[name], flush=True)
        write([rows[name] for name in every if name in rows])
    return 0


if __name__ == "__main__":
    sys.exit(main())
