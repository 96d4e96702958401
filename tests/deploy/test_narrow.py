"""bfloat16 and int8: near float32 on every model that is not listed, at sizes that change; clear errors else."""

from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import nn

from mxnetseg import MXNetSegError, Predictor, create_model, list_backbones, list_models
from mxnetseg.config import DataConfig
from mxnetseg.data import open_dataset
from mxnetseg.deploy import DTYPES, LIMITS, agreement, calibration_images, compare, limits, optimize
from mxnetseg.engine.inference import Preprocess
from mxnetseg.graph import Graph

from .networks import FEEDING, SIZES, block, build, create, images, noise_share

ROOT = Path(__file__).resolve().parents[2]
# Largest share of noise with random weights, which forgive much less than trained ones; nonsense has 1.4.
MOST = {"bfloat16": 0.3, "int8": 0.9}


def check(name, dtype, **options):
    net = build(name, **options)
    batches = [images(*size, seed=seed) for seed, size in enumerate(SIZES)]
    fast = optimize(net, dtype, batches if dtype == "int8" else None)
    for size in [*SIZES, SIZES[0]]:
        x = images(*size)
        noise = noise_share(fast(x), net(x))
        assert 1e-4 < noise < MOST[dtype], (size, noise)  # not float32, and not far from it


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_near_float32(dtype):
    check("bisenet", dtype)


def test_an_operator_of_our_own_amid_bfloat16():
    check("setr_naive", "bfloat16", backbone="dgmn2_tiny")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, backbone",
    [
        ("semantic_fpn", "moganet_xtiny"),
        ("setr_mla", "vit_base_16"),
        ("setr_pup", "dgmn2_tiny"),
        ("swiftnet", "efficientnet_lite0"),
    ],
)
@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_backbones_that_are_no_plain_convolutions(name, backbone, dtype):
    check(name, dtype, backbone=backbone)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
@pytest.mark.parametrize("name", list_models())
def test_every_model(name, dtype):
    if name in LIMITS[dtype]:
        with pytest.raises(MXNetSegError, match=f"{name} can't be had in {dtype}: "):
            check(name, dtype)
    else:
        check(name, dtype)


def check_in_use(path, net, twin):
    """Predict, optimize, predict, train, optimize: each time as a network of the same values, used for nothing else."""
    x = images(64, 64, n=2)
    trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 1e-3})
    before = {}
    for _ in range(2):
        net(x).wait_to_read()
        net.save_parameters(str(path))
        twin.load_parameters(str(path))
        for dtype in DTYPES:
            calibration = [x] if dtype == "int8" else None
            expected = optimize(twin, dtype, calibration)(x).asnumpy()
            np.testing.assert_array_equal(optimize(net, dtype, calibration)(x).asnumpy(), expected, err_msg=dtype)
            assert not np.array_equal(expected, before.get(dtype))
            before[dtype] = expected
        net(x).wait_to_read()
        with autograd.record():
            outputs = net(x)
            loss = sum(out.mean() for out in (outputs if isinstance(outputs, (list, tuple)) else [outputs]))
        loss.backward()
        trainer.step(1, ignore_stale_grad=True)


def grouped():
    """Its weights of groups are what a prediction leaves in oneDNN's layout."""
    block = nn.HybridSequential(prefix="")
    block.add(nn.Conv2D(32, 3, padding=1, in_channels=3, activation="relu"))
    block.add(*(nn.Conv2D(32, 3, padding=1, groups=groups, in_channels=32) for groups in (32, 4)))
    block.hybridize()
    return block


def test_a_network_in_use(tmp_path):
    net = grouped()
    net.initialize(mx.init.Xavier())
    check_in_use(tmp_path / "now.params", net, grouped())


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, options",
    [(name, {}) for name in list_models()]
    + [("fcn", dict(backbone=name)) for name in ("xception39", "resnest14", "mobilenet_v2_0_25", "densenet121")]
    + [("setr_naive", dict(backbone=name)) for name in ("vit_base_16", "dgmn2_tiny")]
    + [("ffnet", dict(backbone="ffnet_2")), ("semantic_fpn", dict(backbone="moganet_xtiny"))],
)
def test_every_model_in_use(tmp_path, name, options):
    check_in_use(tmp_path / "now.params", build.__wrapped__(name, **options), create(name, **options))


