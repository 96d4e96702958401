"""Whole networks as ONNX files, what the files say, and when there is none."""

import json

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import HybridBlock, nn

import mxnetseg
from mxnetseg import MXNetSegError, create_model, list_models
from mxnetseg.data import normalize
from mxnetseg.deploy import DeployedNetwork
from mxnetseg.export import OnnxNetwork, to_onnx
from mxnetseg.export import model as onnx_model
from mxnetseg.export.check import pictures
from mxnetseg.graph import OPERATORS
from mxnetseg.shipped import CAMVID, shipped

from ..deploy.networks import build

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def small():
    """A network whose weights have been trained, and its checkpoint."""
    path = shipped(CAMVID)
    return mxnetseg.load(path), path


def run(path, image):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: image})[0]


def logits_of(net, picture):
    feeding = net.record.feeding
    image = normalize(picture, feeding.mean, feeding.std)
    return image, net(mx.nd.array(image)).asnumpy()


def test_a_file_of_a_checkpoint_runs_at_any_size_and_says_what_it_is(small, tmp_path):
    net, path = small
    report = to_onnx(path, tmp_path / "net.onnx")
    assert report.path == tmp_path / "net.onnx" and report.bytes == report.path.stat().st_size
    assert report.free_size and report.free_batch and report.dtype == "float32"
    assert len(report.checked) == 2 and 0 < report.difference < 1e-5 and report.same > 0.9999
    for batch, *size in ((1, 64, 64), (2, 65, 97), (1, 33, 120)):
        image, wanted = logits_of(net, pictures(batch, size))
        np.testing.assert_allclose(run(report.path, image), wanted, atol=1e-5 * np.abs(wanted).max())
    model = onnx.load(report.path)
    assert {opset.domain: opset.version for opset in model.opset_import} == {"": 20}
    assert len({node.name for node in model.graph.node} - {""}) == len(model.graph.node)
    shapes = [
        [d.dim_param or d.dim_value for d in port.type.tensor_type.shape.dim]
        for port in (*model.graph.input, *model.graph.output)
    ]
    assert shapes == [["batch", 3, "height", "width"], ["batch", 11, "height", "width"]]
    weights = [
        onnx.numpy_helper.to_array(array).tobytes() for array in model.graph.initializer if len(array.raw_data) > 64
    ]
    assert len(set(weights)) == len(weights)
    about = {prop.key: prop.value for prop in model.metadata_props}
    feeding = net.record.feeding
    for key in ("classes", "palette", "mean", "std"):
        assert json.loads(about[key]) == json.loads(json.dumps(getattr(feeding, key))), key
    for key, text in dict(model="swiftnet", channel_order="RGB", size="free", output="logits").items():
        assert about[key] == text
    assert about["checkpoint_sha256"] == mxnetseg.engine.checkpoint.read(path).digest
    assert json.loads(about["versions"])["mxnetseg"] == mxnetseg.__version__


def test_preprocessing_and_a_class_map_inside(small, tmp_path):
    net, _ = small
    path = to_onnx(net, tmp_path / "a" / "net.onnx", output="class_map", with_preprocessing=True, size=(70, 90)).path
    picture = pictures(2, (70, 90))
    found, wanted = run(path, picture), logits_of(net, picture)[1].argmax(axis=1)
    assert found.dtype == np.uint8 and found.shape == wanted.shape
    assert (found == wanted).mean() > 0.999


def test_probabilities_of_one_size(small, tmp_path):
    net, _ = small
    report = to_onnx(net, tmp_path / "net.onnx", output="probabilities", size=(48, 80), batch=1)
    assert (report.free_size, report.free_batch, report.checked) == (False, False, [(1, 48, 80)])
    image, wanted = logits_of(net, pictures(1, (48, 80)))
    np.testing.assert_allclose(run(report.path, image), mx.nd.softmax(mx.nd.array(wanted), axis=1).asnumpy(), atol=1e-5)
    assert not [node for node in onnx.load(report.path).graph.node if node.op_type == "Shape"]
    with pytest.raises(Exception, match="Got invalid dimensions"):
        run(report.path, np.zeros((1, 3, 48, 81), np.float32))


