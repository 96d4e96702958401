"""What a worker does in MXNet's Python: writes a network (weights, plan, ONNX file), runs it, trains it."""

import importlib.util
import os
from pathlib import Path

import numpy as np

from .worker import Prepared

__all__ = ["deployed", "export", "export_onnx", "plain", "training"]

CALIBRATION = 2  # images for int8


def export(request) -> None:
    """Write weights.params, image.npy, labels.npy and the plan into the folder."""
    os.environ["MXNETSEG_OPS"] = "0"
    import mxnetseg  # noqa: F401, I001  (sets what MXNet reads when it is imported)
    from .networks import NETWORKS, build
    from .trace import trace

    folder, shape = Path(request["folder"]), (request["batch"], 3, *request["size"])
    rng = np.random.RandomState(1)
    image = rng.normal(size=shape).astype("float32")
    net = build(NETWORKS[request["network"]].arguments, image)
    labels = rng.randint(0, net.spec["num_classes"], (shape[0], *shape[2:])).astype("uint8")
    labels[:, : shape[2] // 16] = 255
    np.save(folder / "image.npy", image)
    np.save(folder / "labels.npy", labels)
    net.save_parameters(str(folder / "weights.params"))
    if request["task"] == "inference":
        net.reparameterize()  # as anyone would deploy it
    trace(net, shape).save(folder / "plan")


def export_onnx(request) -> None:
    """Write the network as an ONNX file for images of this size alone."""
    from mxnetseg.export import to_onnx

    from .run_onnx import FILE

    _, net, image = _load(request)
    to_onnx(net.reparameterize(), Path(request["folder"]) / FILE, size=image.shape[2:], batch=image.shape[0])


def plain(request) -> Prepared:
    """The hybridized network."""
    mx, net, image = _load(request)
    net.hybridize(static_alloc=True, static_shape=True)
    return _prepared(lambda: net(image), "hybridized")


def deployed(request) -> Prepared:
    """What `mxnetseg.deploy.optimize` makes of the network."""
    from mxnetseg import MXNetSegError

    if importlib.util.find_spec("mxnetseg.deploy") is None:
        raise MXNetSegError("this version has no mxnetseg.deploy")
    from mxnetseg.deploy import optimize

    mx, net, image = _load(request)
    options = {}
    if request["dtype"] == "int8":
        rng = np.random.RandomState(2)
        options["calibration"] = [mx.nd.array(rng.normal(size=image.shape)) for _ in range(CALIBRATION - 1)] + [image]
    run = optimize(net, dtype=request["dtype"], size=image.shape[2:], **options)
    return _prepared(lambda: run(image), "mxnetseg.deploy")


def training(request) -> Prepared:
    """A step as the trainer makes it: forward, cross-entropy, backward, SGD with momentum."""
    mx, net, image = _load(request)
    from mxnet import autograd, gluon

    from mxnetseg.config.schema import LossConfig, OptimizerConfig
    from mxnetseg.engine.optimizer import Optimizer
    from mxnetseg.losses import build_loss

    def without_dropout(block):
        if isinstance(block, gluon.nn.Dropout):
            block._rate = 0  # so that contenders can be compared

    net.apply(without_dropout)
    labels = np.load(Path(request["folder"]) / "labels.npy")
    criterion = build_loss(LossConfig(), net.spec["num_classes"], net.align_corners)
    forward = net.coarse_logits if criterion.resizes else net
    criterion.initialize()
    for block in (net, criterion):
        block.hybridize(static_alloc=True, static_shape=True)
    scale = mx.nd.array([1 / criterion.normalizer(labels)])
    labels = mx.nd.array(labels)
    optimizer = Optimizer(net, OptimizerConfig(lr=request["lr"], weight_decay=request["weight_decay"]))

    def step() -> float:
        with autograd.record():
            loss = criterion(forward(image), labels, scale)
        loss.backward()
        value = float(loss.asscalar())
        optimizer.update(request["lr"])
        mx.nd.waitall()
        return value

    return Prepared(step, np.array([step() for _ in range(request["steps"])]), "hybridized")


def _load(request):
    import mxnetseg  # noqa: I001  (sets what MXNet reads when it is imported)
    import mxnet as mx

    from .networks import NETWORKS

    folder = Path(request["folder"])
    net = mxnetseg.create_model(aux=False, **NETWORKS[request["network"]].arguments)
    net.load_parameters(str(folder / "weights.params"))
    return mx, net, mx.nd.array(np.load(folder / "image.npy"))


def _prepared(call, detail) -> Prepared:
    def run():
        out = call()
        out.wait_to_read()
        return out

    return Prepared(run, run().astype("float32").asnumpy(), detail)
