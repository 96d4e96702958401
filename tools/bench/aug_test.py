"""Multi-scale evaluation in PyTorch, step by step as mmsegmentation 0.29 does it (`EncoderDecoder.aug_test` in mode
"slide"); `tools.bench.evaluation` runs it, in the peers' Python.

    python -m tools.bench.aug_test FOLDER

The folder holds image.npy (H, W, 3) uint8, a plan for every size of window, and job.json, which has the sizes of the
scaled images and their windows. The network is compiled with frozen weights. mmsegmentation itself needs an mmcv with
operators, which has no build for today's PyTorch. With MXNetSeg's `average: logits` it gave 99.85 % of the pixels of an
image of noise the same class.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from .plan import Plan
from .torch_net import to_torch
from .worker import peak_memory


class Network:
    """Logits of windows at their own resolution."""

    def __init__(self, folder: Path):
        import torch._inductor.config

        torch._inductor.config.freezing = True
        self._folder, self._nets = folder, {}

    def __call__(self, x, plan: str):
        if plan not in self._nets:
            net = to_torch(Plan.load(self._folder / plan)).to(memory_format=torch.channels_last)
            self._nets[plan] = torch.compile(net, dynamic=False)
        return self._nets[plan](x.contiguous(memory_format=torch.channels_last))


def slide(net, x, view):
    """Logits (1, C, H, W): the mean over windows."""
    (height, width), (h, w) = view["size"], view["window"]
    total, count = None, x.new_zeros((1, 1, height, width))
    for top in view["tops"]:
        for left in view["lefts"]:
            logits = net(x[:, :, top : top + h, left : left + w], view["plan"])
            if total is None:
                total = x.new_zeros((1, logits.shape[1], height, width))
            total += F.pad(logits, (left, width - left - w, top, height - top - h))
            count[:, :, top : top + h, left : left + w] += 1
    return total / count


def aug_test(net, image, job):
    """(H, W) classes of an image (H, W, 3) uint8."""
    size = tuple(image.shape[:2])
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    mean, std = (torch.tensor(job[name], dtype=torch.float32).view(1, 3, 1, 1) for name in ("mean", "std"))
    total = None
    for view in job["views"]:
        resized = F.interpolate(pixels, view["size"], mode="bilinear", align_corners=False)
        x = (resized - mean) / std
        for mirrored in (False, True):
            logits = slide(net, x.flip(3) if mirrored else x, view)
            logits = F.interpolate(logits, size, mode="bilinear", align_corners=job["align_corners"])
            probabilities = F.softmax(logits, dim=1)
            probabilities = probabilities.flip(3) if mirrored else probabilities
            total = probabilities if total is None else total + probabilities
    return (total / (2 * len(job["views"]))).argmax(1)[0].numpy()


def main() -> None:
    """Answer every line on the standard input with the seconds of one evaluation."""
    folder = Path(sys.argv[1])
    before = round(peak_memory())
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    job, image = json.loads((folder / "job.json").read_text()), np.load(folder / "image.npy")
    net = Network(folder)
    with torch.no_grad():
        aug_test(net, image, job)  # compiles
        print(json.dumps({"before": before}), flush=True)
        for _ in sys.stdin:
            begin = time.perf_counter(), time.process_time()
            aug_test(net, image, job)
            seconds = time.perf_counter() - begin[0], time.process_time() - begin[1]
            print(json.dumps({"wall": seconds[0], "cpu": seconds[1], "peak": round(peak_memory())}), flush=True)


if __name__ == "__main__":
    main()
