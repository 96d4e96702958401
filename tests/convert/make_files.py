"""Make the small PyTorch checkpoints that tests/convert reads, with PyTorch itself.

    python tests/convert/make_files.py [tests/convert/files]

Needs PyTorch, which nothing else here does; the committed files are of PyTorch 2.13. Every value follows a formula
that tests/convert/pth.py repeats: `ramp` counts in quarters around zero, which all types hold exactly.
"""

import argparse
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

TYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]


def ramp(*shape, dtype=torch.float32):
    count = int(np.prod(shape))
    values = torch.arange(count) - count // 2
    if dtype.is_floating_point:
        values = values / 4
    elif dtype == torch.uint8:
        values = values.abs()
    elif dtype == torch.bool:
        values = values % 2
    return values.to(dtype).reshape(shape)


def types():
    return OrderedDict((name, ramp(2, 3, dtype=getattr(torch, name))) for name in TYPES)


def views():
    base = ramp(4, 6)
    return {
        "base": base,
        "transposed": base.t(),
        "row": base[2],
        "column": base[:, 1],
        "steps": base[1::2, 1::2],
        "expanded": base[:1].expand(3, 6),
        "scalar": base[1, 1],
        "empty": base[:0],
        "channels_last": ramp(1, 2, 3, 3).contiguous(memory_format=torch.channels_last),
    }


def training():
    """As training scripts leave it: wrapped networks, averages, optimizer, options, scores."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(OrderedDict(conv=torch.nn.Conv2d(2, 3, 1), norm=torch.nn.BatchNorm2d(3)))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(2, 2, 4, 4)).sum().backward()
    optimizer.step()
    with torch.no_grad():
        for value in net.state_dict().values():
            value.copy_(ramp(*value.shape))
    averages = OrderedDict((name, value * 2) for name, value in net.state_dict().items())
    tagged = torch.nn.Parameter(ramp(2))
    tagged.tag = "kept beside a parameter"
    return {
        "epoch": 3,
        "best": np.float64(0.5),
        "history": np.arange(3.0),
        "args": argparse.Namespace(lr=0.1, out=Path("out")),
        "ranks": {1, 2},
        "model": torch.nn.DataParallel(net).state_dict(),
        "model_ema": averages,
        "optimizer": optimizer.state_dict(),
        "tagged": tagged,
        "type": torch.float16,
        "device": torch.device("cpu"),
        "size": torch.Size([1, 2]),
    }


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "tests/convert/files")
    folder.mkdir(parents=True, exist_ok=True)
    for make in (types, views, training):
        for suffix, new in (("", True), ("_legacy", False)):
            torch.save(make(), folder / f"{make.__name__}{suffix}.pth", _use_new_zipfile_serialization=new)


if __name__ == "__main__":
    main()
