"""An ONNX model whose convolutions and linear layers take 8-bit integers, by ONNX Runtime's own quantizer."""

import tempfile
from pathlib import Path
from typing import Any, Iterable, Iterator, List, Optional, Tuple

import mxnet as mx
import numpy as np

from ..data.transforms import resize
from ..deploy.calibration import calibration_batches, one_by_one
from ..engine.inference import Preprocess
from ..errors import MXNetSegError
from .check import Pair, as_filed

__all__ = ["calibration_pairs", "to_int8"]

# the quantizer would ask for its own preparation, which folds norms; they are folded
PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")


def calibration_pairs(
    calibration: Iterable[Any],
    preprocess: Preprocess,
    size: Optional[Tuple[int, int]],
    batch: Optional[int],
    with_preprocessing: bool,
    context: mx.Context,
) -> Iterator[Pair]:
    """Calibration images as the network and as the file are fed with them.

    Raises
    ------
    MXNetSegError
        Something is no image, or does not fit the file's fixed size, batch or preprocessing.
    """
    count, kind = len(preprocess.mean), np.dtype(np.uint8 if preprocess.range is None else np.float32)
    for one in one_by_one(calibration):
        if isinstance(one, np.ndarray) and one.dtype == kind and one.ndim == 3 and one.shape[2] == count:
            image = resize(one, *size) if size else one
            picture = np.repeat(image[None], batch or 1, axis=0)
            array = preprocess(picture, context)
            yield Pair(array, as_filed(picture, preprocess.range) if with_preprocessing else array.asnumpy())
            continue
        for array in calibration_batches([one], preprocess):
            if not np.isfinite(array.asnumpy()).all():
                raise MXNetSegError("int8: a calibration image holds NaN or infinity; take some like those to come")
            wanted = (batch or array.shape[0], count, *(size or array.shape[2:]))
            if with_preprocessing or array.shape != wanted:
                raise MXNetSegError(
                    f"a calibration batch of floats {array.shape} does not fit the file, whose input is "
                    f"{f'(N, H, W, {count}) of {kind}' if with_preprocessing else wanted}; give images (H, W, {count}) "
                    f"of {kind}"
                )
            yield Pair(array.as_in_context(context), array.asnumpy())


def to_int8(model: Any, images: List[np.ndarray]) -> Any:
    """The quantized `onnx.ModelProto`.

    Weights have one scale per output channel; a feature map has one for all of it, from its least and greatest value on
    `images`, each as the model takes it. Products of two feature maps and of matrices that resize stay float32.

    Raises
    ------
    MXNetSegError
        There are no images.
    """
    if not images:
        raise MXNetSegError("int8 needs calibration images, and there are none: to_onnx(..., calibration=images)")
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._feeds = iter([{"image": image} for image in images])

        def get_next(self) -> Any:
            return next(self._feeds, None)

    weights = {initializer.name for initializer in model.graph.initializer}
    names = [
        node.name
        for node in model.graph.node
        # with a convolution's ReLU among them, its range is that behind the ReLU
        if node.op_type in ("Conv", "Relu", "Clip") or (node.op_type == "MatMul" and node.input[1] in weights)
    ]
    about = {prop.key: prop.value for prop in model.metadata_props}
    onnx.helper.set_model_props(model, {**about, PREPARED[0]: PREPARED[1]})
    with tempfile.TemporaryDirectory(prefix="mxnetseg-int8-") as folder:
        source, target = (str(Path(folder) / f"{name}.onnx") for name in ("float32", "int8"))
        onnx.save(model, source)
        quantize_static(
            source,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=names,
        )
        quantized = onnx.load(target)
    onnx.helper.set_model_props(quantized, about)
    onnx.checker.check_model(quantized, full_check=True)
    return quantized
