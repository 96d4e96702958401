"""What is known of operators: the one table that deploy, FLOPs and export go by."""

from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence

from . import costs
from .costs import CORNERS, TAPS, Rule
from .onnx_rules import RULES
from .onnx_step import Step
from .symbol import VARIABLE, Graph, Node

__all__ = ["ALL", "FIRST", "NONE", "OPERATORS", "Operator", "is_relu", "known", "operator_name", "sees"]

ALL, FIRST, NONE = slice(None), slice(1), slice(0)  # of a node's inputs


def always(node: Node, narrow: Sequence[bool] = ()) -> bool:
    return True


def never(node: Node, narrow: Sequence[bool] = ()) -> bool:
    return False


class Operator(NamedTuple):
    """What is known of one operator. The defaults are for one of which nothing is known but how much it puts out.

    Attributes
    ----------
    mmcv, every : rule of `costs`
        Multiply-accumulates that mmcv counts, and all there are; None: what mmcv counts, or else one for each element
        of the outputs.
    values : slice
        The inputs whose values the outputs depend on. Of the others only the shape counts.
    channels : slice
        The inputs whose channels are, one by one, those of the output.
    bfloat16 : function of the node and, for each input, whether it is bfloat16
        Whether the node may run in bfloat16. Those that may were compared with float32.
    int8 : function of the node
        Whether MXNet may quantize the node: whether it is right then.
    blocked : bool
        Whether oneDNN may give the output in a layout of its own.
    onnx : function of an `onnx_step.Step`
        Writes the operator as ONNX nodes; None: nobody has said how.
    """

    mmcv: Rule = costs.nothing
    every: Optional[Rule] = None
    values: slice = ALL
    channels: slice = NONE
    bfloat16: Callable[[Node, Sequence[bool]], bool] = never
    int8: Callable[[Node], bool] = never
    blocked: bool = False
    onnx: Optional[Callable[[Step], Any]] = None

    def flops(self, call: costs.Call, everything: bool) -> int:
        """Multiply-accumulates of a call: all, or those that mmcv counts."""
        if everything and self.every is not None:
            return self.every(call)
        return self.mmcv(call) or (costs.per_result(1)(call) if everything else 0)


def known(node: Node) -> Operator:
    """What is known of the node's operator."""
    return OPERATORS.get(operator_name(node), Operator())


def operator_name(node: Node) -> str:
    """The operator's name; Python's own operators are all `Custom` to MXNet."""
    return node.attrs.get("op_type", node.op) if node.op == "Custom" else node.op


def is_relu(node: Node) -> bool:
    return node.op == "relu" or (node.op == "Activation" and node.attrs.get("act_type") == "relu")


def keeps_size_3x3(node: Node) -> bool:
    """A plain 3x3 convolution of stride 1 and one group, perhaps dilated, whose padding keeps the size."""
    dilation = node.numbers("dilate", (1, 1))
    return (
        node.op == "Convolution"
        and node.numbers("kernel", ()) == (3, 3)
        and node.numbers("stride", (1, 1)) == (1, 1)
        and node.numbers("pad", (0, 0)) == dilation == (dilation[0],) * 2
        and int(node.attrs.get("num_group", 1)) == 1
    )


def sees(graph: Graph, variable: str = "data") -> Dict[Node, bool]:
    """Of every node, whether what it gives depends on the variable's values, and not only on its shape."""
    found: Dict[Node, bool] = {}
    for node in graph.nodes():
        if node.op == VARIABLE:
            found[node] = node.name == variable
        else:
            found[node] = any(found[entry.node] for entry in node.inputs[known(node).values])
    return found


def _follows(node: Node, narrow: Sequence[bool]) -> bool:
    """Takes and gives bfloat16 where all its inputs are."""
    return all(narrow)


def _activated(node: Node, narrow: Sequence[bool]) -> bool:
    """oneDNN has these in bfloat16; MXNet has none."""
    return all(narrow) and node.attrs.get("act_type") in ("relu", "sigmoid", "softrelu", "tanh")


def _follows_any(node: Node, narrow: Sequence[bool]) -> bool:
    """Only moves numbers."""
    return any(narrow)