def test_int8_of_a_small_block(tmp_path):
    net = nn.HybridSequential()
    net.add(nn.Conv2D(8, 3, padding=1, in_channels=3, activation="relu"), nn.Conv2D(2, 1, in_channels=8))
    net.initialize(mx.init.Xavier())
    images = list(pictures(2, (64, 64)))
    report = to_onnx(net, tmp_path / "net.onnx", dtype="int8", calibration=images, with_preprocessing=True)
    assert report.dtype == "int8" and report.checked == [(1, 64, 64)]
    assert report.same > 0.9 and 1e-4 < report.difference < 0.05
    graph = onnx.load(report.path).graph
    sizes = {array.name: array.dims for array in graph.initializer}
    by_channel = [
        node for node in graph.node if node.op_type == "DequantizeLinear" and list(sizes[node.input[1]]) == [8]
    ]
    assert by_channel  # a scale for each of the first convolution's channels


@pytest.mark.slow
def test_int8_is_smaller_and_near(small, tmp_path):
    net, _ = small
    images = list(pictures(2, (96, 128)))
    plain = to_onnx(net, tmp_path / "net.onnx")
    report = to_onnx(net, tmp_path / "int8.onnx", dtype="int8", calibration=images)
    assert report.bytes < plain.bytes / 2.5 and report.checked == [(1, 96, 128)]
    assert 0.85 < report.same < 1 and 1e-3 < report.difference < 0.3
    scales = [node for node in onnx.load(report.path).graph.node if node.op_type == "DequantizeLinear"]
    assert len(scales) > 50
    network = OnnxNetwork(report.path)
    x = mx.nd.array(normalize(np.stack(images), *(getattr(net.record.feeding, key) for key in ("mean", "std"))))
    assert mxnetseg.deploy.agreement(net, network, [x]) == pytest.approx(report.same)
    np.testing.assert_array_equal(network.class_map(x).asnumpy(), network(x).asnumpy().argmax(axis=1))
    assert network.record.feeding.classes == net.record.feeding.classes


def test_a_block_of_ones_own(tmp_path):
    net = nn.HybridSequential()
    net.add(nn.Conv2D(4, 3, padding=1, in_channels=3), nn.BatchNorm(in_channels=4), nn.PReLU())
    net.add(nn.Conv2D(2, 1, in_channels=4))
    net.initialize()
    path = to_onnx(net, tmp_path / "net.onnx").path
    image = np.random.RandomState(0).normal(size=(1, 3, 9, 11)).astype("float32")
    np.testing.assert_allclose(run(path, image), net(mx.nd.array(image)).asnumpy(), atol=1e-5)


class HalvedAndDoubled(HybridBlock):
    """Goes down twice and up twice, and adds what it was on the way."""

    def __init__(self):
        super().__init__()
        self.down, self.deeper = (nn.Conv2D(4, 3, strides=2, padding=1, in_channels=n) for n in (3, 4))
        self.up = nn.Conv2DTranspose(4, 4, strides=2, padding=1, in_channels=4)

    def hybrid_forward(self, F, x):
        half = F.relu(self.down(x))
        return F.UpSampling(self.up(self.deeper(half)) + half, scale=2, sample_type="nearest")


