"""Whatever a user's network is called and made of, it is optimized and exported right, or it is said why not."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import Block, HybridBlock, nn

from mxnetseg import create_model
from mxnetseg.deploy import DTYPES, optimize
from mxnetseg.errors import MXNetSegError
from mxnetseg.export import to_mxnet

from .networks import images, relative_error

CLOSE = {"float32": 2e-5, "bfloat16": 0.05, "int8": 0.1}
# names that graphs, files and passes give to what they make, as a network of an imported graph has them
NAMES = (
    "data",
    "image",
    "logits",
    "scale",
    "shift",
    "folded0_weight",
    "folded0_bias",
    "zeros8",
    "head_weight_winograd",
)


class Named(HybridBlock):
    """A folded norm, and a factor per channel whose parameter has the name `name`."""

    def __init__(self, name):
        super().__init__(prefix="")
        self.stem, self.norm = nn.Conv2D(8, 3, padding=1, in_channels=3, prefix="stem_"), nn.BatchNorm(in_channels=8)
        self.head = nn.Conv2D(5, 3, padding=1, in_channels=8, prefix="head_")
        self.factor = mx.gluon.Parameter(name, shape=(1, 8, 1, 1), init=mx.init.Normal(2))
        self.params._params[name] = self.factor
        mx.random.seed(0)
        self.initialize(mx.init.Xavier())

    def hybrid_forward(self, F, x, factor):
        return self.head(F.broadcast_mul(F.relu(self.norm(self.stem(x))), factor))


class Function(HybridBlock):
    def __init__(self, function, **layers):
        super().__init__()
        self._function = function
        with self.name_scope():
            for name, layer in layers.items():
                setattr(self, name, layer)
        mx.random.seed(0)
        self.initialize(mx.init.Xavier())

    def hybrid_forward(self, F, x):
        return self._function(self, F, x)


def conv(channels, in_channels=3, **options):
    return nn.Conv2D(channels, 3, padding=1, in_channels=in_channels, **options)


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_may_have_any_name(name, tmp_path):
    net, x = Named(name), images(24, 40)
    wanted = net(x)
    for dtype in DTYPES:
        fast = optimize(net, dtype, [x] if dtype == "int8" else None, size=(24, 40))
        assert relative_error(fast(x), wanted) < CLOSE[dtype], dtype
    assert to_mxnet(net, tmp_path / "net", with_preprocessing=True).difference < 1e-5
    pytest.importorskip("onnxruntime")
    from mxnetseg.export import to_onnx

    assert to_onnx(net, tmp_path / "net.onnx", output="class_map").difference < 1e-5


def test_a_graph_that_was_exported_and_read_again_beside_another(tmp_path):
    def small():
        net = create_model("fcn", backbone="resnet18", num_classes=5)
        net.initialize(mx.init.Xavier())
        return net

    to_mxnet(small(), tmp_path / "old")
    old = mx.gluon.SymbolBlock.imports(f"{tmp_path}/old-symbol.json", ["data"], f"{tmp_path}/old-0000.params")
    both = Function(lambda self, F, x: self.new(x) + self.old(x))
    both.new, both.old = small(), old
    x = images(64, 64)
    assert relative_error(optimize(both, size=(64, 64))(x), both(x)) < 1e-4


@pytest.mark.parametrize("channels", (8, 6))
@pytest.mark.parametrize("axes", (1, 3))
def test_norms_behind_convolutions_of_one_and_three_axes(axes, channels):
    def function(self, F, x):
        x = self.first(x)
        if axes == 3:
            x = F.squeeze(self.norm(self.middle(F.expand_dims(x, 2))), axis=2)
        else:
            x = F.reshape_like(self.norm(self.middle(F.reshape(x, (0, 0, -1)))), x, lhs_begin=2, rhs_begin=2)
        return self.last(x)

    kind, kernel, pad = (nn.Conv3D, (1, 3, 3), (0, 1, 1)) if axes == 3 else (nn.Conv1D, 3, 1)
    layers = dict(middle=kind(channels, kernel, padding=pad, in_channels=8), norm=nn.BatchNorm(in_channels=channels))
    net = Function(function, first=conv(8), last=conv(5, channels), **layers)
    net.norm.running_mean.set_data(nd.random.normal(shape=channels))
    net.norm.running_var.set_data(nd.random.uniform(0.1, 3, shape=channels))
    x = images(24, 40)
    for dtype in ("float32", "bfloat16"):
        assert relative_error(optimize(net, dtype, size=(24, 40))(x), net(x)) < CLOSE[dtype], dtype


class Imperative(Block):
    def __init__(self):
        super().__init__()
        self.conv = conv(5)

    def forward(self, x):
        return self.conv(x) + float(x.mean().asscalar())


def imperative():
    net = Imperative()
    net.initialize()
    return net


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Function(lambda s, F, x: s.c(x).reshape((x.shape[0], 5, -1)), c=conv(5)), "can't be traced .*shape"),
        (imperative, "can't be traced"),
        (lambda: Function(lambda s, F, x: (s.c(x), s.c(x)), c=conv(5)), "a list of 2 outputs; it must give one"),
        (lambda: Function(lambda s, F, x: [s.c(x)], c=conv(5)), "a list of 1 outputs; it must give one"),
        (lambda: Function(lambda s, F, x: F.split(s.c(x), 2, axis=0), c=conv(5)), "2 outputs; it must give one"),
    ],
)
def test_what_can_not_be_traced_is_told(make, message, tmp_path):
    net = make()
    for use in (optimize, lambda net: to_mxnet(net, tmp_path / "net")):
        with pytest.raises(MXNetSegError, match=message):
            use(net)
    assert not list(tmp_path.iterdir())


def test_other_mistakes_of_networks_and_arguments(tmp_path):
    classifier = Function(lambda s, F, x: F.mean(s.c(x), axis=(2, 3)), c=conv(5))
    with pytest.raises(MXNetSegError, match=r"gives \(1, 5\); logits are"):
        optimize(classifier)
    net = Function(lambda s, F, x: s.c(x), c=conv(5))
    for size in (None, 512, ("a", "b"), (64.5, 64.0), (0, 64)):
        with pytest.raises(MXNetSegError, match="size=.*height and width"):
            optimize(net, size=size)
    with pytest.raises(MXNetSegError, match="calibration=5: must be a list"):
        optimize(net, "int8", calibration=5)
    with pytest.raises(MXNetSegError, match="no convolution or linear layer"):
        optimize(Function(lambda s, F, x: x * 2), "int8", calibration=[images(8, 8)])
    coarse = Function(lambda s, F, x: s.c(x), c=conv(5, strides=4))
    for output in ("logits", "class_map"):
        with pytest.raises(MXNetSegError, match="resize them to the image's height and width"):
            to_mxnet(coarse, tmp_path / "net", output=output)
    double = Function(lambda s, F, x: s.c(x), c=conv(5))
    double.cast("float64")
    with pytest.raises(MXNetSegError, match="float64; networks are exported in float32"):
        to_mxnet(double, tmp_path / "net")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("act_type", ("relu", "sigmoid", "softrelu", "softsign", "tanh"))
def test_activations_in_bfloat16(act_type):
    net = Function(lambda s, F, x: s.last(F.Activation(s.c(x), act_type=act_type)), c=conv(8), last=conv(5, 8))
    x = images(24, 40)
    assert relative_error(optimize(net, "bfloat16", size=(24, 40))(x), net(x)) < CLOSE["bfloat16"]


def test_images_and_calibration_of_any_type():
    net, x = Function(lambda s, F, x: s.c(x), c=conv(5)), images(24, 40)
    fast = optimize(net, "int8", calibration=[x.astype("float64")], size=(24, 40))
    for dtype in ("float16", "float64"):
        assert relative_error(fast(x.astype(dtype)), fast(x)) < 1e-2


def test_while_gradients_are_recorded(tmp_path):
    net = Function(lambda s, F, x: F.Dropout(s.norm(s.c(x)), p=0.5), c=conv(5), norm=nn.BatchNorm(in_channels=5))
    with mx.autograd.record():
        assert to_mxnet(net, tmp_path / "net").difference < 1e-5


class Plus(mx.operator.CustomOp):
    def forward(self, is_train, req, in_data, out_data, aux):
        self.assign(out_data[0], req[0], in_data[0] + 1)


@mx.operator.register("mxnetseg_test_plus")
class PlusProp(mx.operator.CustomOpProp):
    def infer_shape(self, shapes):
        return shapes, [shapes[0]], []

    def create_operator(self, ctx, shapes, dtypes):
        return Plus()


def test_code_of_ones_own_is_not_put_into_files(tmp_path):
    net = Function(lambda s, F, x: F.Custom(s.c(x), op_type="mxnetseg_test_plus"), c=conv(5))
    x = images(16, 16)
    fast = optimize(net, size=(16, 16))
    np.testing.assert_allclose(fast(x).asnumpy(), net(x).asnumpy(), rtol=1e-4, atol=1e-5)
    with pytest.raises(MXNetSegError, match="Custom, which runs code that would not be in it"):
        fast.save(tmp_path / "net.optimized")
    with pytest.raises(MXNetSegError, match=r"Python code of yours \(Custom\)"):
        to_mxnet(net, tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_images_of_four_channels_without_a_record(tmp_path):
    net = create_model("fcn", backbone="resnet18", num_classes=5, in_channels=4)
    net.initialize(mx.init.Xavier())
    x = nd.random.normal(shape=(1, 4, 64, 64))
    assert relative_error(optimize(net, "int8", calibration=[x], size=(64, 64))(x), net(x)) < 0.2
    assert to_mxnet(net, tmp_path / "net", with_preprocessing=True).difference < 1e-3
    about = (tmp_path / "net-about.json").read_text()
    assert '"channels": [\n    0,\n    1,\n    2,\n    3\n  ]' in about
    pytest.importorskip("onnxruntime")
    from mxnetseg.export import to_onnx

    assert to_onnx(net, tmp_path / "net.onnx").difference < 1e-4
