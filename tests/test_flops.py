"""Counting parameters and FLOPs: every rule by hand, whole models against a count of what really runs."""

import json
import re
from pathlib import Path

import mxnet as mx
import pytest
from mxnet.gluon import HybridBlock, nn

import mxnetseg
from mxnetseg import MXNetSegError, create_model
from mxnetseg.cli import main
from mxnetseg.flops import count, short
from mxnetseg.nn import resize_like
from mxnetseg.nn.norm import BatchNorm, GroupNorm, SyncBatchNorm
from tests.goldens import families

H, W = 8, 6
PIXELS = H * W


class Function(HybridBlock):
    """A network of one function of (F, x), after a pointwise convolution to `channels` when there is one."""

    def __init__(self, function, channels=None):
        super().__init__()
        self.function = function
        self.conv = nn.Conv2D(channels, 1, use_bias=False) if channels else None

    def hybrid_forward(self, F, x):
        return self.function(F, x if self.conv is None else self.conv(x))


class Stored(HybridBlock):
    """x times a learned vector."""

    def __init__(self):
        super().__init__()
        self.scale = self.params.get("scale", shape=(3, 1, 1))

    def hybrid_forward(self, F, x, scale):
        return F.broadcast_mul(x, scale)


@mx.operator.register("mxnetseg_deform_attention")
class _Attention(mx.operator.CustomOpProp):
    """Stands for the operator of that name: shapes only."""

    def list_arguments(self):
        return ["query", "offset"]

    def infer_shape(self, shapes):
        return shapes, shapes[:1], []


@mx.operator.register("mxnetseg_deform_unfold")
class _Unfold(_Attention):
    def infer_shape(self, shapes):
        batch, channels, height, width = shapes[0]
        return shapes, [(batch, channels * 9, height * width)], []


def flops(layer, everything=False):
    net = nn.HybridSequential()
    net.add(layer)
    return count(net, (H, W), everything).flops


@pytest.mark.parametrize(
    "layer, expected",
    [
        (nn.Conv2D(4, 3, padding=1, use_bias=False), PIXELS * 4 * 27),
        (nn.Conv2D(4, 3, padding=1), PIXELS * 4 * 28),
        (nn.Conv2D(6, (3, 1), strides=2, groups=3, use_bias=False), 3 * 3 * 6 * 3),
        (nn.Conv2DTranspose(5, 2, strides=2, use_bias=False), PIXELS * 3 * 5 * 4),
        (nn.Conv2DTranspose(5, 2, strides=2), PIXELS * 3 * 5 * 4 + 4 * PIXELS * 5),
        (nn.Dense(7, flatten=False), 3 * H * W * 7),
        (nn.Dense(7), 3 * PIXELS * 7),
        (nn.BatchNorm(), 2 * 3 * PIXELS),
        (BatchNorm(), 2 * 3 * PIXELS),
        (SyncBatchNorm(), 0),
        (nn.GroupNorm(3), 2 * 3 * PIXELS),
        (GroupNorm(3), 2 * 3 * PIXELS),
        (nn.InstanceNorm(), 2 * 3 * PIXELS),
        (nn.LayerNorm(), 2 * 3 * PIXELS),
        (nn.LayerNorm(axis=3), 2 * 3 * PIXELS),
        (nn.LayerNorm(axis=1), 0),
        (nn.Activation("relu"), 3 * PIXELS),
        (nn.LeakyReLU(0.1), 3 * PIXELS),
        (nn.PReLU(), 3 * PIXELS),
        (nn.ELU(), 3 * PIXELS),
        (Function(lambda F, x: F.clip(x, 0, 6)), 3 * PIXELS),
        (Function(lambda F, x: F.clip(x, 0, 1)), 0),
        (nn.GELU(), 0),
        (nn.SELU(), 0),
        (nn.Swish(), 0),
        (nn.Activation("sigmoid"), 0),
        (nn.MaxPool2D(2), 3 * PIXELS),
        (nn.AvgPool2D(3, 1), 3 * PIXELS),
        (nn.GlobalAvgPool2D(), 3 * PIXELS),
        (Function(lambda F, x: F.contrib.AdaptiveAvgPooling2D(x, output_size=2)), 3 * PIXELS),
        (Function(lambda F, x: F.mean(x, axis=(2, 3))), 0),
        (Function(lambda F, x: F.softmax(x, axis=1)), 0),
        (Function(lambda F, x: F.batch_dot(x[0], x[0], transpose_b=True)), 0),
        (Function(lambda F, x: F.contrib.BilinearResize2D(x, height=9, width=9)), 0),
        (Function(lambda F, x: resize_like(F, F.Pooling(x, kernel=(2, 2)), x, align_corners=False)), 3 * PIXELS),
        (Function(lambda F, x: x * x + 1), 0),
        (nn.Dropout(0.5), 0),
    ],
)
def test_what_mmcv_counts(layer, expected):
    assert flops(layer) == expected


