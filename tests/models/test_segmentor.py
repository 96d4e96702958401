"""What every network of the zoo promises: sizes, auxiliary outputs, compiled or not, gradients, rebuilding."""

import copy
import pickle
import time

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

import mxnetseg
from mxnetseg import create_model, list_backbones, list_models
from mxnetseg.engine import checkpoint
from mxnetseg.engine.record import NetworkSpec, Record
from mxnetseg.errors import MXNetSegError
from mxnetseg.graph import Graph
from mxnetseg.heads import FCNHead
from mxnetseg.models import Branch, Segmentor
from mxnetseg.nn import norm

from ..small import SIZES, batch, build, check_gradients
from ..threads import together


def slow_but_for_a_few(name, *more):
    """A case of a model; all of them are in the slow tests."""
    return pytest.param(name, *more, marks=[] if name in ("bisenet", "setr_mla", "upernet") else [pytest.mark.slow])


def models_with(usual, other):
    """Every model with the usual setting, and a few with the other one."""
    for name in list_models():
        yield name, usual
        yield slow_but_for_a_few(name, other)


SOME = [slow_but_for_a_few(name) for name in list_models()]


@pytest.mark.parametrize("name, static", models_with(True, False))
def test_any_size_changing_from_call_to_call_and_equal_to_imperative(name, static):
    net = build(name, aux=True)
    expected = {size: net(batch(*size)).asnumpy() for size in set(SIZES)}
    net.hybridize(static_alloc=static, static_shape=static)
    for size in SIZES:
        out = net(batch(*size))
        assert out.shape == (1, 5, *size)
        np.testing.assert_allclose(out.asnumpy(), expected[size], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("name", SOME)
def test_training_with_sizes_that_change(name, static):
    net = build(name, aux=True)
    net.hybridize(static_alloc=static, static_shape=static)
    for size in ((64, 64), (65, 97), (64, 64)):
        with autograd.record():
            outputs = net(batch(*size, n=2))
            loss = sum(out.square().mean() for out in outputs)
        loss.backward()
        assert len(outputs) == 1 + net.num_aux
        assert all(out.shape == (2, 5, *size) for out in outputs)
        assert np.isfinite(loss.asscalar())


@pytest.mark.parametrize("name, norm", models_with("bn", "gn"))
def test_every_parameter_gets_a_gradient_a_step_lowers_the_loss_and_files_keep_it(name, norm, tmp_path):
    net = build(name, aux=True, norm=norm)
    for parameter in net.collect_params().values():
        if parameter.shape == (1,):  # a gate that starts closed lets no gradient through
            parameter.set_data(mx.nd.ones(1))
    x, target = batch(64, 96, n=2), batch(64, 96, n=2).mean(axis=1, keepdims=True)
    trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 1e-4})
    losses = []
    for _ in range(4):
        mx.random.seed(0)
        with autograd.record():
            loss = sum((out - target).square().mean() for out in net(x))
        loss.backward()
        losses.append(loss.asscalar())
        if len(losses) == 1:
            check_gradients(net)
        trainer.step(1)
    assert losses[-1] < losses[0]
    checkpoint.write(tmp_path / "net.params", checkpoint.weights(net), Record(model=NetworkSpec(**net.spec)))
    again = mxnetseg.load(str(tmp_path / "net.params"))
    np.testing.assert_array_equal(again(x).asnumpy(), net(x).asnumpy())


@pytest.mark.parametrize("name", SOME)
def test_auxiliary_outputs_only_while_recording(name):
    net = build(name, aux=True)
    x = batch(64, 64)
    assert net.num_aux >= 1
    assert isinstance(net(x), mx.nd.NDArray)
    with autograd.record():
        assert len(net(x)) == 1 + net.num_aux
    heads = net.head_logits(x)
    assert len(heads) == 1 + net.num_aux and all(h.shape[2] <= 64 for h in heads)
    plain = build(name, aux=False)
    assert plain.num_aux == 0 and len(plain.head_logits(x)) == 1
    with autograd.record():
        assert isinstance(plain(x), mx.nd.NDArray)


