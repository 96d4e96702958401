"""Nodes and constants as an ONNX model; what of it no image changes is computed once."""

from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Union

import numpy as np

from ..errors import MXNetSegError
from .builder import Builder, OnnxNode
from .runtime import session_of

__all__ = ["OPSET", "Port", "compute_once", "drop_output", "open_model", "to_model"]

OPSET = 20  # the first with Gelu, and GridSample's "linear"
IR_VERSION = 9  # which goes with it; runtimes refuse newer ones than they know
MOST_BYTES = 2**31 - 2**20  # protobuf's limit, less what the nodes take


class Port(NamedTuple):
    """An input or output: the name and type, and its sizes; a text stands for one that is free."""

    name: str
    dtype: str
    shape: Sequence[Union[int, str]]


def to_model(
    builder: Builder, image: Optional[Port], outputs: Sequence[Port], about: Mapping[str, str], checked: bool = True
) -> Any:
    """An `onnx.ModelProto` that ONNX's own checks accept.

    Raises
    ------
    MXNetSegError
        It would take more than 2 GB.
    """
    import onnx
    from onnx import helper, numpy_helper

    size = sum(array.nbytes for array in builder.constants.values())
    if size > MOST_BYTES:
        raise MXNetSegError(
            f"the weights take {size / 1e9:.1f} GB, and an ONNX file can't hold more than 2 GB; take a smaller backbone"
        )
    infos = [
        [helper.make_tensor_value_info(port.name, _type(port.dtype), port.shape) for port in ports]
        for ports in ([image] if image else [], outputs)
    ]
    weights = [numpy_helper.from_array(array, name) for name, array in builder.constants.items()]
    graph = helper.make_graph([_node(node) for node in builder.nodes], "mxnetseg", infos[0], infos[1], weights)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="mxnetseg"
    )
    helper.set_model_props(model, dict(about))
    if checked:
        onnx.checker.check_model(model, full_check=True)
    return model


def compute_once(builder: Builder, outputs: Sequence[str]) -> None:
    """Replace what does not depend on the image by its values, and drop what the outputs do without."""
    builder.needed(outputs)
    fixed = {"", *builder.constants}
    nodes: List[OnnxNode] = []
    for node in builder.nodes:
        if fixed.issuperset(node.inputs):
            nodes.append(node)
            fixed.update(node.outputs)
    made = {name for node in nodes for name in node.outputs}
    done = {id(node) for node in nodes}
    builder.nodes = [node for node in builder.nodes if id(node) not in done]
    wanted = sorted(made.intersection(name for node in builder.nodes for name in node.inputs))
    if wanted:
        part = Builder()
        part.nodes, part.constants = nodes, dict(builder.constants)
        part.needed(wanted)
        builder.constants.update(zip(wanted, session_of(open_model(part, None, wanted), plain=True).run(wanted, {})))
    builder.needed(outputs)


def open_model(builder: Builder, image: Optional[Port], outputs: Iterable[str]) -> Any:
    """A model for looking into: its outputs are any values, whose types the runtime finds out."""
    from onnx import ValueInfoProto

    model = to_model(builder, image, [], {}, checked=False)
    model.graph.output.extend(ValueInfoProto(name=name) for name in outputs)
    return model


def drop_output(model: Any, name: Optional[str]) -> None:
    """Take an output from the model; what makes it stays."""
    for output in [one for one in model.graph.output if one.name == name]:
        model.graph.output.remove(output)


def _node(node: OnnxNode) -> Any:
    from onnx import helper, numpy_helper

    attributes: Dict[str, Any] = dict(node.attributes)
    if node.op == "Cast":
        attributes["to"] = _type(attributes["to"])
    if isinstance(attributes.get("value"), np.ndarray):
        attributes["value"] = numpy_helper.from_array(attributes["value"])
    return helper.make_node(node.op, list(node.inputs), list(node.outputs), name=node.name, **attributes)


def _type(dtype: str) -> int:
    from onnx import TensorProto

    return int(TensorProto.DataType.Value("FLOAT" if dtype == "float32" else dtype.upper()))