def displaced(F, x):
    options = dict(kernel=(3, 3), pad=(1, 1), num_filter=5, no_bias=True)
    return F.contrib.DeformableConvolution(x, F.zeros((1, 18, H, W)), F.ones((5, 3, 3, 3)), **options)


@pytest.mark.parametrize(
    "layer, expected",
    [
        (nn.Conv2D(4, 3, padding=1), PIXELS * 4 * 28),
        (nn.Dense(7), 3 * PIXELS * 7 + 7),
        (SyncBatchNorm(), 2 * 3 * PIXELS),
        (GroupNorm(3), 2 * 3 * PIXELS),
        (nn.LayerNorm(axis=1), 2 * 3 * PIXELS),
        (nn.GELU(), 3 * PIXELS),
        (nn.Swish(), 3 * 3 * PIXELS),
        (nn.Activation("sigmoid"), 3 * PIXELS),
        (Function(lambda F, x: F.softmax(x, axis=1)), 3 * 3 * PIXELS),
        (Function(lambda F, x: F.mean(x, axis=(2, 3))), 3 * PIXELS),
        (Function(lambda F, x: F.transpose(x).reshape((0, -1))), 0),
        (Function(lambda F, x: F.dot(x, F.ones((W, 5)))), 3 * H * W * 5),
        (Function(lambda F, x: F.dot(x, F.ones((1, 5)), transpose_a=True)), 3 * H * W * 5),
        (Function(lambda F, x: F.batch_dot(F.reshape(x, (3, H, W)), F.ones((3, W, 5)))), 3 * H * W * 5),
        (
            Function(lambda F, x: F.batch_dot(F.reshape(x, (3, H, W)), F.ones((3, H, 5)), transpose_a=True)),
            3 * H * W * 5,
        ),
        (Function(lambda F, x: F.linalg.gemm2(x, x, transpose_b=True)), 3 * H * W * H),
        (Function(lambda F, x: F.linalg.gemm2(x, x, transpose_a=True)), 3 * W * H * W),
        (Function(lambda F, x: F.contrib.BilinearResize2D(x, height=9, width=10)), 4 * 3 * 90),
        (Function(lambda F, x: F.BilinearSampler(x, F.ones((1, 2, 4, 5)))), 4 * 3 * 20),
        (Function(lambda F, x: F.UpSampling(x, scale=2, sample_type="nearest")), 0),
        (
            Function(lambda F, x: F.UpSampling(x, F.ones((3, 1, 4, 4)), scale=2, sample_type="bilinear", num_filter=3)),
            3 * 16 * PIXELS,
        ),
        (Function(lambda F, x: F.add_n(x, x, x)), 2 * 3 * PIXELS),
        (Function(lambda F, x: F.topk(x, axis=1, k=2)), 2 * 3 * PIXELS),
        (Function(lambda F, x: F.moments(x, axes=(2, 3))[0]), 3 * 3 * PIXELS),
        (Function(displaced), (5 * 27 + 4 * 27) * PIXELS),
        (Function(lambda F, x: F.contrib.SyncBatchNorm(x, ndev=2, key="k")), 2 * 3 * PIXELS),
        (Function(lambda F, x: F.Custom(x, x, op_type="mxnetseg_deform_attention")), (9 + 72 + 9) * 3 * PIXELS),
        (Function(lambda F, x: F.Custom(x, x, op_type="mxnetseg_deform_unfold")), 4 * 9 * 3 * PIXELS),
        (nn.Dropout(0.5), 0),
    ],
)
def test_everything(layer, expected):
    assert flops(layer, everything=True) == expected


