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
from ..deploy.traced import traced
from ..engine.inference import Preprocess
from ..engine.record import feeding_of
from ..errors import MXNetSegError
from ..graph import Entry, Graph
from ..graph.onnx_step import Free, Shape
from ..network import MOST_CLASSES, GluonNetwork, channels_of, check_size, is_count
from ..optional import check_installed
from ..saving import check_free, write_file
from .builder import Builder, require_rules, translate
from .check import Difference, Pair, as_filed, difference, first_difference, given, pictures
from .ends import OUTPUTS, add_output, add_preprocessing
from .facts import facts
from .int8 import calibration_pairs, to_int8
from .model import Port, compute_once, drop_output, open_model, to_model
from .runtime import session_of
from .shapes import MULTIPLES, near, probes, shapes
from .source import opened

__all__ = ["AGREEMENT", "TOLERANCE", "Report", "to_onnx"]

DTYPES = ("float32", "int8")
TOLERANCE = 1e-4  # of the greatest logit
AGREEMENT = 0.9999  # of the pixels have the same class
CHECKED = ((2, (97, 131)), (1, (192, 256)))  # batch, height and width where these are free


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
        Batch, height and width of the pictures that it was tried with: drawn street scenes, for int8 the calibration
        images.
    difference : float
        The largest difference of a logit to the network's, by the network's largest logit.
    same : float
        The share of the pixels that get the network's class, 0 to 1.
    multiple : int
        Height and width of images must be multiples of this number: 1, unless the network's layers ask for more.
    """

    path: Path
    bytes: int
    dtype: str
    free_size: bool
    free_batch: bool
    checked: List[Tuple[int, int, int]]
    difference: float
    same: float
    multiple: int = 1


class _Wish(NamedTuple):
    """Arguments of `to_onnx`."""

    size: Optional[Tuple[int, int]]
    batch: Optional[int]
    output: str
    with_preprocessing: bool
    dtype: str


class _Translation(NamedTuple):
    """A graph, its arrays, and what it has become; see `builder.translate` for the values."""

    graph: Graph
    arrays: Dict[str, nd.NDArray]
    builder: Builder
    values: Dict[Entry, str]
    image: Port
    outputs: List[Port]  # the logits, and what is asked for
    multiple: int  # of which images' sides must be multiples


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
    net : Segmentor, another HybridBlock that maps (N, 3, H, W) to logits (N, num_classes, H, W), or a checkpoint's path
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
        RGB images (H, W, 3) uint8, resized where `size` is fixed; or preprocessed batches (N, 3, H, W) of floats. Some
        30 images like those to come.
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
    wish = _Wish(size, batch, output, with_preprocessing, dtype)
    path = Path(path)
    _check(wish, calibration)
    if size is not None:
        wish = wish._replace(size=(int(size[0]), int(size[1])))
    check_free([path], overwrite, "say overwrite=True (--overwrite)")

    def say(text: str) -> None:
        if progress:
            print(text, flush=True)

    network, digest = opened(net)
    say("translate the network's operators")
    translation = _translate(network, wish)
    multiple = translation.multiple
    about = facts(network, digest, {**wish._asdict(), "multiple": multiple})
    model = to_model(translation.builder, translation.image, translation.outputs, about)
    preprocess = Preprocess.of(feeding_of(network))
    context = network.contexts[0]
    if dtype == "int8":
        assert calibration is not None  # _check has seen to it
        pairs = list(calibration_pairs(calibration, preprocess, size, batch, with_preprocessing, context))
        say(f"quantize with {len(pairs)} calibration images")
        model = to_int8(model, [pair.fed for pair in pairs])
    else:
        pairs = [_pair(preprocess, with_preprocessing, *shape, context) for shape in _shapes(size, batch, multiple)]
    say("compare what ONNX Runtime gives with what the network gives")
    found_difference = difference(network, pairs, given(session_of(model), pairs, output))
    if dtype == "float32":
        _require_equal(found_difference, translation, pairs[0])
    drop_output(model, "logits" if output != "logits" else None)
    content = model.SerializeToString()
    write_file(path, content)
    checked = sorted({(pair.batch.shape[0], *pair.batch.shape[2:]) for pair in pairs})
    return Report(path, len(content), dtype, size is None, batch is None, checked, *found_difference, multiple)


def _check(wish: _Wish, calibration: Optional[Iterable[Any]]) -> None:
    for name, value, allowed in (("output", wish.output, OUTPUTS), ("dtype", wish.dtype, DTYPES)):
        if value not in allowed:
            raise MXNetSegError(f"{name}={value!r}: must be one of {', '.join(allowed)}")
    if wish.dtype == "int8" and calibration is None:
        raise MXNetSegError("int8 needs calibration images: to_onnx(net, path, dtype='int8', calibration=images)")
    if wish.dtype != "int8" and calibration is not None:
        raise MXNetSegError("only int8 looks at calibration images: say dtype='int8', or leave calibration out")
    if wish.size is not None:
        check_size(wish.size)
    if wish.batch is not None and not is_count(wish.batch):
        raise MXNetSegError(f"batch={wish.batch!r}: must be the number of images in a batch, 1 or more")


def _translate(network: GluonNetwork, wish: _Wish) -> _Translation:
    graph, arrays = traced(network, network)
    require_rules(graph)
    fold_norms(Plan(graph, arrays))
    sizes, multiple = _sizes(graph, arrays, wish, channels_of(network))
    (head,) = graph.heads
    classes = int(sizes[head][1])  # type: ignore[arg-type]
    if wish.output == "class_map" and classes > MOST_CLASSES:
        raise MXNetSegError(
            f"{classes} classes do not fit a uint8 class map, at most {MOST_CLASSES} do; take output='logits'"
        )
    image = "image"
    builder = Builder(reserved=(image, *OUTPUTS))
    channels, preprocess = channels_of(network), Preprocess.of(feeding_of(network))
    if wish.with_preprocessing:
        image = add_preprocessing(builder, image, preprocess)
    values = translate(builder, graph, image, arrays, sizes)
    add_output(builder, values[head], "logits")
    if wish.output != "logits":
        add_output(builder, "logits", wish.output)
    compute_once(builder, ["logits", wish.output])
    count: Union[int, str] = wish.batch or "batch"
    height, width = wish.size or ("height", "width")
    pictured = [count, height, width, channels] if wish.with_preprocessing else [count, channels, height, width]
    outputs = [Port("logits", "float32", [count, classes, height, width])]
    if wish.output == "probabilities":
        outputs.append(outputs[0]._replace(name=wish.output))
    elif wish.output == "class_map":
        outputs.append(Port(wish.output, "uint8", [count, height, width]))
    bytes_in = wish.with_preprocessing and preprocess.range is None
    port = Port("image", "uint8" if bytes_in else "float32", pictured)
    return _Translation(graph, arrays, builder, values, port, outputs, multiple)


def _sizes(graph: Graph, arrays: Dict[str, nd.NDArray], wish: _Wish, channels: int) -> Tuple[Dict[Entry, Shape], int]:
    """Shapes of everything, and the number whose multiples the sides of images must be: 1, where all go through.

    Maps that are halved and doubled again have the image's size only where it can be halved.
    """
    problem = None
    for multiple in MULTIPLES if wish.size is None else (1,):
        try:
            found = shapes(graph, arrays, probes(wish.size, wish.batch, multiple, channels))
        except MXNetSegError as err:
            problem = problem or err
            continue
        planes = found[graph.heads[0]]
        image = _but_channels(found[graph.variable("data")])
        if len(planes) == 4 and not isinstance(planes[1], Free) and _but_channels(planes) == image:
            return found, multiple
    if problem and wish.size is None:
        raise MXNetSegError(f"{problem}. If it takes one size alone, say which: size=(512, 512) (--size)")
    raise problem or MXNetSegError(
        "the network's output is no (N, num_classes, H, W) of the image's own height and width; resize the logits "
        "within it"
    )


def _but_channels(shape: Tuple[Any, ...]) -> Tuple[Any, ...]:
    return (shape[0], *shape[2:])


def _shapes(size: Optional[Tuple[int, int]], batch: Optional[int], multiple: int) -> List[Tuple[int, Tuple[int, int]]]:
    """Batch and size of the pictures to check with."""
    if size is None:
        return [(batch or count, near(free, multiple)) for count, free in CHECKED]
    return [(batch or 2, size)]


def _pair(
    preprocess: Preprocess, with_preprocessing: bool, count: int, size: Tuple[int, int], context: mx.Context
) -> Pair:
    picture = pictures(count, size, len(preprocess.mean))
    batch = preprocess(picture, context)
    return Pair(batch, as_filed(picture, preprocess.range) if with_preprocessing else batch.asnumpy())


def _require_equal(found: Difference, translation: _Translation, pair: Pair) -> None:
    if found.largest <= TOLERANCE and found.same >= AGREEMENT:
        return
    raise MXNetSegError(
        f"what ONNX Runtime gives differs from the network by {found.largest:.2g} of the greatest logit, and "
        f"{found.same:.3%} of the classes are the same; {_place_of_difference(translation, pair)}. No file was "
        "written; please report this, with the versions of onnxruntime and mxnetseg"
    )


def _place_of_difference(translation: _Translation, pair: Pair) -> str:
    made = {name for node in translation.builder.nodes for name in node.outputs}
    values = {entry: value for entry, value in translation.values.items() if value in made}
    names = sorted(set(values.values()))
    if not names:  # the only operator has the output's name
        return "its only operator differs"
    session = session_of(open_model(translation.builder, translation.image, names), plain=True)
    outputs = dict(zip(names, session.run(names, {"image": pair.fed})))
    batch = pair.batch.as_in_context(mx.cpu())
    by_entry: Dict[Entry, np.ndarray] = {entry: outputs[value] for entry, value in values.items()}
    found = first_difference(translation.graph, translation.arrays, batch, by_entry)
    return f"the first operator that differs is {found}" if found else "no single operator differs"