def test_batchnorm_statistics_move_only_in_training():
    net = build("fcn")
    name = "backbone.layer1.1.running_mean"
    before = net._collect_params_with_prefix()[name].data().copy()
    net(batch(64, 64))
    np.testing.assert_array_equal(net._collect_params_with_prefix()[name].data().asnumpy(), before.asnumpy())
    with autograd.record():
        loss = net(batch(64, 64)).sum()
    loss.backward()
    assert (net._collect_params_with_prefix()[name].data() != before).sum().asscalar() > 0


def test_names_do_not_care_about_case_and_near_ones_are_listed():
    assert create_model("FCN", backbone="ResNet18").spec["name"] == "fcn"
    with pytest.raises(MXNetSegError, match="unknown model 'pspnett'; did you mean pspnet"):
        create_model("pspnett")
    with pytest.raises(MXNetSegError, match="unknown backbone 'resnet19'; did you mean resnet18"):
        create_model("fcn", backbone="resnet19")
    with pytest.raises(MXNetSegError, match="unknown norm 'layer'; known: bn, gn, syncbn"):
        create_model("fcn", norm="layer")


@pytest.mark.parametrize(
    "kwargs, message",
    [
        (dict(output_stride=4), "output stride 4 is not possible"),
        (dict(num_classes=0), "num_classes=0"),
        (dict(num_classes=300), "num_classes=300"),
        (dict(breadth=3), "model fcn has no option 'breadth'"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(MXNetSegError, match=message):
        create_model("fcn", **kwargs)


def test_a_model_with_its_own_backbone_refuses_others():
    with pytest.raises(MXNetSegError, match="eprnet can't be built on resnet18; its backbone is eprnet or"):
        create_model("eprnet", backbone="resnet18")


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (1, 4, 64, 64), (0, 3, 64, 64)])
def test_inputs_that_are_no_rgb_batch_are_refused(shape):
    net = build("fcn")
    with pytest.raises(MXNetSegError, match=r"\(N, 3, H, W\)"):
        net(mx.nd.zeros(shape) if 0 not in shape else mx.nd.zeros((1,) + shape[1:])[0:0])


def test_spec_builds_the_same_network_again():
    net = create_model("bisenet", backbone="mobilenet_v2_0_5", num_classes=7, aux=True, norm="gn", width=32)
    again = create_model(**net.spec)
    shapes = {k: p.shape for k, p in net._collect_params_with_prefix().items()}
    assert shapes == {k: p.shape for k, p in again._collect_params_with_prefix().items()}


@pytest.mark.slow
def test_all_shapes_are_known_before_the_first_call():
    for backbone in list_backbones():
        net = create_model("fcn", backbone=backbone, aux=True)
        assert all(0 not in p.shape for p in net.collect_params().values())


@pytest.mark.parametrize("name", SOME)
def test_export_and_symbol(name, tmp_path):
    net = build(name, aux=True)
    net.hybridize()
    x = batch(64, 96)
    expected = net(x).asnumpy()
    net.export(str(tmp_path / "net"))
    loaded = mx.gluon.SymbolBlock.imports(
        str(tmp_path / "net-symbol.json"), ["data"], str(tmp_path / "net-0000.params")
    )
    np.testing.assert_allclose(loaded(x).asnumpy(), expected, rtol=1e-4, atol=1e-5)
    assert not [name for name in loaded.collect_params() if "aux_heads" in name]
    assert net(mx.sym.var("data")).list_outputs()


@pytest.mark.parametrize("name", list_models())
def test_synchronised_norms_have_one_key_per_use(name, monkeypatch):
    """Two uses under one key would mix their statistics between contexts."""
    net = build(name, aux=True, norm="syncbn")
    monkeypatch.setattr(norm.SyncBatchNorm, "_devices", lambda self: 2)
    graph = mx.sym.Group(list(net._graphs.train(mx.sym.var("data"))))
    keys = [node.attrs["key"] for node in Graph(graph).operators() if node.op == "_contrib_SyncBatchNorm"]
    assert keys and len(set(keys)) == len(keys)


def test_parameters_survive_plain_gluon_files(tmp_path):
    net = build("fcn", aux=True)
    net.save_parameters(str(tmp_path / "net.params"))
    other = create_model(**net.spec)
    other.load_parameters(str(tmp_path / "net.params"))
    x = batch(64, 64)
    np.testing.assert_array_equal(net(x).asnumpy(), other(x).asnumpy())


def test_cast_reaches_every_graph():
    net = build("fcn")
    net.hybridize()
    x = batch(64, 64)
    net(x)
    net.cast("float64")
    assert net(x.astype("float64")).dtype == np.float64


def test_a_new_model_is_a_composition():
    class Mean(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, image, c4):
            return F.broadcast_add(F.mean(c4, axis=1, keepdims=True), F.mean(image, axis=(1, 2, 3), keepdims=True))

    backbone = create_model("fcn", backbone="mobilenet_v2_0_25").backbone
    net = Segmentor(backbone, Branch(Mean(), ("image", "c4")))
    net.complete_shapes()
    net.initialize()
    assert net(batch(64, 64)).shape == (1, 1, 64, 64)


def test_a_neck_is_fed_with_the_image_at_half_its_size():
    backbone = create_model("fcn", backbone="mobilenet_v2_0_25").backbone
    seen = {}

    class Remember(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, half):
            seen["shape"] = half.shape
            return half

    net = Segmentor(backbone, Branch(FCNHead(80, 5), ("neck",)), neck=Branch(Remember(), ("half_c4",)))
    net.initialize()
    assert net(batch(128, 192)).shape == (1, 5, 128, 192)
    assert seen["shape"] == (1, 80, 8, 12)  # c4 at output stride 8 of 64x96


@pytest.mark.parametrize("name", ["c5", "half", "neck"])
def test_a_branch_fed_with_what_there_isnt(name):
    backbone = create_model("fcn", backbone="mobilenet_v2_0_25").backbone
    with pytest.raises(MXNetSegError, match=f"a branch is fed with {name}; there are c1, c2, .*image"):
        Segmentor(backbone, Branch(FCNHead(80, 5), (name,)))


def test_a_backbone_is_told_which_levels_are_used():
    backbone = create_model("fcn", backbone="mobilenet_v2_0_25").backbone
    told = []
    backbone.keep = told.append
    Segmentor(
        backbone,
        Branch(FCNHead(80, 5), ("neck", "image")),
        [Branch(FCNHead(24, 5), ("c3",))],
        neck=Branch(FCNHead(80, 5), ("half_c4",)),
    )
    assert told == [{"c3", "c4"}]


@pytest.mark.parametrize(
    "flags",
    [None, pytest.param({}, marks=pytest.mark.slow), pytest.param(dict(static_alloc=True), marks=pytest.mark.slow)]
    + [dict(static_alloc=True, static_shape=True)],
    ids=str,
)
@pytest.mark.parametrize("name", ["bisenet", "swiftnet_pr"])
def test_threads_that_are_the_first_to_call_it_all_at_once(name, flags):
    def infer(net, use, size):
        out = getattr(net, use)(batch(*size))
        return (out[0] if use == "head_logits" else out).asnumpy()

    def record(net, use, size):
        with autograd.record(train_mode=False):
            return net(batch(*size))[0].asnumpy()

    def trace(net, use, size):
        return np.array(net(mx.sym.var("data")).list_arguments())

    uses = [(infer, use) for use in ("__call__", "class_map", "coarse_logits", "head_logits")]
    calls = [
        (how, use, SIZES[i % 3]) for i, (how, use) in enumerate([*uses, (record, ""), (trace, ""), *uses, uses[0]] * 2)
    ]
    net, alone = build(name, aux=True), build(name, aux=True)
    for key, parameter in alone._collect_params_with_prefix().items():
        parameter.set_data(net._collect_params_with_prefix()[key].data())
    for one in (net, alone):
        if flags is not None:
            one.hybridize(**flags)
    results = together([lambda call=call: call[0](net, *call[1:]) for call in calls])
    for call, result in zip(calls, results):
        if call[0] is trace:
            assert len(result) == len(trace(alone, *call[1:]))
        else:
            np.testing.assert_array_equal(result, call[0](alone, *call[1:]), err_msg=str(call))


@pytest.mark.parametrize("hybridized", [False, True])
def test_one_thread_at_a_time_is_inside_even_of_networks_that_share_blocks(hybridized):
    """Operators that write the same arrays, queued by two threads at once, may wait for each other for ever."""
    inside, most = [], []

    class Slow(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, c4):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.02)
            inside.pop()
            return F.mean(c4, axis=1, keepdims=True)

    backbone = create_model("fcn", backbone="mobilenet_v2_0_25").backbone
    nets = [Segmentor(backbone, Branch(Slow())) for _ in range(2)]
    nets[0].complete_shapes()
    nets[0].initialize()
    if hybridized:
        for net in nets:
            net.hybridize()
    most.clear()
    uses = [use for net in nets for use in (net, net.class_map, net.coarse_logits, net.head_logits)]
    together([lambda use=use: use(batch(64, 64)) for use in uses])
    assert len(most) == (6 if hybridized else 8)  # calls and class maps of a network need two graphs, heads a third
    assert max(most) == 1


