"""ONNX Runtime on a CPU, and a file that it runs as a network."""

import json
from pathlib import Path
from typing import Any, Dict, List, Union

import mxnet as mx
import numpy as np
from mxnet import nd

from ..config.schema import FED
from ..engine.record import Feeding, Record
from ..errors import MXNetSegError
from ..network import check_input
from ..optional import check_installed

__all__ = ["OnnxNetwork", "session_of"]


def session_of(model: Any, plain: bool = False) -> Any:
    """An `onnxruntime.InferenceSession` of an `onnx.ModelProto` or a file; `plain`: as it is, nothing optimized."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; what it warns of is of no use to who exports
    if plain:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, str) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


class OnnxNetwork:
    """A file that `to_onnx` has written, called like the network it was made of: to score it, above all.

    x (N, 3, H, W) -> logits (N, num_classes, H, W), of any size where the file has no fixed one.

    Parameters
    ----------
    path : str or Path
        With logits as its output, and without preprocessing.

    Raises
    ------
    MXNetSegError
        onnxruntime is not installed or can't run the file, or that has another output, or preprocessing.

    Attributes
    ----------
    spec : dict
        Empty: nothing builds it again.
    record
        What the file says of mean, std, classes and colours.
    align_corners, contexts
        Those of any network; logits have the image's size already, and there is but the CPU.
    """

    def __init__(self, path: Union[str, Path]):
        check_installed("onnxruntime", str(path))
        try:
            self._session = session_of(str(path))
        except Exception as err:  # ONNX Runtime has a class of its own for each reason
            why = str(err).splitlines()[0]
            raise MXNetSegError(f"{path} can't be run ({why}); name another file, or export it again") from err
        about = dict(self._session.get_modelmeta().custom_metadata_map)
        if about.get("output") != "logits" or about.get("normalized_inside") != "false":
            raise MXNetSegError(f"{path} gives no logits of normalized images; export it with output='logits'")
        facts = {key: json.loads(about[key]) for key in ("classes", "palette", *FED) if key in about}
        self.path = Path(path)
        self.spec: Dict[str, Any] = {}
        self.record = Record(feeding=Feeding(name=about.get("data_set"), **facts))
        self.align_corners = False
        self.contexts: List[mx.Context] = [mx.cpu()]

    def __call__(self, x: nd.NDArray) -> nd.NDArray:
        check_input(x, channels=len(self.record.feeding.mean))
        return nd.array(self._logits(x))

    def coarse_logits(self, x: nd.NDArray) -> nd.NDArray:
        """The logits, whose size is that of x already."""
        return self(x)

    def class_map(self, x: nd.NDArray) -> nd.NDArray:
        """(N, H, W) uint8: the class of the greatest logit of every pixel."""
        check_input(x, channels=len(self.record.feeding.mean))
        return nd.array(self._logits(x).argmax(axis=1), dtype="uint8")

    def __repr__(self) -> str:
        return f"OnnxNetwork({self.path})"

    def _logits(self, x: nd.NDArray) -> np.ndarray:
        logits: np.ndarray = self._session.run(["logits"], {"image": x.asnumpy()})[0]
        return logits
