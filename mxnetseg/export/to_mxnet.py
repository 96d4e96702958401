"""A network as files of plain MXNet: any program that has MXNet runs them, without this toolkit.

    PREFIX-symbol.json      the graph, of MXNet's own operators
    PREFIX-0000.params      its weights
    PREFIX-about.json       what it is: classes, colours, mean and std, ...

The first two are what `gluon.SymbolBlock.imports` and MXNet's C API (c_predict_api.h) read.
"""

import json
import os
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet import autograd, nd
from mxnet.gluon import HybridBlock

from .. import saving
from ..deploy.apart import keep_apart
from ..deploy.fold import fold_norms
from ..deploy.plan import Plan
from ..deploy.saved import calls_out
from ..deploy.traced import traced
from ..engine.arrays import pack
from ..engine.inference import Preprocess
from ..engine.record import feeding_of
from ..errors import MXNetSegError
from ..graph import Graph, free_name, infer_shapes
from ..network import MOST_CLASSES, GluonNetwork, Network, channels_of
from ..ops import mxnet_only
from ..versions import versions
from .check import Difference, as_filed, pictures
from .ends import OUTPUTS
from .facts import facts
from .shapes import MULTIPLES, near
from .source import opened
from .to_onnx import Report

__all__ = ["PARTS", "to_mxnet"]

PARTS = ("-symbol.json", "-0000.params", "-about.json")
CHECKED = ((1, 64, 96), (1, 97, 65))  # batch, height and width
TOLERANCE = 1e-3  # of the greatest value: rounding alone reaches 1e-4 where weights are random


def to_mxnet(
    net: Union[Network, HybridBlock, str, Path],
    path: Union[str, Path],
    *,
    output: str = "logits",
    with_preprocessing: bool = False,
    overwrite: bool = False,
) -> Report:
    """Write a network as files that MXNet runs alone, on any device, at any size, and that it was seen to run right.

    Parameters
    ----------
    net : Segmentor, another HybridBlock that maps (N, 3, H, W) to logits, or the path of a checkpoint
    path : str or Path
        What the files' names begin with: "out/street" makes out/street-symbol.json, out/street-0000.params and
        out/street-about.json.
    output : str
        "logits": (N, num_classes, H, W) float32. "probabilities": their softmax. "class_map": (N, H, W) uint8, the
        class of the greatest logit of every pixel.
    with_preprocessing : bool
        The graph's input, "data", is RGB images (N, H, W, 3) uint8, which it normalizes as the checkpoint's record
        says (ImageNet's mean and std without one); else it is what comes out of that, (N, 3, H, W) float32.
    overwrite : bool
        Whether files that are there may be replaced.

    Returns
    -------
    Report
        Its path is that of the graph, its bytes are those of all files.

    Raises
    ------
    MXNetSegError
        A file is there already, or can't be written; the network is optimized, a function, without values, or has too
        many classes for a class map; what MXNet gives differs from the network by more than 0.001 of the greatest
        value. Then there are no files.
    """
    if output not in OUTPUTS:
        raise MXNetSegError(f"output={output!r}: must be one of {', '.join(OUTPUTS)}")
    if os.path.basename(path) in ("", ".", "..") or os.path.isdir(path):  # else hidden files, or ones beside the folder
        raise MXNetSegError(f"{str(path)!r} is a folder; say what files' names begin with, as in out/street (--out)")
    graph, weights, about = (Path(f"{path}{part}") for part in PARTS)
    saving.check_free((weights, graph, about), overwrite, "say overwrite=True (--overwrite)")
    network, digest = opened(net)
    preprocess = Preprocess.of(feeding_of(network))
    symbol, arrays = _traced(network, output, preprocess if with_preprocessing else None)
    multiple = _multiple(symbol, arrays, with_preprocessing, channels_of(network))
    checked = [(batch, *near((height, width), multiple)) for batch, height, width in CHECKED]
    text, content = symbol.tojson(), b"".join(map(bytes, pack(arrays)))
    difference = _compared(network, text, content, output, preprocess, with_preprocessing, checked)
    wish = dict(size=None, batch=None, output=output, with_preprocessing=with_preprocessing, dtype="float32")
    facts_ = facts(network, digest, {**wish, "multiple": multiple})
    described = json.dumps({**{key: _value(text) for key, text in facts_.items()}, "versions": versions()}, indent=2)
    contents = {weights: content, about: f"{described}\n".encode(), graph: text.encode()}
    saving.write_files({file: [part] for file, part in contents.items()})
    return Report(graph, sum(map(len, contents.values())), "float32", True, True, checked, *difference, multiple)