@pytest.mark.parametrize("operator", ["mxnetseg_deform_attention", "mxnetseg_deform_unfold"])
def test_the_deformable_operators_are_no_layers_to_mmcv(operator):
    assert flops(Function(lambda F, x: F.Custom(x, x, op_type=operator))) == 0


def test_operators_that_are_not_known_are_named():
    net = Function(lambda F, x: F.smooth_l1(F.erfinv(x)) + x)
    for everything, expected in ((False, 0), (True, 3 * 3 * PIXELS)):
        found = count(net, (H, W), everything)
        assert (found.unknown, found.flops) == (("erfinv", "smooth_l1"), expected)
    assert count(Function(lambda F, x: F.relu(x)), 8).unknown == ()


def test_attention_of_interleaved_heads():
    """4 positions, 2 heads of 3 channels: scores 2 * 4 * 4 * 3, weighted sums as many."""

    def scores(F, x):
        return F.contrib.interleaved_matmul_selfatt_qk(F.reshape(x, (4, 1, 18)), heads=2)

    def values(F, x):
        return F.contrib.interleaved_matmul_selfatt_valatt(F.reshape(x, (4, 1, 18)), F.ones((2, 4, 4)), heads=2)

    for product in (scores, values):
        net = Function(product)
        assert count(net, (4, 6), everything=True).flops == 96
        assert count(net, (4, 6)).flops == 0


def test_parameters_are_the_learned_ones():
    net = nn.HybridSequential()
    net.add(nn.Conv2D(4, 3), BatchNorm(), BatchNorm(scale=False), Function(lambda F, x: x, channels=3), Stored())
    found = count(net, 16)
    assert found.parameters == (4 * 3 * 9 + 4) + 8 + 4 + 4 * 3 + 3
    assert found.statistics == 8 + 12  # a gamma that is not learned is stored all the same
    net[0].weight.grad_req = "null"
    assert count(net, 16).parameters == found.parameters - 108


def test_a_block_that_runs_twice_costs_twice_and_weighs_once():
    conv, norm = nn.Conv2D(3, 3, padding=1, use_bias=False), GroupNorm(3)
    net = nn.HybridSequential()
    net.add(conv, norm, conv, norm)
    found = count(net, (H, W))
    assert found.parameters == 81 + 6
    assert found.flops == 2 * (PIXELS * 3 * 27 + 6 * PIXELS)
    assert [row.parameters for row in found.rows] == [81, 6, 0, 0]


def test_counting_changes_nothing():
    """Later graphs have their own names; initialized or not, hybridized or not, the count is the same."""
    net = mxnetseg.create_model("bisenet", backbone="mobilenet_v2_0_25", num_classes=3)
    names = net(mx.sym.var("data")).get_internals().list_outputs()
    before = count(net, 64)
    again = net(mx.sym.var("data")).get_internals().list_outputs()
    assert len(again) == len(names) and not any("|" in name for name in again)
    net.initialize()
    net.hybridize()
    net(mx.nd.zeros((1, 3, 64, 64)))
    assert count(net, 64) == before


def really_run(net, height, width):
    """mmcv's way: hooks on layers that run on numbers."""
    total = [0]

    def hook(block, inputs, output):
        x = inputs[0]
        if isinstance(block, nn.Conv2D):
            kernel = block.weight.shape
            total[0] += output.size * (kernel[1] * kernel[2] * kernel[3] + (block.bias is not None))
        elif isinstance(block, SyncBatchNorm):
            pass
        elif isinstance(block, (BatchNorm, GroupNorm)):
            total[0] += 2 * x.size
        elif isinstance(block, (nn.MaxPool2D, nn.AvgPool2D)):
            total[0] += x.size
        elif isinstance(block, nn.Activation) and block._act_type == "relu" or type(block).__name__ == "ReLU6":
            total[0] += output.size

    net.initialize()
    net.apply(lambda block: block.register_forward_hook(hook))
    net(mx.nd.zeros((1, 3, height, width)))
    return total[0]


@pytest.mark.parametrize("norm", ["bn", "syncbn", "gn"])
@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v2_0_5"])
def test_models_against_what_really_runs(backbone, norm):
    net = mxnetseg.create_model("fcn", backbone=backbone, num_classes=19, norm=norm)
    assert count(net, (65, 96)).flops == really_run(net, 65, 96)


