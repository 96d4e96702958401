"""What `--ctx` says, as MXNet contexts."""

import re
from typing import TYPE_CHECKING, List, Optional, Sequence, Union

from . import startup
from .errors import MXNetSegError

if TYPE_CHECKING:
    import mxnet as mx

__all__ = ["Contexts", "as_contexts", "check_contexts", "parse_contexts"]

CPUS = 1024  # more than any machine needs; numbers far above end MXNet in odd ways, or never

Contexts = Union[None, int, str, "mx.Context", Sequence[Union[int, str, "mx.Context"]]]


def as_contexts(contexts: Contexts = None, option: str = "contexts") -> "List[mx.Context]":
    """What Python code names contexts by: None (the GPUs there are, else the CPU), 0, "cpu", [0, 1], mx.cpu(), ...

    `option` is the argument that messages name.

    Raises
    ------
    MXNetSegError
        A GPU that is not there, a context named twice, or something else.
    """
    several = isinstance(contexts, (list, tuple))
    named = [] if contexts is None else list(contexts) if several else [contexts]  # type: ignore[arg-type]
    if several and not named:
        raise MXNetSegError(f"{option}: an empty list; leave it out for the GPUs there are, else the CPU")
    for one in named:  # "cpu(0)" is how MXNet writes its own
        if isinstance(one, bool) or not isinstance(one, (int, str)) and type(one).__name__ != "Context":
            raise MXNetSegError(f'{option}: {one!r} is none; say 0, [0, 1], "cpu", "cpu:1" or mx.cpu()')
    return parse_contexts([re.sub(r"\((\d+)\)$", r":\1", str(one)) for one in named], option)


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

    typed = option.startswith("--")  # on a command line; else it is an argument in Python
    found = re.fullmatch(r"(?:(cpu|gpu):)?([0-9]{1,99})|(cpu|gpu)", token)
    if not found:
        how = "GPU numbers (0 1 2 3), cpu, or cpu:0 cpu:1" if typed else '0, [0, 1], "cpu" or ["cpu:0", "cpu:1"]'
        raise MXNetSegError(f"{option} {token}: write {how}")
    kind, number = found[1] or found[3] or "gpu", int(found[2] or 0)
    if kind == "cpu":
        if number >= CPUS:
            raise MXNetSegError(f"{option} {token}: CPU contexts are cpu:0 to cpu:{CPUS - 1}")
        return mx.cpu(number)
    if number >= gpus:
        there = f"this machine has {gpus} GPUs that MXNet can use" if gpus else "MXNet finds no GPU here"
        cpu = f"{option} cpu" if typed else f'{option}="cpu"'
        raise MXNetSegError(f"{option} {token}: {there}; to train or evaluate on the CPU say {cpu}")
    return mx.gpu(number)