def test_what_can_not_be_had_is_listed_with_the_reason(monkeypatch):
    for dtype, models in LIMITS.items():
        assert set(models) <= {*list_models(), *list_backbones()}, dtype
    assert limits.describe() in (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    monkeypatch.setitem(limits.LIMITS, "bfloat16", {"fcn": "a reason"})
    assert "- `bfloat16`: not for `fcn`: a reason" in limits.describe()
    with pytest.raises(MXNetSegError, match="fcn can't be had in bfloat16: a reason"):
        optimize(build("fcn"), "bfloat16")


def test_convolutions_run_in_the_type_that_was_asked_for():
    net = build("fcn")
    narrow = optimize(net, "bfloat16")
    # wide 3x3 convolutions are Winograd's, in float32
    wide = [node for node in Graph(narrow.symbol).operators() if node.op == "mxnetseg_winograd"]
    kept = {entry.node.name for node in wide for entry in node.inputs}
    weights = {name: array.dtype for name, array in narrow.arrays.items()}
    assert wide and all(weights[name] == np.float32 for name in kept & set(weights))
    others = {name: str(dtype) for name, dtype in weights.items() if name not in kept}
    assert others and all(name.endswith("_bfloat16") and "bfloat16" in dtype for name, dtype in others.items())
    integer = optimize(net, "int8", [images(64, 64)])
    kernels = [node.attrs for node in Graph(integer.symbol).operators() if node.op == "_sg_mkldnn_conv"]
    assert kernels and all(attrs["quantized"] == "true" for attrs in kernels)


def test_int8_follows_the_calibration_images():
    net = build("fcn")
    x = images(64, 64)
    good = optimize(net, "int8", [images(64, 64, seed=2)])
    narrow = optimize(net, "int8", [0.01 * images(64, 64, seed=2)])  # ranges that real images leave
    assert 2 * noise_share(good(x), net(x)) < noise_share(narrow(x), net(x))


def test_calibration_takes_images_and_batches():
    net = block()
    image = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)
    batch = Preprocess.of(FEEDING)(image[None], images(1, 1).context)
    outs = [
        optimize(net, "int8", calibration)(batch).asnumpy() for calibration in ([image], batch, iter([batch.asnumpy()]))
    ]
    for out in outs[1:]:
        np.testing.assert_array_equal(out, outs[0])


def test_images_far_beyond_the_calibrated_range_are_reported_once(caplog):
    x = images(64, 64)
    fast = optimize(block(), "int8", [x])
    fast(x)
    assert not caplog.records
    fast = optimize(block(), "int8", [x, images(32, 48, n=2)])  # sizes and batches may differ
    fast.unchecked_logits(100 * x)
    for call in (fast.coarse_logits, fast.class_map, fast):  # multi-scale prediction takes the first
        call(100 * x)
    assert len(caplog.records) == 1 and "Are they normalized the same way?" in caplog.text
    optimize(block())(100 * x)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "calibration, message",
    [
        (None, r"int8 needs calibration images: optimize\(net, 'int8', calibration=images\)"),
        ([], "int8 needs calibration images, and there are none"),
        ([np.zeros((64, 64), np.uint8)], r"a calibration image is .* not uint8 of shape \(64, 64\)"),
        (["street.png"], "a calibration image is .* not str"),
        ([np.full((1, 3, 32, 32), np.nan, np.float32)], "is not finite on a calibration image"),
        ([np.full((32, 32, 3), 7, np.uint8)] * 2, "every calibration image is of one colour"),
    ],
)
def test_calibration_mistakes(calibration, message):
    with pytest.raises(MXNetSegError, match=message):
        optimize(block(), "int8", calibration)


def test_agreement_is_the_share_of_pixels():
    net = build("fcn")
    x = images(64, 64)
    assert agreement(net, net, [x, x]) == 1
    upside_down = net(x).argmin(axis=1).asnumpy() == net(x).argmax(axis=1).asnumpy()
    assert agreement(net, lambda x: -net(x), iter([x])) == upside_down.mean() < 0.1
    assert 0.9 < agreement(net, optimize(net, "bfloat16"), [x]) <= 1
    with pytest.raises(MXNetSegError, match="at least one batch"):
        agreement(net, net, [])


def test_scores_and_agreement_side_by_side(streets):
    val = open_dataset(DataConfig(name="streets", root=str(streets)), "val")
    net = create_model("bisenet", "mobilenet_v2_0_25", val.num_classes, width=16, spatial_width=8)
    net.initialize(mx.init.Xavier(magnitude=4))
    fast = optimize(net, "bfloat16")
    found = compare(net, fast, val, Preprocess(), progress=False)
    same = compare(net, net, val, Preprocess(), progress=False)
    assert same.agreement == 1 and same.lost == 0
    assert 0.9 < found.agreement < 1 and found.plain.miou == same.plain.miou
    assert found.lost == 100 * (found.plain.miou - found.optimized.miou)
    unlabelled = open_dataset(DataConfig(name="streets", root=str(streets)), "val", labelled=False)
    with pytest.raises(MXNetSegError, match="'val' has no labels to score against"):
        compare(net, fast, unlabelled, Preprocess(), progress=False)


def test_calibration_images_are_spread_over_the_train_split(streets):
    data = DataConfig(name="streets", root=str(streets))
    few = calibration_images(data, 3)
    assert [one.shape for one in few] == [(64, 96, 3)] * 3 and not np.array_equal(few[0], few[2])
    assert len(calibration_images(data, 1)) == 1
    assert len(calibration_images(data, 99)) == 10
    with pytest.raises(MXNetSegError, match="0 calibration images: at least one"):
        calibration_images(data, 0)


@pytest.mark.slow  # by default: tests/cli/test_dtype.py, through the command
def test_the_predictor_takes_a_dtype_or_an_optimized_network():
    net = build("bisenet")
    image = np.random.RandomState(0).randint(0, 256, (50, 70, 3)).astype(np.uint8)
    expected = Predictor(net)(image)
    for predictor in (Predictor(net, dtype="float32"), Predictor(optimize(net))):
        assert (predictor(image) == expected).mean() > 0.999
    assert (Predictor(net, dtype="bfloat16")(image) == expected).mean() > 0.9
    assert Predictor(net, dtype="int8", calibration=[image])(image).shape == (50, 70)
