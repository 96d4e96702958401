"""`mxnetseg.processes`: many processes that train or evaluate together, from Python."""

import contextlib
from typing import TYPE_CHECKING, Iterator, Optional

from .context import Contexts, as_contexts
from .dist import KINDS, join
from .errors import MXNetSegError

if TYPE_CHECKING:  # MXNet must not be imported before the environment is prepared for it
    from .engine.peers import Peers

__all__ = ["processes"]


@contextlib.contextmanager
def processes(dist: Optional[str] = None, contexts: Contexts = None) -> "Iterator[Peers]":
    """A context in which this process is one of many, for the `peers` of `train` and `evaluate`.

    All processes do the same within it. To be entered in the main thread, before anything imports MXNet, and once: when
    it is left, the others may go. What raises within it ends all.

    Parameters
    ----------
    dist : str, optional
        How the environment says which process this is, as behind `--dist`: "env", "slurm", "mpi" or "horovod". Left
        out: what `mxnetseg launch` says, and without that there is one process.
    contexts : int, str, mxnet.Context or list of these, optional
        As in `train`, of this process.

    Yields
    ------
    Peers
        Its `rank`, `size`, and `leads`, which is true in the one process that is to print and write.

    Raises
    ------
    MXNetSegError
        An environment variable lacks, MXNet was imported before, a process did not come.
    """
    if dist is not None and dist not in KINDS:
        raise MXNetSegError(f"dist={dist!r}: one of {', '.join(KINDS)}, or None")
    with join(dist) as role:
        chosen = as_contexts(contexts)
        from .engine import peers

        with peers.join(role, chosen) as joined:
            yield joined
