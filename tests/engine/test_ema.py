"""The average of the weights: exact without waiting, and the network's own weights come back."""

import os
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd

from mxnetseg.engine import ema
from mxnetseg.engine.ema import WeightAverage

ROOT = Path(__file__).resolve().parents[2]


def network(contexts=None, **flags):
    """Batch normalisation whose backward pass comes last, behind those of slow convolutions."""
    mx.random.seed(0)
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Conv2D(8, 3, padding=1, in_channels=3), gluon.nn.BatchNorm(in_channels=8))
    for channels in (8, 32, 32):
        net.add(gluon.nn.Conv2D(32, 7, padding=3, in_channels=channels))
    net.initialize(ctx=contexts)
    net.hybridize(**flags)
    return net


def train(net, average, steps, settle=lambda: None):
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 1e-3}, kvstore=None)
    for step in range(steps):
        images = nd.array(np.random.RandomState(step).standard_normal((4, 3, 48, 48)) + 5)
        with autograd.record():
            loss = (net(images) ** 2).mean()
        loss.backward()
        trainer.step(1)
        settle()
        average.update()


STATIC = dict(static_alloc=True, static_shape=True)


def assert_exact_without_waiting(flags):
    waited = network(**flags)
    expected = WeightAverage(waited, 0.5)
    train(waited, expected, 5, nd.waitall)
    net = network(**flags)
    average = WeightAverage(net, 0.5)

    def wait(*_):
        raise AssertionError("waited")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nd, "waitall", wait)
        for name in ("wait_to_read", "asnumpy", "asscalar"):
            patch.setattr(nd.NDArray, name, wait)
        train(net, average, 5)
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(average.arrays[name].asnumpy(), array.asnumpy(), err_msg=name)
    parameters = net._collect_params_with_prefix()
    for name, parameter in waited._collect_params_with_prefix().items():
        np.testing.assert_array_equal(parameters[name].data().asnumpy(), parameter.data().asnumpy(), err_msg=name)


@pytest.mark.parametrize("flags", [{}, STATIC], ids=["plain", "static"])
def test_an_update_that_waits_for_nothing_is_exact(flags):
    assert_exact_without_waiting(flags)


def test_it_is_exact_where_the_engine_does_several_things_at_once():
    """In a process of its own, with four threads for operators: one works them off as they come."""
    script = "from tests.engine import test_ema; test_ema.assert_exact_without_waiting(test_ema.STATIC)"
    environment = dict(os.environ, MXNET_CPU_WORKER_NTHREADS="4")
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr.decode()


def test_an_update_equals_its_formula():
    net = network()
    average = WeightAverage(net, 0.4)
    expected = {name: array.asnumpy().astype(np.float64) for name, array in average.arrays.items()}
    parameters = net._collect_params_with_prefix()
    for update in range(8):
        for parameter in parameters.values():
            parameter.set_data(parameter.data() + update)
        average.update()
        keep = min(0.4, (1 + update) / (10 + update))
        for name, parameter in parameters.items():
            expected[name] = keep * expected[name] + (1 - keep) * parameter.data().asnumpy()
    for name, array in expected.items():
        np.testing.assert_allclose(average.arrays[name].asnumpy(), array, rtol=1e-5, atol=1e-6, err_msg=name)


def test_an_equal_average_is_the_mean_of_the_end():
    """As torch.optim.swa_utils.AveragedModel has it: average + (weights - average) / (n + 1)."""
    net = network()
    average, history = WeightAverage(net, None, 3), []
    parameters = net._collect_params_with_prefix()
    for update in range(8):
        for parameter in parameters.values():
            parameter.set_data(parameter.data() + update)
        average.update()
        history.append({name: parameter.data().asnumpy() for name, parameter in parameters.items()})
        since = history[3:] or history[-1:]
        for name in parameters:
            expected = np.mean([held[name] for held in since], axis=0, dtype=np.float64)
            np.testing.assert_allclose(average.arrays[name].asnumpy(), expected, rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.fixture
def averaged():
    """A network on two contexts whose average is another, and what it holds itself."""
    net = network([mx.cpu(1), mx.cpu(0)])
    average = WeightAverage(net, 0.5)
    assert {array.context for array in average.arrays.values()} == {mx.cpu(1)}  # its first
    for array in average.arrays.values():
        array[:] = 7
    net[1].running_mean.data(mx.cpu(0))[:] = 3  # statistics of its own
    return net, average, held(net)


def held(net):
    parameters = net._collect_params_with_prefix()
    return {(n, i): a.asnumpy() for n, p in parameters.items() for i, a in enumerate(p.list_data())}


def differing(net, before):
    return [key for key, array in held(net).items() if (array != before[key]).any()]


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_the_networks_own_weights_come_back(averaged, error):
    net, average, before = averaged

    def inside():
        with average.in_place():
            assert all((array == 7).all() for array in held(net).values())
            if error:
                raise error

    if error:
        with pytest.raises(error):
            inside()
    else:
        inside()
    assert not differing(net, before)


def test_they_come_back_when_the_average_does_not_fit(averaged):
    net, average, before = averaged
    del average.arrays[list(average.arrays)[-1]]
    with pytest.raises(KeyError), average.in_place():
        pytest.fail("there is no average of the last weight")
    assert not differing(net, before)


def test_an_interruption_of_their_return_keeps_one_of_them_at_most(averaged, monkeypatch):
    net, average, before = averaged
    put, calls = ema._put, []

    def interrupted(array, value):
        calls.append(1)
        if len(calls) == len(before) + 3:
            raise KeyboardInterrupt
        put(array, value)

    monkeypatch.setattr(ema, "_put", interrupted)
    with pytest.raises(KeyboardInterrupt), average.in_place():
        pass
    assert len(calls) == 2 * len(before) and len(differing(net, before)) == 1