def test_fcn_on_resnet18():
    """Layer by layer at 512 x 512, output stride 8; the auxiliary head has 256 -> 256 -> 19 channels."""
    sides = 256**2, 128**2, 64**2
    stem = sides[0] * 64 * 147 + 2 * sides[0] * 64  # ReLU, pooling
    stages = sides[1] * 64 * 576 * 4 + sides[2] * (
        (128 * 576 + 128 * 1152 * 3 + 128 * 64) + (256 * 1152 + 256 * 2304 * 3 + 256 * 128)
        + (512 * 2304 + 512 * 4608 * 3 + 512 * 256)
    )  # fmt: skip
    relus = 4 * (sides[1] * 64 + sides[2] * (128 + 256 + 512))
    head = sides[2] * (256 * 4608 + 256 + 19 * 257)
    net = mxnetseg.create_model("fcn", backbone="resnet18", num_classes=19, norm="syncbn", aux=True)
    found = count(net)
    assert found.shape == (512, 512)
    assert found.flops == found.macs == stem + stages + relus + head == 53_009_788_928
    aux = 256 * 2304 + 512 + 19 * 257
    assert found.parameters == 12_361_555 + aux
    by_depth = {row.layer: row for row in found.by_depth(1)}
    assert by_depth["head"].flops == head and by_depth["backbone"].flops == stem + stages + relus
    assert by_depth["aux_heads"][3:] == (aux, 0)
    rows = {row.layer: row for row in found.rows}
    assert rows["backbone.layer1.0.conv1"][1:] == ("Convolution", (1, 64, 128, 128), 36864, sides[1] * 64 * 576)
    assert rows["aux_heads.0.conv2"][1:] == ("(not run)", None, 19 * 257, 0)
    everything = count(net, everything=True)
    assert everything.parameters == found.parameters and everything.flops > found.flops
    assert sum(row.flops for row in everything.rows if row.layer == "") > 19 * 512 * 512 * 64  # the last resize


def test_wrong_input_is_an_error_that_says_what_to_do():
    net = mxnetseg.create_model("fcn", backbone="mobilenet_v2_0_25")
    for shape in (0, (8, -1), (8, 8, 8), True, "8", (8.0, 8)):
        with pytest.raises(MXNetSegError, match="shape=.*the side or .height, width."):
            count(net, shape)
    with pytest.raises(MXNetSegError, match="of a HybridBlock, not of Sequential"):
        count(mx.gluon.nn.Sequential())
    with pytest.raises(MXNetSegError, match="depth=0"):
        count(net, 32).by_depth(0)
    small = nn.HybridSequential()
    small.add(nn.Conv2D(3, 9))
    with pytest.raises(MXNetSegError, match="height 8 and width 6: .*kernel size exceed.*multiples of 32"):
        count(small, (H, W))
    assert small[0]._scope._block is small[0]
    unused = Function(lambda F, x: x)
    unused.late = nn.Dense(3)
    with pytest.raises(MXNetSegError, match="has no shape yet"):
        count(unused, 8)


def published():
    """Rows of the papers' tables; by default those of smaller networks."""
    for row in families.published():
        large = re.search("_large_|_base_|ffnet_[34]_|ffnet_seg_1024", row["recipe"])
        yield pytest.param(row, id=row["recipe"], marks=pytest.mark.slow if large else [])


@pytest.mark.parametrize("row", published())
def test_published_tables(row):
    """Every printed digit; FFNet-seg's two figures, which fit no single rule, within 1.5 %."""
    root = Path(__file__).parents[1]
    net = create_model(config=str(root / "configs" / f"{row['recipe']}.yaml"))
    found = count(net, (int(row["height"]), int(row["width"])))
    for number, unit, published in ((found.parameters, "M", row["parameters"]), (found.flops, "G", row["flops"])):
        if row["tolerance"]:
            scale = {"M": 1e6, "G": 1e9}[unit]
            assert number / scale == pytest.approx(float(published), rel=float(row["tolerance"]))
        elif "." in published:
            assert short(number, unit) == f"{published} {unit}"
        else:
            assert round(number / {"M": 1e6, "G": 1e9}[unit]) == int(published)