@pytest.mark.parametrize("write", ["onnx", "mxnet"])
def test_a_network_that_takes_multiples_of_four(write, tmp_path):
    net = HalvedAndDoubled()
    net.initialize(mx.init.Xavier())
    if write == "mxnet":
        report = mxnetseg.export.to_mxnet(net, tmp_path / "net")
        about = json.loads((tmp_path / "net-about.json").read_text())
    else:
        report = to_onnx(net, tmp_path / "net.onnx")
        about = {prop.key: prop.value for prop in onnx.load(report.path).metadata_props}
        for size in ((8, 4), (60, 44)):
            image = np.random.RandomState(0).normal(size=(2, 3, *size)).astype("float32")
            np.testing.assert_allclose(run(report.path, image), net(mx.nd.array(image)).asnumpy(), atol=1e-5)
    assert report.multiple == 4 and all(side % 4 == 0 for _, *sides in report.checked for side in sides)
    assert about["size"] == "free, in multiples of 4"


class Wrong(HybridBlock):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def hybrid_forward(self, F, x):
        return self.function(F, x)


def test_a_wrong_rule_leaves_no_file_and_is_named(small, tmp_path, monkeypatch):
    def other(step):
        how = dict(mode="linear", coordinate_transformation_mode="half_pixel")
        return step.emit("Resize", step.inputs[0], "", "", step.sizes(step.result), **how)

    resize = "_contrib_BilinearResize2D"
    monkeypatch.setitem(OPERATORS, resize, OPERATORS[resize]._replace(onnx=other))
    with pytest.raises(MXNetSegError, match="first operator that differs is swiftnet.*_contrib_BilinearResize2D"):
        to_onnx(small[0], tmp_path / "net.onnx", size=(64, 64), batch=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(output="classes"), "output='classes': must be one of logits, class_map, probabilities"),
        (dict(dtype="float16"), "dtype='float16': must be one of float32, int8"),
        (dict(dtype="int8"), "int8 needs calibration images: "),
        (dict(dtype="int8", calibration=[]), "int8 needs calibration images, and there are none"),
        (dict(dtype="int8", calibration=[np.zeros((1, 3, 8, 8), np.float32)], batch=2), "does not fit the file"),
        (dict(size=(0, 3)), "size=.*height and width"),
        (dict(size=64), "size=64: must be the height and width"),
        (dict(batch=True), "batch=True: must be the number"),
        (dict(calibration=[np.zeros((8, 8, 3), np.uint8)]), "only int8 looks at calibration images"),
        (dict(dtype="int8", calibration=[np.zeros((8, 8, 4), np.uint8)]), "a calibration image is an RGB image"),
        (dict(batch=0), "batch=0: must be the number"),
    ],
)
def test_a_wrong_argument_is_an_error(small, tmp_path, options, message):
    with pytest.raises(MXNetSegError, match=message):
        to_onnx(small[0], tmp_path / "net.onnx", **options)
    assert not list(tmp_path.iterdir())


def test_a_file_that_can_not_be_run_is_an_error(tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"onnx")
    for path in (broken, tmp_path / "missing.onnx"):
        with pytest.raises(MXNetSegError, match=f"{path.name} can't be run .*export it again"):
            OnnxNetwork(path)


def edited(path, **texts):
    """A copy whose metadata are these; None: left out."""
    model = onnx.load(path)
    about = {prop.key: prop.value for prop in model.metadata_props}
    onnx.helper.set_model_props(model, {key: text for key, text in {**about, **texts}.items() if text is not None})
    onnx.save(model, path.with_name("edited.onnx"))
    return path.with_name("edited.onnx")


