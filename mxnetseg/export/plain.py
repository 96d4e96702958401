"""A network as files of plain MXNet: any program that has MXNet runs them, without this toolkit.

    PREFIX-symbol.json      the graph, of MXNet's own operators
    PREFIX-0000.params      its weights
    PREFIX-about.json       what goes in and comes out: sizes, mean and std, classes and colours

The first two are what `gluon.SymbolBlock.imports` and MXNet's C API (c_predict_api.h) read.
"""

import json
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet import autograd, nd
from mxnet.gluon import HybridBlock

from .. import saving
from ..data.spec import default_palette
from ..deploy.fold import fold_norms
from ..engine.arrays import pack
from ..engine.checkpoint import Checkpoint
from ..engine.inference import Preprocess
from ..engine.record import Record
from ..errors import MXNetSegError
from ..graph import Graph
from ..network import MOST_CLASSES, GluonNetwork, Network, as_network
from ..nn import inference_graph
from ..opening import open_network
from ..ops import mxnet_only
from ..versions import versions

__all__ = ["OUTPUTS", "MXNetFiles", "to_mxnet"]

OUTPUTS = ("logits", "class_map", "probabilities")
SIZES = ((64, 96), (97, 65))  # of the images it is tried with
MOST = 1e-3  # that it may differ by


class MXNetFiles(NamedTuple):
    """What `to_mxnet` wrote, and how it compares with the network on images of noise.

    files: graph, weights, about. sizes: (height, width) of the images. difference: the largest, over the largest
    value; of class maps, how far the logit of a pixel's class is below its greatest. same: share of the pixels that
    keep their class.
    """

    files: Tuple[Path, Path, Path]
    sizes: Tuple[Tuple[int, int], ...]
    difference: float
    same: float


def to_mxnet(
    net: Union[Network, HybridBlock, Checkpoint, str, Path],
    path: Union[str, Path],
    *,
    output: str = "logits",
    with_preprocessing: bool = False,
    overwrite: bool = False,
) -> MXNetFiles:
    """Write a network as files that MXNet runs alone, on any device and at any size.

    They are compared with the network before they appear.

    Parameters
    ----------
    net : Segmentor, another HybridBlock, or a checkpoint
        With values; a checkpoint is a file, or one that was read.
    path : str or Path
        What the names begin with: "out/street" makes out/street-symbol.json, out/street-0000.params and
        out/street-about.json.
    output : str
        "logits": (N, C, H, W) float32; "probabilities": their softmax over the classes; "class_map": (N, H, W) uint8.
    with_preprocessing : bool
        The graph's input, "data", is RGB images (N, H, W, 3) uint8, which it normalizes as the record says; else what
        is normalized already, (N, 3, H, W) float32.

    Raises
    ------
    MXNetSegError
        The network is optimized, a function or without values, has too many classes for a class map; a file is there
        already, or can't be written; the files compute something else than the network.
    """
    if output not in OUTPUTS:
        raise MXNetSegError(f"output={output!r}: must be one of {', '.join(OUTPUTS)}")
    weights, about, graph = (Path(f"{path}{end}") for end in ("-0000.params", "-about.json", "-symbol.json"))
    for file in (graph, weights, about):
        if file.exists() and not overwrite:
            raise MXNetSegError(f"{file} is there already; name another place, or overwrite=True")
    network = open_network(net) if isinstance(net, (str, Path, Checkpoint)) else as_network(net)
    if not isinstance(network, GluonNetwork):
        raise MXNetSegError(
            f"{network!r} can't be exported: it is a graph for this machine, with operators of oneDNN and of this "
            "toolkit; export the network, or the checkpoint, that it was made of"
        )
    preprocess = Preprocess.of((network.record or Record()).feeding)
    symbol, arrays = _traced(network, output, preprocess if with_preprocessing else None)
    text, content = symbol.tojson(), b"".join(map(bytes, pack(arrays)))
    difference, same = _compared(network, text, content, output, preprocess, with_preprocessing)
    facts = json.dumps(_about(network, output, preprocess, with_preprocessing), indent=2) + "\n"
    saving.write_files({weights: [content], about: [facts.encode()], graph: [text.encode()]})
    return MXNetFiles((graph, weights, about), SIZES, difference, same)


