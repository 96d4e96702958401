"""Several functions of every number, one after the other, in one pass over memory.

program.h     C++: the functions, and how a program of them is run
quantized.h   C++: the same on 8-bit integers
op.cc         MXNet's side
"""

from typing import Any, Sequence

from ...commands import typed
from ...errors import MXNetSegError
from ..library import serves

__all__ = ["OPERATOR", "pointwise", "serves_pointwise"]

OPERATOR = "mxnetseg_pointwise"


def serves_pointwise() -> bool:
    """Whether `pointwise` can be had: there is a library."""
    return serves(cuda=False)


def pointwise(F: Any, program: str, inputs: Sequence[Any], **attributes: Any) -> Any:
    """Run a program on every number of maps.

    Parameters
    ----------
    F : mx.nd or mx.sym
    program : str
        Steps with semicolons between them, each a function (add, sub, mul, div, max, min, sigmoid, gelu) and its
        operands: `"sub 0 1;mul 3 2;add 0 4"`. The numbers of operands count the inputs first, then the steps; `=0.5`
        is a number.
    inputs : sequence of (N, C, H, W) float32, or of any one shape
        N and C may be 1, so may H and W together: such an input is repeated.
    attributes
        steps, a text of one number for each input: inputs may be uint8 or int8 then, which stand for so many times as
        much. out_type="uint8" or "int8", with min_calib_range and max_calib_range: the result is of these, rounded, and
        its range is that.

    Returns
    -------
    (N, C, H, W)
        What the last step gives; with `out_type` also the ends of its range, (1,) each. For inference alone: there is
        no gradient.

    Raises
    ------
    MXNetSegError
        There is no library (`serves_pointwise`).
    MXNetError
        A program or a shape is wrong.
    """
    if not serves_pointwise():
        raise MXNetSegError(typed("pointwise: there is no operator library (`mxnetseg ops status` says why)"))
    return getattr(F, OPERATOR)(*inputs, inputs=len(inputs), program=program, **attributes)