def _value(text: str) -> Any:
    """What a text of `facts` was made of."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _traced(
    network: GluonNetwork, output: str, preprocess: Optional[Preprocess]
) -> Tuple[mx.sym.Symbol, Dict[str, np.ndarray]]:
    """The graph, and its arrays under the names that they have in MXNet's files."""
    more: Dict[str, nd.NDArray] = {}

    def normalized(images: mx.sym.Symbol) -> mx.sym.Symbol:  # as data.normalize does it
        assert preprocess is not None
        scale = 1 / np.asarray(preprocess.std, np.float32)
        names = [free_name(name, network.collect_params()) for name in ("scale", "shift")]
        more.update(zip(names, map(nd.array, (scale, -np.asarray(preprocess.mean, np.float32) * scale))))
        if preprocess.range is None:
            images = mx.sym.cast(images, dtype="float32")
        else:
            low, high = preprocess.range
            images = mx.sym.clip((images - low) * (255 / (high - low)), 0, 255)
        images = mx.sym.broadcast_mul(images, mx.sym.var(names[0], shape=scale.shape))
        images = mx.sym.broadcast_add(images, mx.sym.var(names[1], shape=scale.shape))
        return mx.sym.transpose(images, axes=(0, 3, 1, 2))

    def whole(images: mx.sym.Symbol) -> mx.sym.Symbol:
        result = network(normalized(images) if preprocess else images)
        if output == "probabilities":
            return mx.sym.softmax(result, axis=1)
        return mx.sym.cast(mx.sym.argmax(result, axis=1), dtype="uint8") if output == "class_map" else result

    with mxnet_only():
        graph, arrays = traced(network, whole, "uint8" if preprocess and preprocess.range is None else "float32")
    if calls_out(node.op for node in graph.operators()):
        raise MXNetSegError(
            "the network has an operator that runs Python code of yours (Custom); MXNet alone has no such code"
        )
    plan = Plan(graph, {**arrays, **more}, CHECKED[0][1:])
    fold_norms(plan)
    keep_apart(plan)  # the C API has oneDNN fuse operators, unasked
    symbol = plan.graph.symbol()
    kinds = {**dict.fromkeys(symbol.list_arguments(), "arg"), **dict.fromkeys(symbol.list_auxiliary_states(), "aux")}
    del kinds["data"]
    return symbol, {f"{kind}:{name}": plan.arrays[name].asnumpy() for name, kind in kinds.items()}


def _multiple(symbol: mx.sym.Symbol, arrays: Dict[str, np.ndarray], with_preprocessing: bool, channels: int) -> int:
    """The number whose multiples the sides of images must be."""
    known = {name.split(":", 1)[1]: array.shape for name, array in arrays.items()}
    for multiple in MULTIPLES:
        batch, height, width = CHECKED[-1]
        sides = near((height, width), multiple)
        image = (batch, *sides, channels) if with_preprocessing else (batch, channels, *sides)
        try:
            infer_shapes(Graph(symbol), {**known, "data": image})
        except MXNetSegError:
            continue
        return multiple
    return 1  # running it tells what is wrong


def _compared(
    network: Network,
    text: str,
    content: bytes,
    output: str,
    preprocess: Preprocess,
    with_preprocessing: bool,
    checked: Sequence[Tuple[int, int, int]],
) -> Difference:
    """What the files hold against the network, on pictures.

    The difference of a class map is how far the logit of a pixel's class is below the pixel's greatest.
    """
    symbol = mx.sym.load_json(text)
    loaded = nd.load_frombuffer(content)
    arrays = {name.split(":", 1)[1]: array for name, array in loaded.items()} if loaded else {}
    run = nd.CachedOp(symbol)
    worst, equal, pixels = 0.0, 0, 0
    for batch, *size in checked:
        picture = pictures(batch, (size[0], size[1]), len(preprocess.mean))
        x = preprocess(picture, network.contexts[0])
        filed = as_filed(picture, preprocess.range)
        fed = nd.array(filed, dtype=filed.dtype) if with_preprocessing else x.as_in_context(mx.cpu())
        with autograd.pause(train_mode=False):
            logits = network(x).asnumpy()
        if logits.shape[2:] != tuple(size):
            raise MXNetSegError(
                f"the network gives logits {logits.shape} for images {x.shape}; resize them to the image's height and "
                "width within the network"
            )
        if output == "class_map" and logits.shape[1] > MOST_CLASSES:
            raise MXNetSegError(f"{logits.shape[1]} classes don't fit a uint8 class map; export the logits")
        with autograd.pause(train_mode=False):
            out = run(*(fed if name == "data" else arrays[name] for name in symbol.list_inputs())).asnumpy()
        if output == "class_map":
            classes = out
            apart = logits.max(axis=1) - np.take_along_axis(logits, out[:, None].astype(np.int64), axis=1)[:, 0]
            greatest = np.abs(logits).max()
        else:
            classes = out.argmax(axis=1)
            wanted = nd.softmax(nd.array(logits), axis=1).asnumpy() if output == "probabilities" else logits
            with np.errstate(invalid="ignore"):  # infinite less infinite is none, which is told below
                apart, greatest = np.abs(out - wanted), np.abs(wanted).max()
        difference = float(apart.max() / max(greatest, 1e-30))
        if not difference <= TOLERANCE:
            raise MXNetSegError(
                f"what MXNet gives differs from the network by {difference:.2g} of the greatest value; no file was "
                "written. Look for weights that make infinite values; if there are none, please report this"
            )
        worst = max(worst, difference)
        equal, pixels = equal + int((classes == logits.argmax(axis=1)).sum()), pixels + classes.size
    return Difference(worst, equal / pixels)