def test_contexts_and_record():
    net = create_model("fcn", backbone="mobilenet_v2_0_25")
    assert net.record is None
    with pytest.raises(MXNetSegError, match="has no values yet; initialize the network or load its weights"):
        net.contexts  # noqa: B018
    net.initialize(ctx=[mx.cpu(0), mx.cpu(1)])
    assert net.contexts == [mx.cpu(0), mx.cpu(1)]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["copy", "pickle"])
def test_a_network_that_was_not_hybridized_can_be_copied(copied):
    net = build("bisenet")
    other = copied(net)
    x = batch(64, 64)
    expected = net(x).asnumpy()
    np.testing.assert_array_equal(other(x).asnumpy(), expected)
    for parameter in net.collect_params().values():
        parameter.set_data(parameter.data() * 2)
    np.testing.assert_array_equal(other(x).asnumpy(), expected)


def flags_of(net):
    return [(block._active, dict(block._flags), block._backend) for block in (net, *vars(net._graphs).values())]


@pytest.mark.parametrize(
    "flags",
    [
        dict(active=False),
        dict(static_alloc=True),
        dict(static_alloc=True, static_shape=True, inline_limit=5, forward_bulk_size=7, backward_bulk_size=9),
    ],
    ids=str,
)
def test_what_has_a_network_traced_anew_leaves_it_hybridized_as_it_was(flags):
    net = build("ffnet")
    net.hybridize(**flags)
    before = flags_of(net)
    net(batch(64, 64))
    net.reparameterize()
    net.cast("float64")
    net.complete_shapes()
    assert flags_of(net) == before
    assert net(batch(64, 64).astype("float64")).dtype == np.float64


@pytest.mark.parametrize("part", ["the network", "its head"])
def test_a_reparameterized_network_has_no_trace_of_its_branches(part):
    net, x = build("ffnet"), batch(64, 64)
    (net.head if part == "its head" else net).hybridize()
    net(x)
    net.reparameterize()
    for parameter in net.collect_params().values():
        parameter.set_data(mx.nd.random.uniform(0.1, 0.3, parameter.shape))
    got = net(x).asnumpy()
    net.hybridize(False)
    np.testing.assert_allclose(got, net(x).asnumpy(), rtol=1e-4)


def test_forgotten_sizes_change_no_result():
    net = build("fcn")
    small, large = batch(64, 96), batch(96, 129)
    wanted = net(large).asnumpy()
    before = {name: p.data().asnumpy() for name, p in net.collect_params().items()}
    net(small)
    net.forget_sizes()
    assert all((p.data().asnumpy() == before[name]).all() for name, p in net.collect_params().items())
    np.testing.assert_allclose(net(large).asnumpy(), wanted, rtol=1e-5, atol=1e-6)