def _smooth(node: Node, narrow: Sequence[bool]) -> bool:
    """PReLU fails in bfloat16."""
    return all(narrow) and node.attrs.get("act_type", "leaky") in ("leaky", "gelu")


def _joins_channels(node: Node) -> bool:
    return node.attrs.get("dim", "1") == "1"


def _pools_narrow(node: Node, narrow: Sequence[bool]) -> bool:
    """oneDNN has these kinds alone."""
    return all(narrow) and node.attrs.get("pool_type", "max") in ("max", "avg")


def _pools_exactly(node: Node) -> bool:
    """MXNet's sums and norms end the process, its means are wrong where a window leaves the map."""
    kind = node.attrs.get("pool_type", "max")
    ragged = node.attrs.get("pooling_convention", "valid") != "valid" and node.attrs.get("count_include_pad") != "False"
    return kind == "max" or (kind == "avg" and not ragged)


def _fused_exactly(node: Node) -> bool:
    """GELU and its like come out wrong, or stop with an error after a sum; so do some convolutions."""
    inner = [part for graph in node.subgraphs for part in graph.operators()]
    return not any(part.op == "LeakyReLU" or _shares_groups(part) for part in inner)


def _shares_groups(node: Node) -> bool:
    """With several filters to a group: MXNet's kernel takes the scale of a filter's weights for that of a group's."""
    return node.attrs.get("num_group", "1") not in ("1", node.attrs.get("num_filter"))


def _each(names: str, operator: Optional[Operator] = None) -> Dict[str, Operator]:
    return dict.fromkeys(names.split(), operator or Operator())


def _pairs(names: str) -> Dict[str, Operator]:
    """Of equal shapes, of others, and with a number."""
    return _each(" ".join(f"_{name} broadcast_{name} _{name}_scalar" for name in names.split()))


# no arithmetic worth counting: data is moved, or made of a shape
_MOVES = Operator(every=costs.nothing)
_LIKE = Operator(every=costs.nothing, values=FIRST)
_OF_SHAPE = Operator(every=costs.nothing, values=NONE)
_NORM = Operator(costs.per_output(2), costs.per_output(2))
_REDUCTION = Operator(every=costs.per_input)
_SOFTMAX = Operator(every=costs.per_result(3))  # exponential, sum, quotient
_PRODUCT = Operator(every=costs.product)
_DEFORMED = Operator(every=costs.deformed)

