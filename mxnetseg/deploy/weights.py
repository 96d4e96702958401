"""The numbers that a network is optimized and exported with."""

from typing import Dict

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon.parameter import DeferredInitializationError

from ..errors import MXNetSegError
from ..network import GluonNetwork

__all__ = ["weights_of"]


def weights_of(network: GluonNetwork) -> Dict[str, nd.NDArray]:
    """Copies of the network's parameters by name, float32 on the CPU.

    After a prediction MXNet keeps weights of groups in oneDNN's layout, which `amp_cast`, `transpose` and `reshape`
    can't read; a copy has the plain one.

    Raises
    ------
    MXNetSegError
        One holds NaN or infinity: a network that nobody could use, and whose errors would show up elsewhere; or one
        has no shape yet.
    """
    arrays = {}
    context = network.contexts[0]  # once: it looks at all parameters
    for name, parameter in network.collect_params().items():
        try:
            values = parameter.data(context)
        except DeferredInitializationError as err:
            raise MXNetSegError(f"{name} gets its shape from the first image; call the network once before") from err
        array = values.copy().as_in_context(mx.cpu()).astype("float32", copy=False)
        arrays[name] = array
        bad = array.size - int(np.isfinite(array.asnumpy()).sum())
        if bad:
            raise MXNetSegError(
                f"{bad} of the {array.size} numbers in {name} are NaN or infinite; take a checkpoint from before the "
                "training went wrong"
            )
    return arrays
