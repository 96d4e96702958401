"""Export every model and every backbone to ONNX, and write the table in docs/export.md.

    python -m tools.export_table --json FILE               # all of it; the page's table
    python -m tools.export_table --json FILE fcn/resnet18  # some of it; FILE keeps the rows of before

Each network has random weights with measured statistics (tools.bench.networks). The file is run at three sizes, one of
them odd and in a batch of two, by ONNX Runtime and by OpenVINO, in the benchmark's Python (python -m tools.bench
--setup). Differences are the largest of a logit to MXNet's, by the largest logit.
"""

import argparse
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "export.md"
BEGIN, END = "<!-- made by python -m tools.export_table -->", "<!-- end of the table -->"
PEERS = ROOT / ".venv-peers" / "bin" / "python"
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
        family = re.match("[a-z]+[0-9]?(?=_)|[a-z]+", entry.backbone).group()  # type: ignore[union-attr]
        small = SMALLEST.get(family, entry.backbone)
        found.append(f"{name}/{entry.backbone if entry.backbones else small}")
    return found + [f"fcn/{name}" for name in mxnetseg.list_backbones() if f"fcn/{name}" not in found]


def measured(name: str, openvino: Optional[str]) -> Dict[str, Any]:
    """One row, or what went wrong."""
    import mxnet as mx

    from mxnetseg.config.schema import IMAGENET_MEAN, IMAGENET_STD
    from mxnetseg.data import normalize
    from mxnetseg.errors import MXNetSegError
    from mxnetseg.export import to_onnx
    from mxnetseg.export.check import pictures
    from mxnetseg.export.runtime import run, session_of
    from tools.bench.networks import build

    model, backbone = name.split("/")
    images = [normalize(pictures(n, size), IMAGENET_MEAN, IMAGENET_STD) for n, *size in SIZES]
    net = build(dict(name=model, backbone=backbone, num_classes=CLASSES), images[1])
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "network.onnx")
        try:
            report = to_onnx(net, path)
        except MXNetSegError as err:
            return {"problem": str(err)}
        logits = [net(mx.nd.array(image)).asnumpy() for image in images]
        session = session_of(path)
        greatest = max(np.abs(one).max() for one in logits)
        errors = [np.abs(run(session, image, "logits") - one).max() for image, one in zip(images, logits)]
        row = {
            "free": report.free_size and report.free_batch,
            "onnxruntime": float(max(errors) / greatest),
            "megabytes": report.bytes / 1e6,
        }
        if openvino:
            arrays = {f"image{i}": image for i, image in enumerate(images)}
            arrays.update({f"logits{i}": one for i, one in enumerate(logits)})
            np.savez(Path(folder) / "images.npz", **arrays)
            command = [openvino, str(ROOT / "tools" / "export_openvino.py"), path, str(Path(folder) / "images.npz")]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines() or [""]
            row["openvino"] = float(lines[-1]) if done.returncode == 0 else lines[-1][:300]
        return row


def table(rows: Dict[str, Dict[str, Any]]) -> str:
    lines = [
        "| model | backbone | any size, any batch | ONNX Runtime | OpenVINO | MB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in rows.items():
        model, backbone = name.split("/")
        cells = [f"`{model}`", f"`{backbone}`"]
        if "problem" in row:
            cells += ["no", row["problem"], "", ""]
        else:
            openvino = row.get("openvino", "")
            openvino = f"{openvino:.1e}" if isinstance(openvino, float) else openvino
            cells += ["yes" if row["free"] else "no", f"{row['onnxruntime']:.1e}", openvino, f"{row['megabytes']:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write(rows: Dict[str, Dict[str, Any]]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="MODEL/BACKBONE", help="all when left out")
    parser.add_argument("--json", required=True, type=Path, metavar="FILE", help="of rows, read and added to")
    parser.add_argument("--again", action="store_true", help="measure also what FILE has already")
    parser.add_argument("--peers-python", default=str(PEERS), metavar="PATH", help="a Python that has OpenVINO")
    args = parser.parse_args()
    rows = json.loads(args.json.read_text(encoding="utf-8")) if args.json.exists() else {}
    every = networks()
    openvino = args.peers_python if os.access(args.peers_python, os.X_OK) else None
    for name in args.networks or every:
        if args.again or name not in rows:
            rows[name] = measured(name, openvino)
            print(name, rows[name], flush=True)
            args.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    if PAGE.exists():
        write({name: rows[name] for name in every if name in rows})


if __name__ == "__main__":
    main()
