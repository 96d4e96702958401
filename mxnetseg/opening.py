"""The one door to a network: from a checkpoint, from another toolkit's file, or from a model's name."""

from pathlib import Path
from typing import Any, Dict, Iterable, Mapping, Optional, Sequence, Tuple, Union

import mxnet as mx

from .context import Contexts, as_contexts
from .convert import dialect_of, has_auxiliary, load_state, options_for
from .engine import checkpoint
from .engine.build import recorded_network
from .engine.checkpoint import Checkpoint
from .engine.record import Record
from .errors import MXNetSegError
from .finding import find_checkpoint
from .models import Segmentor
from .network import Network
from .zoo import create_model

__all__ = ["load", "open_network"]


def load(path: Union[str, Path], ctx: Contexts = None) -> Network:
    """The network of a checkpoint, on one context or several (cpu() when left out); `open_network`, not hybridized."""
    return open_network(path, ctx, hybridize=False)


def open_network(
    source: Union[str, Path, Checkpoint, None],
    ctx: Contexts = None,
    dtype: Optional[str] = None,
    *,
    arguments: Optional[Mapping[str, Any]] = None,
    record: Optional[Record] = None,
    calibration: Optional[Iterable[Any]] = None,
    size: Tuple[int, int] = (512, 512),
    hybridize: bool = True,
) -> Network:
    """A network with its record.

    Parameters
    ----------
    source : str, Path or Checkpoint
        A file, or one that `checkpoint.read` has read; also one that `DeployedNetwork.save` wrote. A bare name is also
        looked for below weights/; the network that ships with the package is found by its name, with "weights/..."
        or without, from any folder. None: initial weights, drawn at random.
    ctx : int, str, mxnet.Context or list of these
        As in `train`, but cpu() when left out.
    dtype : str, optional
        Optimize the network, see `deploy.optimize`, which takes `calibration` and `size`.
    arguments : mapping, optional
        What `create_model` is to be called with where no record says it; None as a value: left out.
    record : Record, optional
        What such a network gets as its record.

    Raises
    ------
    MXNetSegError
        The file is damaged, does not fit, a context is none, or neither it nor `arguments` say what the network is.
    """
    contexts = as_contexts("cpu" if ctx is None else ctx, "ctx")
    given = {key: value for key, value in (arguments or {}).items() if value is not None}
    if source is None:
        net = create_model(**given)
        net.initialize(mx.init.Xavier(), ctx=contexts)
    else:
        path = find_checkpoint(source) if isinstance(source, (str, Path)) else source
        found = path if isinstance(path, Checkpoint) else checkpoint.read(path)
        if found.record.optimized:
            return _of_optimized(found, contexts, dtype)
        net = recorded_network(found, contexts) if found.record.model else _of_foreign(found, given, contexts)
        record = found.record if found.record.model else record
    net.record = record or Record()
    if hybridize:
        net.hybridize(static_alloc=True)
    if dtype is None:
        return net
    from .deploy import optimize

    return optimize(net, dtype, calibration, size)


def _of_optimized(found: Checkpoint, contexts: Sequence[mx.Context], dtype: Optional[str]) -> Network:
    from .deploy import load as load_optimized

    facts = found.record.optimized
    if dtype is not None and facts:
        raise MXNetSegError(
            f"checkpoint {found.path} is optimized already, in {facts.dtype}; leave dtype (--dtype) out"
        )
    optimized: Network = load_optimized(found, list(contexts))
    return optimized


def _of_foreign(found: Checkpoint, given: Dict[str, Any], contexts: Sequence[mx.Context]) -> Segmentor:
    if found.record.backbone or "name" not in given:
        alone = f"; it holds {found.record.backbone} alone, for model.init" if found.record.backbone else ""
        raise MXNetSegError(
            f"checkpoint {found.path} has no record of its model{alone}; build the network with create_model and load "
            "it with load_parameters, or name --model, --backbone and --data on the command line"
        )
    dialect = dialect_of(found.path, found.arrays)
    options = options_for(dialect, found.arrays, given["name"])
    # files without auxiliary heads are as good as those with
    net = create_model(**{**options, **given, "aux": has_auxiliary(found.arrays)})
    if dialect == "ours":
        checkpoint.load_weights(net, found.arrays, f"checkpoint {found.path}", contexts)
    else:
        net.initialize(mx.init.Zero(), ctx=list(contexts))
        load_state(net, found.arrays, dialect, f"checkpoint {found.path}")
    return net