def test_a_file_as_a_network_says_what_is_wrong_with_the_images(small, tmp_path):
    path = to_onnx(small[0], tmp_path / "net.onnx", size=(64, 96), batch=1).path
    network = OnnxNetwork(path)
    x = mx.nd.random.normal(shape=(1, 3, 64, 96))
    for dtype in ("float64", "float16"):
        near = network(x.astype(dtype).astype("float32")).asnumpy()
        np.testing.assert_array_equal(network(x.astype(dtype)).asnumpy(), near)
    np.testing.assert_array_equal(network.class_map(x.astype("float64")).asnumpy(), network.class_map(x).asnumpy())
    for shape in ((1, 3, 64, 64), (2, 3, 64, 96)):
        for function in (network, network.class_map):
            with pytest.raises(MXNetSegError) as caught:
                function(mx.nd.zeros(shape))
            for words in (f"{path} takes images of shape (1, 3, 64, 96) alone; got {shape}", "without --size"):
                assert words in str(caught.value)
    with pytest.raises(MXNetSegError, match=r"net.onnx takes .*\(1, 3, 64, 96\) alone; got \(1, 3, 40, 50\)"):
        mxnetseg.Predictor(network)(np.zeros((40, 50, 3), np.uint8))
    with pytest.raises(MXNetSegError, match="net.onnx: the network takes a batch of RGB images"):
        network(mx.nd.zeros((1, 4, 64, 96)))
    path = to_onnx(small[0], tmp_path / "free.onnx", batch=2).path
    with pytest.raises(MXNetSegError, match=r"shape \(2, 3, height, width\) alone; got \(1, 3, 64, 96\)"):
        OnnxNetwork(path)(x)


def test_a_class_map_of_more_classes_than_a_byte_tells_apart(tmp_path):
    net = nn.Conv2D(257, 1, in_channels=3)
    net.initialize(mx.init.Xavier())
    network = OnnxNetwork(to_onnx(net, tmp_path / "net.onnx").path)
    with pytest.raises(MXNetSegError, match="net.onnx: 257 classes don't fit a uint8 class map"):
        network.class_map(mx.nd.zeros((1, 3, 8, 8)))


def test_a_file_as_a_network_at_a_size_that_it_can_not_take(tmp_path, capfd):
    net = HalvedAndDoubled()
    net.initialize(mx.init.Xavier())
    network = OnnxNetwork(to_onnx(net, tmp_path / "net.onnx").path)
    assert network(mx.nd.zeros((1, 3, 4, 8))).shape == (1, 4, 4, 8)
    for size in ((6, 8), (5, 5)):
        with pytest.raises(MXNetSegError) as caught:
            network(mx.nd.zeros((1, 3, *size)))
        said = f"{network.path} can't be run on images of shape {(1, 3, *size)}: pad, crop or resize them; height and"
        assert f"{said} width are free, in multiples of 4 (" in str(caught.value)
    assert "Status Message" not in capfd.readouterr().err  # ONNX Runtime doesn't say it once more
    net = nn.HybridSequential()
    net.add(nn.Conv2D(4, 3, strides=2, padding=1, in_channels=3), nn.Conv2DTranspose(2, 4, 2, padding=1, in_channels=4))
    net.initialize()
    network = OnnxNetwork(to_onnx(net, tmp_path / "other.onnx").path)
    with pytest.raises(MXNetSegError, match=r"width are free, in multiples of 2 \(the logits are \(1, 2, 10, 8\)\)"):
        network(mx.nd.zeros((1, 3, 9, 8)))


def test_a_file_that_is_no_network_of_normalized_images(small, tmp_path):
    path = to_onnx(small[0], tmp_path / "net.onnx", size=(32, 32), batch=1).path
    logits, free = r"output='logits' \(without --argmax", r"with_preprocessing=False \(without --with-preprocessing"
    for texts, message in (
        (dict(output="class_map"), f"gives no logits, so .*; export it again with {logits}"),
        (dict(normalized_inside="true"), f"does the preprocessing itself, so .*; export it again with {free}"),
        (dict(output="class_map", normalized_inside="true"), f"gives no logits and does .*{logits}.* and {free}"),
        (dict(output=None), "doesn't say what it takes and gives; name a file that `.*mxnetseg export --to onnx`"),
        (dict(mean="[1, 2"), r"metadata are damaged at mean \(.*; export it again"),
        (dict(mean="[1, 2]"), r"metadata are damaged at mean \(.*there are 3 channels\); export it again"),
        (dict(classes="[" * 100000), r"metadata are damaged at classes \(.*; export it again"),
        (dict(palette="[[0, 0, 256]]"), r"metadata are damaged at palette.0.2 \(.*; export it again"),
    ):
        with pytest.raises(MXNetSegError, match=f"edited.onnx:? .*{message}"):
            OnnxNetwork(edited(path, **texts))
    with_preprocessing = to_onnx(small[0], tmp_path / "b.onnx", size=(32, 32), batch=1, with_preprocessing=True).path
    with pytest.raises(MXNetSegError, match=f"b.onnx does the preprocessing itself, .*{free}"):
        OnnxNetwork(with_preprocessing)


