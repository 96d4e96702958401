"""The network that is exported, whichever way it is named."""

from pathlib import Path
from typing import Tuple, Union

import numpy as np
from mxnet.gluon import HybridBlock

from ..engine import checkpoint
from ..errors import MXNetSegError
from ..finding import find_checkpoint
from ..network import GluonNetwork, Network, as_network
from ..opening import open_network

__all__ = ["opened"]


def opened(net: Union[Network, HybridBlock, str, Path]) -> Tuple[GluonNetwork, str]:
    """The network, and the digest of its checkpoint if that was given by its path; else "".

    Raises
    ------
    MXNetSegError
        The checkpoint can't be opened, or the network can't be traced, is optimized for example, or is not float32.
    """
    digest = ""
    if isinstance(net, (str, Path)):
        found = checkpoint.read(find_checkpoint(net))
        net, digest = open_network(found), found.digest
    network = as_network(net)
    if not isinstance(network, GluonNetwork):
        raise MXNetSegError(
            f"{network!r} can't be exported, because it can't be traced; export the network, or the checkpoint, that "
            "it was made of"
        )
    for name, parameter in network.collect_params().items():
        if np.dtype(parameter.dtype) != np.float32:
            raise MXNetSegError(
                f"{name} is {np.dtype(parameter.dtype)}; networks are exported in float32: net.cast('float32')"
            )
    return network, digest