def _traced(
    network: GluonNetwork, output: str, preprocess: Optional[Preprocess]
) -> Tuple[mx.sym.Symbol, Dict[str, np.ndarray]]:
    """The graph, and its arrays under the names that they have in MXNet's files."""
    arrays = {
        name: parameter.data(network.contexts[0]).as_in_context(mx.cpu()).astype("float32", copy=False)
        for name, parameter in network.collect_params().items()
    }
    data = images = mx.sym.var("data", dtype="uint8" if preprocess else "float32")
    if preprocess:
        scale = 1 / np.asarray(preprocess.std, np.float32)
        arrays["scale"], arrays["shift"] = nd.array(scale), nd.array(-np.asarray(preprocess.mean) * scale)
        images = mx.sym.cast(images, dtype="float32")
        images = mx.sym.broadcast_mul(images, mx.sym.var("scale", shape=(3,)))
        images = mx.sym.broadcast_add(images, mx.sym.var("shift", shape=(3,)))
        images = mx.sym.transpose(images, axes=(0, 3, 1, 2))
    with mxnet_only(), inference_graph() as constants:
        result = network(images)
    if output == "probabilities":
        result = mx.sym.softmax(result, axis=1)
    elif output == "class_map":
        result = mx.sym.cast(mx.sym.argmax(result, axis=1), dtype="uint8")
    arrays.update(constants)
    graph = Graph(result)
    # Not for speed alone: the C API fuses with oneDNN unasked, and takes the norm of a convolution that others use, too
    fold_norms(graph, arrays)
    symbol = graph.symbol()
    kinds = {**dict.fromkeys(symbol.list_arguments(), "arg"), **dict.fromkeys(symbol.list_auxiliary_states(), "aux")}
    del kinds[data.name]
    return symbol, {f"{kind}:{name}": arrays[name].asnumpy() for name, kind in kinds.items()}


def _compared(
    network: Network, text: str, content: bytes, output: str, preprocess: Preprocess, with_preprocessing: bool
) -> Tuple[float, float]:
    """The largest difference, and the share of equal classes, of what the files hold; MXNetSegError where they are
    something else than the network."""
    symbol = mx.sym.load_json(text)
    arrays = {name.split(":", 1)[1]: array for name, array in nd.load_frombuffer(content).items()}
    run = nd.CachedOp(symbol)
    difference, equal, pixels = 0.0, 0, 0
    for size in SIZES:
        image = _noise(*size)
        x = preprocess(image, network.contexts[0])
        given = nd.array(image, dtype="uint8") if with_preprocessing else x.as_in_context(mx.cpu())
        with autograd.pause(train_mode=False):
            out = run(*(given if name == "data" else arrays[name] for name in symbol.list_inputs())).asnumpy()
            logits = network(x).asnumpy()
        if output == "class_map":
            chosen = np.take_along_axis(logits, out[:, None].astype(np.int64), axis=1)[:, 0]
            wrong, classes = (logits.max(axis=1) - chosen).max() / np.abs(logits).max(), out
        else:
            expected = nd.softmax(nd.array(logits), axis=1).asnumpy() if output == "probabilities" else logits
            wrong, classes = np.abs(out - expected).max() / np.abs(expected).max(), out.argmax(axis=1)
        if logits.shape[1] > MOST_CLASSES and output == "class_map":
            raise MXNetSegError(f"{logits.shape[1]} classes don't fit a uint8 class map; export the logits")
        if not wrong <= MOST:
            raise MXNetSegError(
                f"the files differ from {network!r} by {wrong:.1g} of the largest value, which is more than {MOST:g}; "
                "nothing was written. Look for NaN or infinity in the weights"
            )
        difference = max(difference, float(wrong))
        equal, pixels = equal + int((classes == logits.argmax(axis=1)).sum()), pixels + classes.size
    return difference, equal / pixels


def _noise(height: int, width: int) -> np.ndarray:
    """(1, height, width, 3) uint8, patches of colour with a little noise."""
    rng = np.random.RandomState(0)
    patches = rng.randint(0, 240, (1, height // 8 + 1, width // 8 + 1, 3)).repeat(8, axis=1).repeat(8, axis=2)
    image: np.ndarray = (patches[:, :height, :width] + rng.randint(0, 16, (1, height, width, 3))).astype(np.uint8)
    return image


def _about(network: Network, output: str, preprocess: Preprocess, with_preprocessing: bool) -> Dict[str, Any]:
    """For those who run the files elsewhere."""
    feeding = (network.record or Record()).feeding
    count = network.spec.get("num_classes")
    layouts = {"logits": "NCHW", "probabilities": "NCHW", "class_map": "NHW"}
    return {
        "model": network.spec,
        "input": {
            "name": "data",
            "layout": "NHWC" if with_preprocessing else "NCHW",
            "dtype": "uint8" if with_preprocessing else "float32",
            "colours": "RGB",
            "normalized": not with_preprocessing,
        },
        "mean": list(preprocess.mean),
        "std": list(preprocess.std),
        "output": {"kind": output, "layout": layouts[output], "dtype": "uint8" if output == "class_map" else "float32"},
        "classes": feeding.classes or [f"class {i}" for i in range(count or 0)],
        "palette": [list(colour) for colour in feeding.palette or default_palette(count or 0)],
        "versions": versions(),
    }
