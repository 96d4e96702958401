"""Original checkpoints become ours, whole files, through the command."""

import json

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

import mxnetseg
from mxnetseg import create_model
from mxnetseg.cli import main
from mxnetseg.conversion import convert_checkpoint
from mxnetseg.convert import has_auxiliary, load_state
from mxnetseg.engine import checkpoint
from mxnetseg.errors import MXNetSegError
from tests.convert.writer import write_pth
from tests.goldens import deterministic, families

CONFIGS = families.COMPACT.parents[2] / "configs"
RECIPES = {
    "moganet_fpn_xtiny": "moganet/fpn_moganet_xtiny_80k_ade20k",
    "moganet_upernet_xtiny": "moganet/upernet_moganet_xtiny_512x512_160k_ade20k",
    "ffnet_upernet_2": "ffnet/upernet_ffnet_2_512_160k_ade20k",
    "ffnet_seg_ade20k": "ffnet/ffnet_seg_512_160k_ade20k",
    "dgmn2_fpn_tiny": "dgmn2/fpn_dgmn2_tiny_4x2_769x769_40k_cityscapes",
    "dgmn2_setr_naive_tiny": "dgmn2/setr_naive_dgmn2_tiny_4x2_769x769_40k_cityscapes",
    "dgmn2_setr_pup_tiny": "dgmn2/setr_pup_dgmn2_tiny_4x2_769x769_40k_cityscapes",
    "dgmn2_setr_mla_tiny": "dgmn2/setr_mla_dgmn2_tiny_4x2_769x769_40k_cityscapes",
}


QUICK = ("moganet_fpn_xtiny", "dgmn2_setr_mla_tiny")


def recipe(golden):
    return str(CONFIGS / f"{RECIPES[golden]}.yaml")


def state(golden):
    """An original state dict, counters of PyTorch's batch norms included."""
    meta, _ = families.read(golden)
    found = families.state_of(meta)
    found.update({key: np.int64(7) * np.ones((), np.int64) for key, _, kind, _ in meta["state"] if kind == "skip"})
    return found


@pytest.fixture
def pth(tmp_path):
    def write(golden, wrap="state_dict", change=lambda found: found, name="original.pth"):
        write_pth(tmp_path / name, change(state(golden)), wrap)
        return str(tmp_path / name)

    return write


def output(net, golden):
    meta, data = families.read(golden)
    x = nd.array(deterministic.image(meta["input_seed"], meta["input_shape"]))
    return net(x).asnumpy().ravel()[data["full_idx"]], data["full_val"]


@pytest.mark.parametrize(
    "golden", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in RECIPES]
)
def test_published_form_through_the_command(golden, pth, tmp_path, capsys):
    target = tmp_path / "ours.params"
    assert main(["convert", "--config", recipe(golden), "--from", pth(golden), "--to", str(target)]) == 0
    assert str(target) in capsys.readouterr().out
    net = mxnetseg.load(str(target))
    ours, expected = output(net, golden)
    assert np.linalg.norm(ours - expected) <= 1e-5 * np.linalg.norm(expected)
    assert len(net.record.feeding.classes) == net.spec["num_classes"]


@pytest.mark.parametrize(
    "wrap, change",
    [
        (None, lambda found: found),
        ("model", lambda found: found),
        ("state_dict", lambda found: {f"module.{key}": array for key, array in found.items()}),
    ],
    ids=["bare", "model", "DataParallel"],
)
def test_other_wrappings(wrap, change, pth, tmp_path):
    source = pth("dgmn2_setr_naive_tiny", wrap, change)
    path = convert_checkpoint(recipe("dgmn2_setr_naive_tiny"), source, str(tmp_path / "o.params"))
    ours, expected = output(mxnetseg.load(str(path)), "dgmn2_setr_naive_tiny")
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)


def test_moving_averages(pth, tmp_path):
    def both(found):
        averages = {f"ema_{key.replace('.', '_')}": array for key, array in found.items() if array.ndim}
        return {**{key: array * 0 for key, array in found.items()}, **averages}

    source = pth("dgmn2_setr_naive_tiny", "state_dict", both)
    target = tmp_path / "e.params"
    arguments = ["convert", "--config", recipe("dgmn2_setr_naive_tiny"), "--from", source, "--to", str(target)]
    assert main([*arguments, "--ema", "--quiet"]) == 0
    ours, expected = output(mxnetseg.load(str(target)), "dgmn2_setr_naive_tiny")
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)
    assert checkpoint.read(target).record.ema


@pytest.mark.slow
def test_without_auxiliary_head(pth, tmp_path):
    def main_only(found):
        return {key: array for key, array in found.items() if not key.startswith("auxiliary_head")}

    source = pth("moganet_upernet_xtiny", change=main_only)
    path = convert_checkpoint(recipe("moganet_upernet_xtiny"), source, str(tmp_path / "o.params"))
    net = mxnetseg.load(str(path))
    assert net.num_aux == 0
    ours, expected = output(net, "moganet_upernet_xtiny")
    assert np.linalg.norm(ours - expected) <= 1e-5 * np.linalg.norm(expected)


