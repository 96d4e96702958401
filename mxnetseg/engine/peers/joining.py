"""From what a process is (dist.Role) to the others."""

from typing import Optional, Sequence

import mxnet as mx

from ...dist import Role
from .alone import Alone
from .horovod import Horovod
from .kvstore import KVStore
from .link import Link
from .peers import Peers

__all__ = ["join"]


def join(role: Optional[Role] = None, contexts: Sequence[mx.Context] = ()) -> Peers:
    """Meet the other processes of a run, once all have come; None: there are none.

    Raises MXNetSegError where they don't fit together.
    """
    return Peers(_link(role, any(context.device_type == "gpu" for context in contexts)), contexts)


def _link(role: Optional[Role], on_gpus: bool) -> Link:
    if role is None:
        return Alone()
    if role.engine == "horovod":
        return Horovod(role)
    with role.meeting():
        return KVStore(role.rank, on_gpus)  # which has a first sum
