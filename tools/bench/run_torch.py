"""What a worker does with PyTorch: eager and compiled, float32 and bfloat16, inference and training."""

import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from .plan import Plan
from .torch_net import to_torch
from .worker import Prepared, timed

__all__ = ["compiled", "compiled_training", "eager", "eager_training"]

FORMATS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
IGNORE = 255


def eager(request) -> Prepared:
    """The module as it is, in the memory format that is faster."""
    net, image = _load(request)

    def form(name):
        return _call(net.to(memory_format=FORMATS[name]), image.contiguous(memory_format=FORMATS[name]))

    return _prepared(form, request)


def compiled(request) -> Prepared:
    """`torch.compile` with frozen weights, which folds batch norms and packs weights for oneDNN."""
    import torch._inductor.config

    torch._inductor.config.freezing = True
    net, image = _load(request)

    def form(name):
        module = torch.compile(net.to(memory_format=FORMATS[name]), dynamic=False)
        return _call(module, image.contiguous(memory_format=FORMATS[name]))

    return _prepared(form, request, ["channels last"])


def eager_training(request) -> Prepared:
    return _training(request, list(FORMATS), lambda loss: loss)


def compiled_training(request) -> Prepared:
    return _training(request, ["channels last"], lambda loss: torch.compile(loss, dynamic=False))


def _load(request):
    threads = int(os.environ["OMP_NUM_THREADS"])
    torch.set_num_threads(threads)
    folder = Path(request["folder"])
    net = to_torch(Plan.load(folder / "plan"))
    image = torch.from_numpy(np.load(folder / "image.npy"))
    dtype = getattr(torch, request.get("dtype", "float32"))
    return net.to(dtype), image.to(dtype)


def _call(net, image):
    def run():
        with torch.inference_mode() if not hasattr(net, "_orig_mod") else torch.no_grad():
            return net(image)

    return run


def _prepared(form, request, names=tuple(FORMATS)) -> Prepared:
    run = form(names[0])
    return Prepared(run, run().float().numpy(), names[0], _settling(form, names))


def _settling(form, names):
    """Of several forms of the same work, the one that takes less time."""

    def settle():
        seconds = {name: timed(form(name), 0.1) for name in names}
        name = min(seconds, key=seconds.get)
        return form(name), name

    return settle if len(names) > 1 else None


def _training(request, names, wrap) -> Prepared:
    def form(name):
        net, image = _load(request)
        net = net.train().to(memory_format=FORMATS[name])
        image = image.contiguous(memory_format=FORMATS[name])
        labels = torch.from_numpy(np.load(Path(request["folder"]) / "labels.npy")).long()
        optimizer = torch.optim.SGD(
            net.parameters(), request["lr"], momentum=0.9, weight_decay=request["weight_decay"], fused=True
        )
        loss_of = wrap(lambda image: F.cross_entropy(net(image), labels, ignore_index=IGNORE))

        def step() -> float:
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(image)
            loss.backward()
            value = loss.item()
            optimizer.step()
            return value

        return step

    step = form(names[0])
    return Prepared(step, np.array([step() for _ in range(request["steps"])]), names[0], _settling(form, names))