def originals():
    """As the goldens, but for one that takes long to build: test_published_tables counts its like."""
    for name in families.CASES:
        yield pytest.param(name, marks=pytest.mark.slow) if name == "ffnet_seg_ade20k" else name


@pytest.mark.parametrize("name", originals())
def test_the_originals_own_count(name):
    """mmcv's own figures for the networks of the expected outputs, digit by digit."""
    meta, _ = families.read(name)
    model, backbone = families.model_of(name)
    for shape, macs in meta["macs_mmcv"].items():
        size, norm = shape.split("_")
        net = create_model(model, backbone=backbone, norm=norm)
        high, wide = map(int, size.split("x"))
        found = count(net, (high, wide)).flops
        if model == "setr_pup":  # the original's ReLUs are functions, which mmcv does not see
            found -= sum(256 * side**2 for side in (97, 194, 388))
        assert found == macs


def test_short():
    assert short(86_147_584, "M") == "86.2 M"  # as published, through mmcv's 86.15
    assert short(55_340_000, "M") == "55.3 M" and short(946_350_000_000, "G") == "946.4 G"
    assert short(1_234_500_000_000_000, "G") == "1234500.0 G" and short(12_000, "M") == "0.012 M"


def test_command_counts_like_the_library(capsys):
    assert (
        main(["flops", "--model", "fcn", "--backbone", "resnet18", "--num-classes", "19", "--shape", "2048", "512"])
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "fcn on resnet18, 19 classes, syncbn, 2048x512 pixels"
    assert lines[1].split()[:3] == ["parameters", "12.4", "M"] and lines[2].split()[:3] == ["FLOPs", "212.0", "G"]
    assert len(lines) == 3


def test_command_tables_and_json(capsys, tmp_path):
    network = ["flops", "--model", "fcn", "--backbone", "mobilenet_v2_0_25", "--num-classes", "5", "--aux"]
    file = tmp_path / "new" / "c.json"
    assert main([*network, "--shape", "64", "--depth", "1", "--norm", "bn", "--all", "--json", str(file)]) == 0
    out = capsys.readouterr().out
    assert {line.split()[0] for line in out.splitlines() if line} >= {
        "layer",
        "backbone",
        "head",
        "aux_heads",
        "(network)",
    }
    assert "of all operators" in out
    content = json.loads(file.read_text())
    assert content["model"]["norm"] == "bn" and content["model"]["aux"] is True
    assert content["shape"] == [64, 64] and content["counted"] == "everything"
    assert content["flops"] == sum(row["flops"] for row in content["layers"])
    assert content["parameters"] == sum(row["parameters"] for row in content["layers"])
    assert main([*network, "--json", str(file)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*network, "--shape", "64", "--layers", "--json", str(file), "--overwrite"]) == 0
    out = capsys.readouterr().out
    assert "head.conv1.conv" in out and "1x80x8x8" in out and "(not run)" in out


def test_command_takes_a_recipe(capsys, tmp_path):
    recipe = tmp_path / "r.yaml"
    model = "model: {name: bisenet, backbone: mobilenet_v2_0_25, options: {width: 16, spatial_width: 8}%s}\n"
    for norm, options, expected in (
        ("", [], "syncbn"),
        (", norm: gn", [], "gn"),
        (", norm: gn", ["--norm", "bn"], "bn"),
    ):
        recipe.write_text(model % norm + "data: {name: streets}\n")
        assert main(["flops", "--config", str(recipe), "--shape", "64", *options]) == 0
        assert f"bisenet on mobilenet_v2_0_25, 10 classes, {expected}, 64x64" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, message",
    [
        ([], "--model NAME or --config FILE"),
        (["--model", "fcn", "--shape", "1", "2", "3"], "--shape 1 2 3: give the side, or height and width"),
        (["--model", "fcn", "--shape", "0"], "--shape 0"),
        (["--model", "fcn", "--depth", "0"], "--depth 0: must be 1 or more"),
        (["--model", "fnc"], "did you mean fcn"),
        (["--model", "fcn", "--norm", "nb"], "unknown norm 'nb'"),
    ],
)
def test_command_errors(options, message, capsys):
    assert main(["flops", *options]) == 2
    assert message in capsys.readouterr().err
