"""From a network to its fastest form on a CPU."""

from typing import Any, Callable, Dict, Iterable, Optional, Sequence, Tuple, Union

from mxnet.gluon import HybridBlock

from ..engine.inference import Preprocess
from ..engine.record import feeding_of
from ..errors import MXNetSegError
from ..network import GluonNetwork, as_network, channels_of, check_size
from .apart import keep_apart
from .bfloat16 import require_bfloat16, to_bfloat16
from .calibration import calibration_batches
from .fold import fold_norms
from .int8 import to_int8
from .layout import plain_layouts
from .limits import problem
from .network import DeployedNetwork
from .padding import pad_channels, pad_images
from .plan import Plan
from .pointwise import fuse_pointwise
from .pointwise_int8 import keep_gelu_apart
from .resized import convolve_before_resizing, resize_in_one_pass
from .split import split_linear_layers
from .traced import traced
from .winograd import use_winograd, use_winograd_among_bfloat16

__all__ = ["DTYPES", "PASSES", "optimize"]

ALWAYS = (fold_norms, pad_channels, split_linear_layers, convolve_before_resizing, resize_in_one_pass)
# What is done to a graph, in this order, before MXNet's own passes.
PASSES: Dict[str, Sequence[Callable[[Plan], None]]] = {
    "float32": (*ALWAYS, use_winograd, fuse_pointwise, plain_layouts, keep_apart),
    "bfloat16": (
        *ALWAYS,
        use_winograd_among_bfloat16,
        fuse_pointwise,
        pad_images,
        to_bfloat16,
        plain_layouts,
        keep_apart,
    ),
    "int8": (*ALWAYS, keep_gelu_apart, fuse_pointwise, keep_apart),
}
DTYPES = tuple(PASSES)
BACKEND = "MKLDNN"  # MXNet's name for oneDNN


def optimize(
    net: Union[GluonNetwork, HybridBlock],
    dtype: str = "float32",
    calibration: Optional[Iterable[Any]] = None,
    size: Tuple[int, int] = (512, 512),
) -> DeployedNetwork:
    """Make a network fast for inference on a CPU; the network itself stays as it is.

    Batch norms and re-parameterisable branches are folded into convolutions, and these are fused by oneDNN with the
    activations and sums that follow them.

    Parameters
    ----------
    net : Segmentor, or another HybridBlock that maps (N, 3, H, W) to one output
        With values, on one or several CPU contexts.
    dtype : str
        "float32": equal to the network except for rounding. "bfloat16": convolutions and linear layers with 8
        significant bits. "int8": the same with 8-bit integers; their ranges are those on the calibration images.
    calibration : iterable, for int8 only
        RGB images (H, W, 3) uint8, which are normalized as the checkpoint's record says (ImageNet's mean and std
        without one), or preprocessed batches (N, 3, H, W) of floats. Some 30 images like those to come.
    size : (int, int)
        Height and width of most images to come. Any others are right, too, but may be slower than they could be.

    Returns
    -------
    DeployedNetwork
        Called like the network, at any size.

    Raises
    ------
    MXNetSegError
        An unknown dtype, or one that the processor has no instructions for; a size that is none; no calibration images;
        a network without values, with some that are not finite, that can't be traced, on a GPU or optimized before; or
        a model that can't be had in this dtype (`mxnetseg.deploy.LIMITS` lists them).
    """
    if dtype not in DTYPES:
        raise MXNetSegError(f"dtype={dtype!r}: must be one of {', '.join(DTYPES)}")
    if dtype == "int8" and calibration is None:
        raise MXNetSegError("int8 needs calibration images: optimize(net, 'int8', calibration=images)")
    check_size(size)
    network = as_network(net)
    if not isinstance(network, GluonNetwork):
        raise MXNetSegError(f"{network!r} can't be traced; optimize the network that it was made of")
    reason = problem(network, dtype)
    if reason:
        raise MXNetSegError(reason)
    elsewhere = [context for context in network.contexts if context.device_type != "cpu"]
    if elsewhere:
        raise MXNetSegError(
            f"networks are optimized for CPUs, this one is on {elsewhere[0]}: say --ctx cpu, or "
            "net.collect_params().reset_ctx(mxnet.cpu())"
        )
    if dtype == "bfloat16":
        require_bfloat16()
    # the last resize is left to those who use the logits
    graph, arrays = traced(network, network.coarse_logits)
    plan = Plan(graph, arrays, (int(size[0]), int(size[1])), channels_of(network))
    (head,) = graph.heads
    if len(plan.shape(head)) != 4:
        raise MXNetSegError(f"the network gives {plan.shape(head)}; logits are (N, num_classes, H, W)")
    for change in PASSES[dtype]:
        change(plan)
    if dtype == "int8":
        plan = to_int8(plan, calibration_batches(calibration, Preprocess.of(feeding_of(network))))
        symbol = plan.graph.symbol()
    else:
        symbol = graph.symbol().get_backend_symbol(BACKEND)
    weights = {name: plan.arrays[name] for name in symbol.list_inputs() if name != "data"}
    return DeployedNetwork(symbol, weights, dtype, network)
