"""What the operators' tests share."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from mxnet import autograd, nd

ROOT = Path(__file__).resolve().parents[2]


def run(code, **environment):
    """Start `code` in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process):
    out, err = process.communicate(timeout=400)  # it may compile, on a busy machine
    assert process.returncode == 0, err
    return out, err


def run_forward_backward(function, inputs, grad, dtype="float64", ctx=None):
    """[output, gradient to each input], as NumPy arrays."""
    arrays = [nd.array(value, dtype=dtype, ctx=ctx) for value in inputs]
    for array in arrays:
        array.attach_grad()
    with autograd.record():
        out = function(*arrays)
    out.backward(nd.array(grad, dtype=dtype, ctx=ctx))
    return [out.asnumpy(), *(array.grad.asnumpy() for array in arrays)]


def assert_close(got, wanted, tolerance):
    assert len(got) == len(wanted)
    for one, other in zip(got, wanted):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * max(1.0, np.abs(other).max()))