def test_model_named_instead_of_a_recipe(pth, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = pth("dgmn2_setr_pup_tiny", name="setr.pth.tar")
    arguments = ["convert", "--model", "setr_pup", "--backbone", "dgmn2_tiny", "--from", source]
    assert main([*arguments, "--data", "cityscapes"]) == 0
    net = mxnetseg.load("weights/setr_pup/setr.params")
    assert net.record.feeding.classes[0] == "road"
    assert main(arguments) == 2  # it exists
    assert main([*arguments, "--overwrite", "--data", "ade20k"]) == 2  # 150 classes
    assert main([*arguments, "--overwrite"]) == 0


def test_imagenet_backbone_starts_a_training(pth, tmp_path):
    def classifier(found):
        kept = {key[len("backbone.") :]: array for key, array in found.items() if key.startswith("backbone.")}
        return {**kept, "head.weight": np.ones((1000, 192), "float32"), "head.bias": np.ones(1000, "float32")}

    source = pth("moganet_fpn_xtiny", "state_dict", classifier)
    path = convert_checkpoint(recipe("moganet_fpn_xtiny"), source, str(tmp_path / "imagenet.params"))
    net = create_model(config=recipe("moganet_fpn_xtiny"))
    net.initialize()
    matched, total = checkpoint.load_matching(net, checkpoint.read(path))
    ours = net._collect_params_with_prefix()
    assert matched == sum(name.startswith("backbone.") for name in ours) < total
    wanted = state("moganet_fpn_xtiny")["backbone.blocks3.1.attn.gate.weight"]
    np.testing.assert_array_equal(ours["backbone.stages.2.blocks.1.attn.gate.weight"].data().asnumpy(), wanted)
    with pytest.raises(MXNetSegError, match="record"):
        mxnetseg.load(str(path))


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda f: {k: v for k, v in f.items() if "rel_height" not in k},
            r"missing in the file \(under our names\): .*rel_height",
        ),
        (lambda f: {**f, "backbone.extra": np.ones(3, "float32")}, r"not in the network: backbone.extra"),
        (lambda f: {**f, "decode_head.conv_seg.bias": np.ones(4, "float32")}, r"\(4,\) for head.classify.bias"),
    ],
    ids=["missing", "extra", "shape"],
)
def test_every_name_of_both_sides_counts(change, message, pth, tmp_path):
    target = tmp_path / "o.params"
    file = pth("dgmn2_fpn_tiny", change=change)
    with pytest.raises(MXNetSegError, match=message) as caught:
        convert_checkpoint(recipe("dgmn2_fpn_tiny"), file, str(target))
    assert str(caught.value).startswith(f"checkpoint {file} does not fit semantic_fpn")
    assert not target.exists()


def test_mistakes_are_told(pth, tmp_path, capsys):
    source = pth("dgmn2_setr_naive_tiny")
    cases = [
        (["--from", source], "name the network: --config FILE, or --model and --backbone"),
        (["--from", source, "--config", recipe("moganet_fpn_xtiny")], "does not fit semantic_fpn"),
        (["--from", source, "--model", "fcn", "--backbone", "resnet18"], "mmseg checkpoints of fcn on resnet18"),
        (["--from", str(tmp_path / "no.pth"), "--config", recipe("dgmn2_setr_naive_tiny")], "no.pth"),
        (["--from", "old.params", "--ema", "--config", recipe("dgmn2_setr_naive_tiny")], "--ema"),
    ]
    for arguments, message in cases:
        assert main(["convert", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_params_of_the_2022_toolkit(tmp_path):
    meta = np.load(families.COMPACT.parent / "classic" / "fcn_r18_os8_aux.npz")

    names = json.loads(str(meta["meta"]))["params"]
    arrays = {name: nd.array(deterministic.parameter(name, shape)) for name, shape in names}
    nd.save(str(tmp_path / "old.params"), arrays)
    path = convert_checkpoint(
        None, str(tmp_path / "old.params"), str(tmp_path / "new.params"), model="fcn", backbone="resnet18"
    )
    net = mxnetseg.load(str(path))
    assert net.num_aux == 1 and net.spec["num_classes"] == 19
    other = create_model("fcn", backbone="resnet18", aux=True)
    other.initialize()
    load_state(other, arrays)
    x = mx.nd.ones((1, 3, 64, 64))
    np.testing.assert_array_equal(net(x).asnumpy(), other(x).asnumpy())


@pytest.mark.parametrize("aux", [True, False])
def test_params_of_2022_with_and_without_auxiliary_heads(aux, tmp_path):
    """DANet; SETR keeps its auxiliary heads inside the head."""
    meta = json.loads(str(np.load(families.COMPACT.parent / "classic" / "danet_r18_aux.npz")["meta"]))
    names = [(name, shape) for name, shape in meta["params"] if aux or "aux_head" not in name]
    nd.save(str(tmp_path / "old.params"), {name: nd.array(deterministic.parameter(name, s)) for name, s in names})
    source, target = str(tmp_path / "old.params"), str(tmp_path / "new.params")
    path = convert_checkpoint(None, source, target, model="danet", backbone="resnet18")
    assert (mxnetseg.load(str(path)).num_aux > 0) == aux
    assert has_auxiliary(["head.aux_head.0.weight"]) and not has_auxiliary(["head.auxiliary.weight"])
