"""One thread at a time, and in which thread."""

import threading
import time

import mxnet as mx
import pytest
from mxnet import autograd

from mxnetseg.turn import in_turn

from .threads import together


def test_never_two_at_once_whatever_they_are_given():
    inside, most = [], []

    def stay():
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.01)
        inside.pop()

    @in_turn
    def infer(x):
        stay()

    @in_turn
    def other(name):
        stay()

    together([lambda: infer(mx.nd.zeros(1)), lambda: other("a"), lambda: infer(x=mx.nd.zeros(1))] * 3)
    assert len(most) == 9 and max(most) == 1


def test_inference_is_left_to_one_thread_that_lasts_and_all_else_stays():
    @in_turn
    def where(*args):
        return threading.current_thread()

    def at_home(*args):
        return where(*args) is threading.current_thread()

    def while_recording():
        with autograd.record():
            return at_home(x)

    def while_training():
        with autograd.train_mode():
            return at_home(x)

    x = mx.nd.zeros(1)
    assert at_home(x)  # the main thread
    first, second = together([lambda: where(x)]), together([lambda: where(x)])
    assert first == second and first[0] is not threading.main_thread()
    assert together([while_recording, while_training, lambda: at_home(mx.sym.var("x")), at_home]) == [True] * 4


def test_one_may_call_another():
    @in_turn
    def inner(x):
        return threading.current_thread()

    @in_turn
    def outer(x):
        return inner(x) is threading.current_thread()

    x = mx.nd.zeros(1)
    assert outer(x) and together([lambda: outer(x), lambda: outer("a symbol, say")]) == [True, True]


def test_errors_come_to_who_called_and_the_turn_goes_on():
    @in_turn
    def fail(x):
        raise ValueError("wrong")

    for call in (lambda: fail(mx.nd.zeros(1)), lambda: fail("a")):
        with pytest.raises(ValueError, match="wrong"):
            call()
        with pytest.raises(ValueError, match="wrong"):
            together([call])
