"""From a shell to a class map on disk: `mxnetseg predict` against scripts of PyTorch and ONNX Runtime.

    python -m tools.bench_cold_start [--torch-python PATH] [--onnx-python PATH] [--rounds N]

One picture, read from a PNG file, goes through the network that ships with the package, and the class map becomes
another file. All do the same, each in a process of its own, and take turns; the class maps are compared first.
PyTorch's network is a TorchScript file with frozen weights, ONNX Runtime's the file of `mxnetseg export`. Prints the
table of docs/performance.md: medians, and the resident peak.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
NETWORK = "weights/swiftnet/swiftnet_efficientnet_lite0_camvid.params"
MEAN, STD = (127, 127, 127), (128, 128, 128)  # of that network

IMAGE = f"""
import sys
import numpy as np
from PIL import Image
file, network, result = sys.argv[1:]
image = (np.asarray(Image.open(file), np.float32) - np.float32({MEAN})) / np.float32({STD})
image = np.ascontiguousarray(image.transpose(2, 0, 1)[None])
"""
TORCH = (
    "import torch\n"
    + IMAGE
    + """
with torch.inference_mode():
    classes = torch.jit.load(network)(torch.from_numpy(image)).argmax(1)[0].to(torch.uint8).numpy()
Image.fromarray(classes).save(result)
"""
)
ONNX = (
    "import onnxruntime\n"
    + IMAGE
    + """
session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
classes = session.run(["logits"], {"image": image})[0].argmax(1)[0].astype(np.uint8)
Image.fromarray(classes).save(result)
"""
)
FREEZE = """
import sys
import torch
from tools.bench.plan import Plan
from tools.bench.torch_net import to_torch
with torch.inference_mode():
    net = torch.jit.trace(to_torch(Plan.load(sys.argv[1])).eval(), torch.zeros(1, 3, *map(int, sys.argv[3:])))
    torch.jit.freeze(net).save(sys.argv[2])
"""


def main() -> None:
    from tabulate import tabulate

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python", metavar="PATH", help="a Python that has PyTorch, NumPy and Pillow")
    parser.add_argument("--onnx-python", metavar="PATH", help="one that has ONNX Runtime, NumPy and Pillow")
    parser.add_argument("--size", type=int, nargs=2, default=[512, 512], metavar="N", help="height and width (512 512)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.prepare:
        prepare(args.prepare, args)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # by another process: the peak of a process begins at that of its parent
        subprocess.run(
            [sys.executable, "-m", "tools.bench_cold_start", *sys.argv[1:], "--prepare", name], cwd=ROOT, check=True
        )
        optimize(folder / "net.optimized", args)
        commands = commands_of(folder, args)
        maps = {}
        for contender, command in commands.items():
            run(command, folder)
            maps[contender] = class_map(folder / contender)
        first = maps["mxnetseg predict"]
        for contender, found in maps.items():
            if (found != first).mean() > 1e-3:  # where two classes are equal but for rounding
                sys.exit(f"{contender} gives something else: {(found != first).mean():.2%} of the pixels")
        seen: Dict[str, List[List[float]]] = {contender: [] for contender in commands}
        for _ in range(args.rounds):
            for contender, command in commands.items():
                seen[contender].append(run(command, folder))
    rows = [[contender, *map(statistics.median, zip(*runs))] for contender, runs in seen.items()]
    rows = [[*row, rows[0][1] / row[1]] for row in rows]
    print(tabulate(rows, ["contender", "s", "peak, MB", "predict / it"], "github", floatfmt=("", ".2f", ".0f", ".2f")))


def prepare(folder: Path, args: argparse.Namespace) -> None:
    """Write the picture and the networks."""
    os.environ["MXNETSEG_OPS"] = "0"  # `trace` wants operators that others have
    from PIL import Image

    import mxnetseg
    from tools.bench.trace import trace

    height, width = args.size
    street = Image.open(ROOT / "demo" / "images" / "street.png").convert("RGB")
    street.resize((width, height), Image.Resampling.BILINEAR).save(folder / "picture.png")
    net = mxnetseg.load(ROOT / NETWORK)
    if args.torch_python:
        trace(net, (1, 3, height, width)).save(folder / "plan")
        freeze = [
            args.torch_python,
            "-c",
            FREEZE,
            str(folder / "plan"),
            str(folder / "net.pt"),
            str(height),
            str(width),
        ]
        subprocess.run(freeze, cwd=ROOT, check=True)
    if args.onnx_python:
        mxnetseg.export.to_onnx(net, folder / "net.onnx", size=(height, width))


def optimize(path: Path, args: argparse.Namespace) -> None:
    """With our operators, which `prepare` does without."""
    export = ["export", "--checkpoint", NETWORK, "--to", "optimized", "--out", str(path), "--quiet", "--size"]
    subprocess.run([sys.executable, "-m", "mxnetseg", *export, *map(str, args.size)], cwd=ROOT, check=True)


def commands_of(folder: Path, args: argparse.Namespace) -> Dict[str, List[str]]:
    """By contender; each writes into a folder of that name."""
    picture = str(folder / "picture.png")
    predict = [sys.executable, "-m", "mxnetseg", "predict", picture, "--save", "label", "--quiet", "--overwrite"]
    commands = {}
    for contender, network in (("mxnetseg predict", ROOT / NETWORK), ("predict, .optimized", folder / "net.optimized")):
        commands[contender] = [*predict, "--checkpoint", str(network), "--out", str(folder / contender)]
    for contender, python, script, network in (
        ("PyTorch, TorchScript", args.torch_python, TORCH, "net.pt"),
        ("ONNX Runtime", args.onnx_python, ONNX, "net.onnx"),
    ):
        if python:
            (folder / contender).mkdir()
            result = str(folder / contender / "picture.png")
            commands[contender] = [python, "-c", script, picture, str(folder / network), result]
    return commands


def run(command: List[str], folder: Path) -> List[float]:
    """Seconds, and the resident peak in MB."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MXNETSEG_", "MXNET_"))}
    with (folder / "said").open("w+") as said:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        if status:
            said.seek(0)
            sys.exit(f"{' '.join(command)}: {said.read()}")
    return [seconds, usage.ru_maxrss / 1024]


def class_map(folder: Path) -> np.ndarray:
    import cv2

    (file,) = folder.rglob("*.png")
    return cv2.imread(str(file), cv2.IMREAD_UNCHANGED)


if __name__ == "__main__":
    main()