@pytest.mark.parametrize(
    "function, message",
    [
        (lambda F, x: F.smooth_l1(x), "operator smooth_l1 can't be written"),
        (lambda F, x: F.erfinv(F.broadcast_add(x, F.ones((1, 1, 8, 8)))), "erfinv has no form in ONNX"),  # of no size
        (lambda F, x: F.broadcast_add(x, F.ones((1, 1, 8, 8))), "If it takes one size alone, say which: size="),
        (lambda F, x: (x, F.relu(x)), "gives a list of 2 outputs"),
        (lambda F, x: F.Pooling(x, kernel=(2, 2), stride=(2, 2)), "no .N, num_classes, H, W. of the image's own"),
    ],
)
def test_a_network_that_can_not_be_written_is_an_error(tmp_path, function, message):
    with pytest.raises(MXNetSegError, match=message):
        to_onnx(Wrong(function), tmp_path / "net.onnx")


def test_what_is_there_stays_unless_told_otherwise(small, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"mine")
    with pytest.raises(MXNetSegError, match="is there already.*overwrite=True"):
        to_onnx(small[0], path)
    assert path.read_bytes() == b"mine"
    to_onnx(small[0], path, size=(64, 64), batch=1, overwrite=True)
    assert onnx.load(path).graph.node


def test_an_optimized_network_a_missing_package_and_a_large_file_are_errors(small, tmp_path, monkeypatch):
    net, _ = small
    with pytest.raises(MXNetSegError, match="can't be traced; export the network, or the checkpoint, that it was"):
        to_onnx(DeployedNetwork(mx.sym.relu(mx.sym.var("data")), {}, "float32", net), tmp_path / "net.onnx")
    with monkeypatch.context() as patch:
        patch.setattr(onnx_model, "MOST_BYTES", 1000)
        with pytest.raises(MXNetSegError, match="can't hold more than 2 GB; take a smaller backbone"):
            to_onnx(net, tmp_path / "net.onnx")
    monkeypatch.setattr("mxnetseg.optional.installed", lambda module: module != "onnxruntime")
    with pytest.raises(MXNetSegError, match="needs onnxruntime.*pip install onnx onnxruntime"):
        to_onnx(net, tmp_path / "other.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("name", list_models())
def test_every_model_at_any_size(name, tmp_path):
    net = build.__wrapped__(name)
    path = to_onnx(net, tmp_path / "net.onnx").path
    for batch, *size in ((2, 65, 97), (1, 64, 160), (1, 131, 70)):
        image = normalize(pictures(batch, size), (123.0, 116.0, 103.0), (58.0, 57.0, 57.0))
        wanted = net(mx.nd.array(image)).asnumpy()
        np.testing.assert_allclose(run(path, image), wanted, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.slow
def test_attention_over_displaced_samples_on_a_map_of_one_pixel(tmp_path):
    net = create_model("fcn", backbone="dgmn2_tiny", num_classes=5)
    net.initialize(mx.init.Xavier())
    path = to_onnx(net, tmp_path / "net.onnx").path
    for size in ((32, 32), (33, 31), (32, 200)):
        image = normalize(pictures(1, size), (123.0, 116.0, 103.0), (58.0, 57.0, 57.0))
        wanted = net(mx.nd.array(image)).asnumpy()
        np.testing.assert_allclose(run(path, image), wanted, atol=1e-4 * np.abs(wanted).max())
