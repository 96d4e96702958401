"""What the operators' Python functions share about their inputs: NDArrays, or symbols, which tell nothing."""

from ..errors import MXNetSegError

__all__ = ["array_of", "check_shape", "learns", "shielded"]


def array_of(x):
    """`x` if it is an NDArray, None if it is a symbol, whose shape, type and context are not known."""
    return x if hasattr(x, "shape") else None


def learns() -> bool:
    """Whether what is done with arrays now is recorded, for a gradient."""
    from mxnet import autograd  # here: the CUDA kernels are checked where MXNet need not be

    return autograd.is_recording()


def shielded(*inputs):
    """MXNet tells an operator of a library to write a gradient even where it is to be added (grad_req="add", or an
    input used several times). Behind a reshape to the same shape it is MXNet that adds; an array is not copied."""
    if array_of(inputs[0]) is not None and not learns():
        return inputs  # no gradient will be asked for
    return [x.reshape(shape=(-2,)) for x in inputs]


def check_shape(name, which, array, wanted, because):
    if tuple(array.shape) != tuple(wanted):
        raise MXNetSegError(f"{name}: {which} is {array.shape}, but must be {tuple(wanted)} for {because}")
