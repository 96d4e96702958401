"""From a network to an ONNX file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon import HybridBlock

from ..deploy.fold import fold_norms
from ..deploy.plan import Plan
from ..engine import checkpoint
from ..engine.inference import Preprocess
from ..engine.record import Record
from ..errors import MXNetSegError
from ..graph import Graph
from ..graph.onnx_step import Free
from ..network import GluonNetwork, as_network
from ..nn import inference_graph
from ..opening import open_network
from ..optional import check_installed
from ..saving import write_file
from .builder import Builder, translate
from .check import Outputs, difference, first_difference, pictures
from .ends import OUTPUTS, add_output, add_preprocessing
from .facts import facts
from .model import Port, compute_once, open_model, to_model
from .runtime import run, session_of
from .shapes import name_apart, probes, shapes

__all__ = ["AGREEMENT", "TOLERANCE", "Report", "to_onnx"]

DTYPES = ("float32",)
TOLERANCE = 1e-4  # of the greatest logit
AGREEMENT = 0.9999  # of the pixels have the same class
CHECKED = ((2, 97, 131), (1, 192, 256))  # batch, height and width where these are free


@dataclass(frozen=True)
class Report:
    """What an export has written, and how it was checked.

    Attributes
    ----------
    path : Path
    bytes : int
        Size of the file.
    dtype : str
    free_size, free_batch : bool
        Whether the file takes images of any height and width, and batches of any size.
    checked : list of (int, int, int)
        Batch, height and width of the pictures that it was tried with.
    difference : float
        The largest difference of a logit to the network's, by the network's largest logit.
    same : float
        The share of the pixels that get the network's class, 0 to 1; for int8 on the calibration images.
    """

    path: Path
    bytes: int
    dtype: str
    free_size: bool
    free_batch: bool
    checked: List[Tuple[int, int, int]]
    difference: float
    same: float


class _Translation(NamedTuple):
    """A graph, its arrays, and what it has become; see `builder.translate` for the values."""

    graph: Graph
    arrays: Dict[str, nd.NDArray]
    builder: Builder
    values: Dict[str, str]
    classes: int


def to_onnx(
    net: Union[GluonNetwork, HybridBlock, str, Path],
    path: Union[str, Path],
    *,
    size: Optional[Tuple[int, int]] = None,
    batch: Optional[int] = None,
    output: str = "logits",
    with_preprocessing: bool = False,
    dtype: str = "float32",
    calibration: Optional[Iterable[Any]] = None,
    overwrite: bool = False,
    progress: bool = False,
) -> Report:
    """Write a network as an ONNX file (opset 20, no operators but ONNX's own) that ONNX Runtime was seen to run right.

    Parameters
    ----------
    net : Segmentor, another HybridBlock that maps (N, 3, H, W) to logits, or the path of a checkpoint
    path : str or Path
        The file to be written.
    size : (int, int), optional
        Height and width of all images to come; any when left out.
    batch : int, optional
        Number of images in all batches to come; any when left out.
    output : str
        "logits": (N, num_classes, H, W) float32. "probabilities": their softmax. "class_map": (N, H, W) uint8, the
        class of the greatest logit of every pixel. The output's name is the same word, the input's is "image".
    with_preprocessing : bool
        The input is RGB images (N, H, W, 3) uint8, which the file normalizes as the checkpoint's record says
        (ImageNet's mean and std without one); else it is what comes out of that, (N, 3, H, W) float32.
    dtype : str
        "float32", or "int8": convolutions and linear layers with 8-bit integers, whose ranges are those on the
        calibration images.
    calibration : iterable, for int8 only
        As `mxnetseg.deploy.optimize` takes it.
    overwrite : bool
        Whether a file that is there may be replaced.
    progress : bool
        Say on the standard output what is being done.

    Returns
    -------
    Report

    Raises
    ------
    MXNetSegError
        onnx or onnxruntime is not installed; the file is there already; an argument is none of these; an operator of
        the network has no counterpart; the weights take more than 2 GB; or what ONNX Runtime gives differs from what
        the network gives, by more than 0.0001 of the greatest logit or in more than one class of 10000 (int8: this is
        reported, not checked). Then there is no file.
    """
    for module in ("onnx", "onnxruntime"):
        check_installed(module, "ONNX export", "onnx onnxruntime")
    path = Path(path)
    _check(path, size, batch, output, dtype, calibration, overwrite)

    def say(text: str) -> None:
        if progress:
            print(text, flush=True)

    digest = ""
    if isinstance(net, (str, Path)):
        found = checkpoint.read(net)
        net, digest = open_network(found), found.digest
    network = as_network(net)
    if not isinstance(network, GluonNetwork):
        raise MXNetSegError(f"{network!r} can't be traced; export the network that it was made of")
    record = network.record or Record()
    say(f"translate {network!r}" if not network.spec else f"translate {network.spec.get('name')}")
    translation = _translate(network, record, size, batch, output, with_preprocessing)
    about = facts(
        network,
        record,
        digest=digest,
        size=size,
        batch=batch,
        output=output,
        with_preprocessing=with_preprocessing,
        dtype=dtype,
    )
    images = [(batch or count, *(size or free)) for count, *free in (CHECKED[-1:] if size and batch else CHECKED)]
    if size:
        images = images[-1:]
    say(f"check it with ONNX Runtime at {', '.join('x'.join(map(str, image)) for image in images)}")
    ports = _ports(translation, size, batch, output, with_preprocessing)
    report = _require_equal(network, translation, ports, Preprocess.of(record.feeding), images, with_preprocessing)
    translation.builder.needed([output])
    model = to_model(translation.builder, ports[:1], ports[2:], about)
    content = model.SerializeToString()
    write_file(path, content)
    return Report(path, len(content), dtype, size is None, batch is None, [tuple(image) for image in images], *report)


def _check(path, size, batch, output, dtype, calibration, overwrite) -> None:
    if path.exists() and not overwrite:
        raise MXNetSegError(f"{path} is there already; name another file, or say overwrite=True (--overwrite)")
    if output not in OUTPUTS:
        raise MXNetSegError(f"output={output!r}: must be one of {', '.join(OUTPUTS)}")
    if dtype not in DTYPES:
        raise MXNetSegError(f"dtype={dtype!r}: must be one of {', '.join(DTYPES)}")
    if dtype == "int8" and calibration is None:
        raise MXNetSegError("int8 needs calibration images: to_onnx(net, path, dtype='int8', calibration=images)")
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise MXNetSegError(f"size={size!r}: must be the height and width of the images in pixels, e.g. (512, 1024)")
    if batch is not None and batch < 1:
        raise MXNetSegError(f"batch={batch!r}: must be the number of images in a batch, 1 or more")


def _translate(network, record, size, batch, output, with_preprocessing) -> _Translation:
    with inference_graph() as constants:
        graph = Graph(network(mx.sym.var("data")))
    if len(graph.heads) != 1:
        raise MXNetSegError(f"the network has {len(graph.heads)} outputs; it must have one, the logits")
    parameters = network.collect_params()
    arrays = {
        p.name: p.data(network.contexts[0]).as_in_context(mx.cpu()).astype("float32") for p in parameters.values()
    }
    arrays.update(constants)
    fold_norms(Plan(graph, arrays))
    name_apart(graph)
    sizes = shapes(graph, arrays, probes(size, batch))
    builder = Builder()
    image = "image"
    if with_preprocessing:
        image = add_preprocessing(builder, image, record.feeding.mean, record.feeding.std)
    values = translate(builder, graph, image, arrays, {}, sizes)
    head = graph.heads[0]
    add_output(builder, values[head.node.name], "logits")
    if output != "logits":
        add_output(builder, "logits", output)
    compute_once(builder, ["logits", output])
    classes = sizes[head.node.name][head.index][1]
    if isinstance(classes, Free):
        raise MXNetSegError("the network's output has no fixed number of classes: it is no (N, num_classes, H, W)")
    return _Translation(graph, arrays, builder, values, classes)


def _ports(translation, size, batch, output, with_preprocessing) -> List[Port]:
    """Of the image, the logits, and the output that is asked for."""
    count, (height, width) = batch or "batch", size or ("height", "width")
    planes = [count, translation.classes, height, width]
    image = [count, height, width, 3] if with_preprocessing else [count, 3, height, width]
    return [
        Port("image", "uint8" if with_preprocessing else "float32", image),
        Port("logits", "float32", planes),
        Port(output, *(("uint8", [count, height, width]) if output == "class_map" else ("float32", planes))),
    ]


def _require_equal(network, translation, ports, preprocess, images, with_preprocessing):
    output = ports[2].name
    outputs = ports[1:] if output != "logits" else ports[1:2]
    session = session_of(to_model(translation.builder, ports[:1], outputs, {}))
    wanted, given, batches = [], [], []
    for count, *size in images:
        picture = pictures(count, tuple(size))
        batch = preprocess(picture, network.contexts[0])
        fed = picture if with_preprocessing else batch.asnumpy()
        batches.append((batch.as_in_context(mx.cpu()), fed))
        wanted.append(network(batch).asnumpy())
        logits = run(session, fed, "logits")
        last = run(session, fed, output) if output != "logits" else logits
        given.append(Outputs(logits, last if last.ndim == 3 else last.argmax(axis=1)))
    found = difference(wanted, given)
    if found.largest <= TOLERANCE and found.same >= AGREEMENT:
        return found
    batch, fed = batches[0]
    place = _place_of_difference(translation, ports[0], batch, fed)
    raise MXNetSegError(
        f"what ONNX Runtime gives differs from the network by {found.largest:.2g} of the greatest logit, and "
        f"{found.same:.3%} of the classes are the same; {place}. No file was written; please report this, with the "
        "versions of onnxruntime and mxnetseg"
    )


def _place_of_difference(translation: _Translation, image: Port, batch: nd.NDArray, fed: np.ndarray) -> str:
    made = {name for node in translation.builder.nodes for name in node.outputs}
    values = {node: value for node, value in translation.values.items() if value in made}
    names = sorted(set(values.values()))
    session = session_of(open_model(translation.builder, [image], names), plain=True)
    outputs = dict(zip(names, session.run(names, {"image": fed})))
    graph, arrays = translation.graph, translation.arrays
    found = first_difference(graph, arrays, batch, {node: outputs[value] for node, value in values.items()})
    return f"the first operator that differs is {found}" if found else "no single operator differs"
