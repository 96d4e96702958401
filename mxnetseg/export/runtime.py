"""ONNX Runtime on a CPU, and a file that it runs as a network."""

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Union

import mxnet as mx
import numpy as np
from mxnet import nd
from pydantic import ValidationError

from ..commands import typed
from ..config.schema import FED
from ..engine.record import Feeding, Record
from ..errors import MXNetSegError, named
from ..network import MOST_CLASSES, check_input
from ..optional import check_installed

__all__ = ["OnnxNetwork", "session_of"]


def session_of(model: Any, plain: bool = False) -> Any:
    """An `onnxruntime.InferenceSession` of an `onnx.ModelProto` or a file; `plain`: as it is, nothing optimized."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised, too; what it warns of is of no use to who exports
    if plain:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, str) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


class OnnxNetwork:
    """A file that `to_onnx` has written, called like the network it was made of: to score it, above all.

    x (N, 3, H, W), cast to float32 -> logits (N, num_classes, H, W), of any size where the file has no fixed one. A
    call raises MXNetSegError where the file doesn't take the shape of x.

    Parameters
    ----------
    path : str or Path
        With logits as its output, and without preprocessing.

    Raises
    ------
    MXNetSegError
        onnxruntime is not installed or can't run the file, or that has another output, or preprocessing, or damaged
        metadata.

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
            about = dict(self._session.get_modelmeta().custom_metadata_map)
        except Exception as err:  # ONNX Runtime has a class of its own for each reason
            raise MXNetSegError(f"{path} can't be run ({_said(err)}); name another file, or export it again") from err
        _check_form(path, about)
        self.path = Path(path)
        self._size = about.get("size", "free")
        self.spec: Dict[str, Any] = {}
        self.record = Record(feeding=_feeding(path, about))
        self.align_corners = False
        self.contexts: List[mx.Context] = [mx.cpu()]

    def __call__(self, x: nd.NDArray) -> nd.NDArray:
        return nd.array(self._logits(x))

    def coarse_logits(self, x: nd.NDArray) -> nd.NDArray:
        """The logits, whose size is that of x already."""
        return self(x)

    def class_map(self, x: nd.NDArray) -> nd.NDArray:
        """(N, H, W) uint8: the class of the greatest logit of every pixel. More than 256 classes are an error."""
        logits = self._logits(x)
        if logits.shape[1] > MOST_CLASSES:
            raise MXNetSegError(f"{self.path}: {logits.shape[1]} classes don't fit a uint8 class map; take its logits")
        return nd.array(logits.argmax(axis=1), dtype="uint8")

    def __repr__(self) -> str:
        return f"OnnxNetwork({self.path})"

    def _logits(self, x: nd.NDArray) -> np.ndarray:
        with named(self.path):
            check_input(x, channels=len(self.record.feeding.mean))
        takes = self._session.get_inputs()[0].shape  # words for what is free
        if any(isinstance(size, int) and size != given for size, given in zip(takes, x.shape)):
            raise MXNetSegError(
                f"{self.path} takes images of shape ({', '.join(map(str, takes))}) alone; got {x.shape}. Give it such, "
                "or export it again with a free size and batch (without --size and --batch)"
            )
        try:
            logits: np.ndarray = self._session.run(["logits"], {"image": x.astype("float32", copy=False).asnumpy()})[0]
        except Exception as err:
            raise self._unfit(x, _said(err)) from err
        if (logits.shape[0], *logits.shape[2:]) != (x.shape[0], *x.shape[2:]):
            raise self._unfit(x, f"the logits are {logits.shape}")
        return logits

    def _unfit(self, x: nd.NDArray, why: str) -> MXNetSegError:
        return MXNetSegError(
            f"{self.path} can't be run on images of shape {x.shape}: pad, crop or resize them; height and width are "
            f"{self._size} ({why})"
        )


def _check_form(path: Union[str, Path], about: Mapping[str, str]) -> None:
    """Raise MXNetSegError unless a file says that it maps normalized images to logits."""
    if not {"output", "normalized_inside"} <= set(about):
        raise MXNetSegError(
            typed(f"{path} doesn't say what it takes and gives; name a file that `mxnetseg export --to onnx` has made")
        )
    reasons = []
    if about["output"] != "logits":
        reasons.append(("gives no logits", "output='logits' (without --argmax and --probabilities)"))
    if about["normalized_inside"] != "false":
        reasons.append(("does the preprocessing itself", "with_preprocessing=False (without --with-preprocessing)"))
    if reasons:
        wrong, remedies = (" and ".join(texts) for texts in zip(*reasons))
        raise MXNetSegError(f"{path} {wrong}, so it can't serve as a network here; export it again with {remedies}")


def _feeding(path: Union[str, Path], about: Mapping[str, str]) -> Feeding:
    found: Dict[str, Any] = {"name": about.get("data_set")}
    for key in ("classes", "palette", *FED):
        if key in about:
            try:
                found[key] = json.loads(about[key])
            except (ValueError, RecursionError) as err:
                raise _damaged(path, key, str(err)) from err
    try:
        return Feeding(**found)
    except ValidationError as err:
        problem = err.errors()[0]
        raise _damaged(path, ".".join(map(str, problem["loc"])), problem["msg"]) from err


def _damaged(path: Union[str, Path], place: str, why: str) -> MXNetSegError:
    return MXNetSegError(f"{path}: its metadata are damaged at {place} ({why}); export it again")


def _said(err: Exception) -> str:
    """The reason alone, of an error of ONNX Runtime."""
    return (str(err).splitlines() or [type(err).__name__])[0].rpartition("Status Message: ")[2]
