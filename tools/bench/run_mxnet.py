"""What a worker does in MXNet's Python: writes a network (weights, plan, ONNX file), runs it, trains it."""

import os
from pathlib import Path

import numpy as np

from .run_onnx import CALIBRATION_FILE, FILE, QUANTIZED
from .worker import Prepared

__all__ = ["deployed", "export", "export_onnx", "optimized", "plain", "quantized_onnx", "training"]

CALIBRATION = 2  # batches for int8


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
    others = np.random.RandomState(2).normal(size=(CALIBRATION - 1, *shape)).astype("float32")
    np.save(folder / CALIBRATION_FILE, np.concatenate([others, image[None]]))
    np.save(folder / "labels.npy", labels)
    net.save_parameters(str(folder / "weights.params"))
    if request["task"] == "inference":
        net.reparameterize()  # as anyone would deploy it
    trace(net, shape).save(folder / "plan")


def export_onnx(request) -> None:
    """Write the network as an ONNX file for images of this size alone."""
    from mxnetseg.export import to_onnx

    _, net, image = _load(request)
    to_onnx(net.reparameterize(), Path(request["folder"]) / FILE, size=image.shape[2:], batch=image.shape[0])


def plain(request) -> Prepared:
    """The hybridized network."""
    mx, net, image = _load(request)
    net.hybridize(static_alloc=True, static_shape=True)
    return _prepared(lambda: net(image), "hybridized")


def quantized_onnx(request) -> None:
    """Write what `mxnetseg.export` makes of the network in int8, by ONNX Runtime's quantizer."""
    from mxnetseg.export import to_onnx

    mx, net, image = _load(request)
    path = Path(request["folder"]) / QUANTIZED["onnxruntime"]
    size, batch = image.shape[2:], image.shape[0]
    to_onnx(net.reparameterize(), path, size=size, batch=batch, dtype="int8", calibration=_calibration(request, mx))


def optimized(request) -> None:
    """Write what `mxnetseg.deploy.optimize` makes of the network."""
    from mxnetseg.deploy import optimize

    mx, net, image = _load(request)
    options = {"calibration": _calibration(request, mx)} if request["dtype"] == "int8" else {}
    optimize(net, dtype=request["dtype"], size=image.shape[2:], **options).save(_file(request))


def deployed(request) -> Prepared:
    """The file of that."""
    import mxnetseg  # noqa: I001  (sets what MXNet reads when it is imported)
    import mxnet as mx

    run = mxnetseg.load(_file(request))
    image = mx.nd.array(np.load(Path(request["folder"]) / "image.npy"))
    return _prepared(lambda: run(image), "mxnetseg.deploy")


def checkpointed_training(request) -> Prepared:
    """The same with activations that are computed again."""
    return training(request, recompute=True)


def training(request, recompute=False) -> Prepared:
    """A step as the trainer makes it: forward, cross-entropy, backward, SGD with momentum."""
    _, net, image = _load(request)
    from mxnet import gluon, nd

    from mxnetseg.config.schema import LossConfig, OptimizerConfig
    from mxnetseg.engine.optimizer import Optimizer
    from mxnetseg.engine.step import Part, TrainStep
    from mxnetseg.losses import build_loss
    from mxnetseg.memory import give_back_freed_memory, keep_freed_memory

    def without_dropout(block):
        if isinstance(block, gluon.nn.Dropout):
            block._rate = 0  # so that contenders can be compared

    net.apply(without_dropout)
    labels = np.load(Path(request["folder"]) / "labels.npy")
    criterion = build_loss(LossConfig(), net.spec["num_classes"], net.align_corners)
    criterion.initialize()
    for block in (net, criterion):
        block.hybridize(static_alloc=True)
    parts = [Part(image, nd.array(labels), nd.array([1 / criterion.normalizer(labels)]))]
    optimizer = Optimizer(net, OptimizerConfig(lr=request["lr"], weight_decay=request["weight_decay"]))
    give_back_freed_memory()
    take = TrainStep(net, criterion, optimizer, aux_weight=0, recompute=recompute)

    def step() -> float:
        loss = take([parts], request["lr"], seed=0)
        nd.waitall()
        return loss

    losses = [step()]
    keep_freed_memory()  # as in the trainer
    losses += [step() for _ in range(request["steps"] - 1)]
    return Prepared(step, np.array(losses), "hybridized")


def _load(request):
    import mxnetseg  # noqa: I001  (sets what MXNet reads when it is imported)
    import mxnet as mx

    from .networks import NETWORKS

    folder = Path(request["folder"])
    net = mxnetseg.create_model(aux=False, **NETWORKS[request["network"]].arguments)
    net.load_parameters(str(folder / "weights.params"))
    return mx, net, mx.nd.array(np.load(folder / "image.npy"))


def _calibration(request, mx):
    return [mx.nd.array(images) for images in np.load(Path(request["folder"]) / CALIBRATION_FILE)]


def _file(request) -> Path:
    return Path(request["folder"]) / f"network-{request['dtype']}.optimized"


def _prepared(call, detail) -> Prepared:
    def run():
        out = call()
        out.wait_to_read()
        return out

    return Prepared(run, run().astype("float32").asnumpy(), detail)
