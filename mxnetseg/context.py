"""What `--ctx` says, as MXNet contexts."""

import re
from typing import TYPE_CHECKING, List, Optional, Sequence, Union

from . import startup
from .errors import MXNetSegError

if TYPE_CHECKING:
    import mxnet as mx

__all__ = ["Contexts", "as_contexts", "check_contexts", "parse_contexts"]

Contexts = Union[None, int, str, "mx.Context", Sequence[Union[int, str, "mx.Context"]]]


def as_contexts(contexts: Contexts = None) -> "List[mx.Context]":
    """What Python code names contexts by: None (the GPUs there are, else the CPU), 0, "cpu", [0, 1], mx.cpu(), ...

    Raises
    ------
    MXNetSegError
        A GPU that is not there, a context named twice, or something else.
    """
    several = isinstance(contexts, (list, tuple))
    named = [] if contexts is None else list(contexts) if several else [contexts]  # type: ignore[arg-type]
    if several and not named:
        raise MXNetSegError("contexts: an empty list; leave it out for the GPUs there are, else the CPU")
    for one in named:  # "cpu(0)" is how MXNet writes its own
        if isinstance(one, bool) or not isinstance(one, (int, str)) and type(one).__name__ != "Context":
            raise MXNetSegError(f'contexts: {one!r} is none; say 0, [0, 1], "cpu", "cpu:1" or mx.cpu()')
    return parse_contexts([re.sub(r"\((\d+)\)$", r":\1", str(one)) for one in named], "contexts")


def parse_contexts(tokens: Optional[Sequence[str]] = None, option: str = "--ctx") -> "List[mx.Context]":
    """ "0", "1" are GPUs; "cpu" is one CPU context, "cpu:0", "cpu:1" several; None: the GPUs there are, else the CPU.

    `option` is how messages call them.

    Raises
    ------
    MXNetSegError
        A GPU that is not there, a context named twice, or something else.
    """
    if sum(str(token).lower().startswith("cpu") for token in tokens or ()) > 1:
        startup.prepare_contexts()  # before MXNet is imported
    import mxnet as mx

    gpus = mx.context.num_gpus()
    if not tokens:
        return [mx.gpu(i) for i in range(gpus)] or [mx.cpu()]
    contexts = [_parse(str(token).lower(), gpus, option) for token in tokens]
    if len({str(c) for c in contexts}) < len(contexts):
        raise MXNetSegError(f"{option} {' '.join(tokens)}: a context is named twice")
    if len({c.device_type for c in contexts}) > 1:
        raise MXNetSegError(f"{option} {' '.join(tokens)}: take GPUs or CPU contexts, not both")
    return contexts


def check_contexts(contexts: "Sequence[mx.Context]") -> None:
    """Raise MXNetSegError where these contexts could not work side by side."""
    problem = startup.threads_problem()
    if problem and sum(context.device_type == "cpu" for context in contexts) > 1:
        raise MXNetSegError(problem)


def _parse(token: str, gpus: int, option: str) -> "mx.Context":
    import mxnet as mx

    kind, _, number = token.partition(":")
    if kind.isdigit() and not number:
        kind, number = "gpu", kind
    if kind not in ("cpu", "gpu") or not (number or "0").isdigit():
        raise MXNetSegError(f"{option} {token}: write GPU numbers (0 1 2 3), cpu, or cpu:0 cpu:1")
    if kind == "cpu":
        return mx.cpu(int(number or 0))
    if int(number or 0) >= gpus:
        there = f"this machine has {gpus} GPUs that MXNet can use" if gpus else "MXNet finds no GPU here"
        raise MXNetSegError(f"{option} {token}: {there}; to train or evaluate on the CPU say {option} cpu")
    return mx.gpu(int(number or 0))
