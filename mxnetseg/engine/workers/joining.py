"""The way from a role to its workers."""

from typing import Optional, Sequence

import mxnet as mx

from ...dist.roles import Role
from .alone import Alone
from .horovod import Horovod
from .kvstore import KVStore
from .link import Link
from .workers import Workers

__all__ = ["join"]


def join(role: Optional[Role] = None, contexts: Sequence[mx.Context] = ()) -> Workers:
    """Meet the other workers of a run; None: there are none. Waits until all have come.

    Raises MXNetSegError where they don't fit together.
    """
    return Workers(_link(role, any(context.device_type == "gpu" for context in contexts)))


def _link(role: Optional[Role], on_gpus: bool) -> Link:
    if role is None:
        return Alone()
    if role.engine == "horovod":
        return Horovod(role)
    return KVStore(role.rank, on_gpus)