_FACTS: Dict[str, Operator] = {
    # layers; oneDNN multiplies in bfloat16 and sums in float32
    "Convolution": Operator(costs.convolution, bfloat16=always, blocked=True),
    **_each("mxnetseg_depthwise mxnetseg_conv3x3", Operator(costs.convolution)),  # as they stand in training
    "Deconvolution": Operator(costs.deconvolution),
    "FullyConnected": Operator(costs.linear, costs.linear_with_bias, bfloat16=always),
    **_each("_contrib_DeformableConvolution _contrib_ModulatedDeformableConvolution", _DEFORMED),
    "Pooling": Operator(costs.per_input, channels=FIRST, bfloat16=_pools_narrow, int8=_pools_exactly, blocked=True),
    "_contrib_AdaptiveAvgPooling2D": Operator(costs.per_input, channels=FIRST),
    **_each("BatchNorm GroupNorm InstanceNorm", _NORM),
    **_each("L2Normalization LRN", Operator(every=costs.per_output(2))),
    "_contrib_SyncBatchNorm": Operator(every=costs.per_output(2)),  # not in mmcv's table
    **_each("LayerNorm mxnetseg_layer_norm", Operator(costs.last_axis_norm, costs.per_output(2))),
    # activations
    "relu": Operator(costs.per_output(1), channels=FIRST, bfloat16=_follows),
    "Activation": Operator(costs.activation, channels=FIRST, bfloat16=_activated, blocked=True),
    "LeakyReLU": Operator(costs.leaky, bfloat16=_smooth, blocked=True),
    "mxnetseg_relu6": Operator(costs.per_output(1), channels=FIRST),  # as it stands in training
    "clip": Operator(costs.clipped, channels=FIRST, bfloat16=_follows),
    "sigmoid": Operator(channels=FIRST),
    **_each("softmax softmin log_softmax SoftmaxActivation", _SOFTMAX),
    # Sums, products and what else is done to every number. Products of two maps can't be int8: MXNet's kernel takes
    # signed integers only, but is given others.
    "elemwise_add": Operator(channels=ALL, bfloat16=_follows, int8=always, blocked=True),
    **_each("elemwise_mul broadcast_add broadcast_mul", Operator(channels=ALL)),
    **_each("_plus_scalar _mul_scalar mxnetseg_channel_scale", Operator(channels=FIRST)),
    "add_n": Operator(every=costs.summands),
    **_each(
        "elemwise_sub elemwise_div broadcast_sub broadcast_div _minus_scalar _rminus_scalar _div_scalar _rdiv_scalar"
    ),
    **_pairs("maximum minimum power mod hypot equal not_equal greater greater_equal lesser lesser_equal"),
    "_maximum_scalar": Operator(costs.rectified),  # as it stands in training
    **_pairs("logical_and logical_or logical_xor"),
    **_each(
        "_rpower_scalar _rmod_scalar where abs sign square sqrt rsqrt cbrt reciprocal exp expm1 log log1p log2 log10"
    ),
    **_each("floor ceil round rint fix trunc negative logical_not erf tanh softsign hard_sigmoid degrees radians"),
    **_each("sin cos tan sinh cosh arcsin arccos arctan arcsinh arccosh arctanh _contrib_div_sqrt_dim"),
    **_each("mean sum max min prod nansum nanprod norm argmax argmin _np_cumsum", _REDUCTION),
    "moments": Operator(every=lambda call: 3 * costs.per_input(call)),  # sums of values, differences, their squares
    **_each("sort argsort topk", Operator(every=costs.sorting)),
    # matrix products
    **_each("dot batch_dot _linalg_gemm _linalg_gemm2", _PRODUCT),
    "mxnetseg_self_attention": Operator(every=costs.self_attention),  # as it stands in training
    "_contrib_interleaved_matmul_selfatt_qk": Operator(every=costs.scores),
    "_contrib_interleaved_matmul_selfatt_valatt": Operator(every=costs.weighted_sums),
    # samples of an image
    "_contrib_BilinearResize2D": Operator(every=costs.per_result(CORNERS), channels=FIRST, values=FIRST),
    "mxnetseg_resize": Operator(every=costs.per_result(CORNERS), channels=FIRST, values=FIRST),  # in training
    **_each("BilinearSampler SpatialTransformer", Operator(every=costs.per_result(CORNERS))),
    "GridGenerator": Operator(every=costs.per_result(2)),
    # per element: q.k, samples of k and v, the weighted sum of v
    "mxnetseg_deform_attention": Operator(every=costs.per_output(TAPS + 2 * TAPS * CORNERS + TAPS)),
    "mxnetseg_deform_unfold": Operator(every=costs.per_output(CORNERS)),  # puts out every tap
    # moving data
    "Concat": Operator(every=costs.nothing, bfloat16=_follows_any, int8=_joins_channels, blocked=True),
    "Dropout": Operator(every=costs.nothing, channels=FIRST),
    "Flatten": Operator(every=costs.nothing, int8=always),
    "slice_axis": Operator(every=costs.nothing, bfloat16=_follows),
    **_each("Reshape transpose expand_dims squeeze stack slice SliceChannel _split_v2 Crop SwapAxis reverse", _MOVES),
    **_each("tile repeat Pad depth_to_space space_to_depth broadcast_to broadcast_axis take Embedding", _MOVES),
    **_each("gather_nd pick one_hot im2col Cast amp_cast amp_multicast _copy BlockGrad make_loss MakeLoss", _MOVES),
    "UpSampling": Operator(every=costs.upsampling),
    **_each("_zeros _ones _full _arange _linspace _eye", _MOVES),
    **_each("broadcast_like reshape_like slice_like", _LIKE),
    **_each("_contrib_arange_like shape_array size_array ones_like zeros_like", _OF_SHAPE),
    # what MXNet's passes fuse
    **_each("_sg_mkldnn_conv _sg_mkldnn_fully_connected", Operator(int8=_fused_exactly)),
}

OPERATORS = {name: facts._replace(onnx=RULES.get(name)) for name, facts in _FACTS.items()}
