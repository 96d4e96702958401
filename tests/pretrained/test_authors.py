"""ImageNet classifiers as the authors of MogaNet, FFNet and DGMN2 publish them: in, and into a network."""

import re

import numpy as np
import pytest

from mxnetseg import create_model, pretrained
from mxnetseg.cli import main
from mxnetseg.conversion import import_weights
from mxnetseg.convert.mmseg import translate
from mxnetseg.engine import checkpoint
from mxnetseg.engine.imagenet import check_backbone, load_imagenet
from mxnetseg.errors import MXNetSegError
from mxnetseg.pretrained import CATALOG

from ..convert.writer import tensor, write_pth
from ..goldens import families

LEVEL_NORM = re.compile(r"norm\d\.")
CLASSIFIERS = {  # what a segmentation network's backbone has not
    "moganet_fpn_xtiny": {"head.weight": (1000, 192), "head.bias": (1000,)},
    "dgmn2_fpn_tiny": {"head.weight": (1000, 512), "head.bias": (1000,)},
    "ffnet_seg_ade20k": {"head1.0.c.weight": (1024, 8, 1, 1), "head2.1.weight": (1280,), "head2.3.bias": (1000,)},
    "ffnet_upernet_2": {
        **{f"norm.{leaf}": (704,) for leaf in ("weight", "bias", "running_mean", "running_var")},
        "norm.num_batches_tracked": (),
        "head.weight": (1000, 704),
        "head.bias": (1000,),
    },
}


def classifier(golden):
    """The state that the authors' code for ImageNet has. FFNet-2's ends with one norm, and has none at its levels."""
    state = families.state_of(families.read(golden)[0])
    kept = {key[len("backbone.") :]: array for key, array in state.items() if key.startswith("backbone.")}
    if golden.startswith("ffnet"):
        kept = {key: array for key, array in kept.items() if not LEVEL_NORM.match(key)}
    return {**kept, **{key: np.ones(shape, "float32") for key, shape in CLASSIFIERS[golden].items()}}


@pytest.mark.parametrize("golden", CLASSIFIERS)
def test_the_authors_file_is_imported_and_starts_a_network(golden, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MXNETSEG_WEIGHTS", str(tmp_path / "imported"))
    model, backbone = families.model_of(golden)
    file, known = str(tmp_path / "model.pth.tar"), pretrained.weights_for(backbone)[0]
    write_pth(file, classifier(golden), "state_dict")

    assert main(["weights", "import", backbone, file]) == 2
    assert f"say --as NAME ({known.name}" in capsys.readouterr().err
    assert main(["weights", "import", backbone, file, "--as", known.name]) == 0
    net = create_model(model, backbone=backbone)
    net.collect_params().setattr("grad_req", "null")  # which would be as large again
    net.initialize()
    assert load_imagenet(net).feeding.mean == known.mean
    converted = str(tmp_path / "converted.params")
    assert main(["convert", "--model", model, "--backbone", backbone, "--from", file, "--to", converted]) == 0
    arrays = checkpoint.read(converted).weights
    theirs = families.state_of(families.read(golden)[0])
    names = {ours: name for name, ours in translate(theirs, {"name": model, "backbone": backbone}).items()}
    for name, parameter in net.backbone._collect_params_with_prefix().items():
        value = parameter.data().asnumpy()
        if golden == "ffnet_upernet_2" and name.startswith("norms."):
            assert (value == name.endswith("gamma")).all()
        else:
            np.testing.assert_array_equal(value, theirs[names[f"backbone.{name}"]].reshape(value.shape))
        np.testing.assert_array_equal(value, arrays[f"backbone.{name}"])


def test_all_that_they_publish_is_listed(capsys):
    ours = {one.backbone for one in CATALOG}
    for family in ("moganet", "ffnet", "dgmn2"):
        assert main(["weights", "list", *(name for name in sorted(ours) if name.startswith(family))]) == 0
        out = capsys.readouterr().out
        assert out.count("Apache-2.0") == {"moganet": 8, "ffnet": 7, "dgmn2": 4}[family]
    assert main(["weights", "show", "ffnet_2"]) == 0
    out = capsys.readouterr().out
    assert "https://github.com/ysj9909/FFNet/releases/download/v1.0/ffnet_2_distillation.pth.tar" in out
    assert out.index("top-1: 83.7") < out.index("top-1: 82.9")


def test_norms_of_levels_are_made_up_all_or_none():
    state = {**classifier("ffnet_upernet_2"), "norm0.weight": np.ones(88, "float32")}
    with pytest.raises(MXNetSegError, match=r"missing: norms.0.beta, norms.1.gamma"):
        pretrained.fit(state, "ffnet_2", "file.pth")


def test_which_of_two_files_is_here(tmp_path, monkeypatch, capsys):
    """One's name begins with the other's."""
    monkeypatch.setenv("MXNETSEG_WEIGHTS", str(tmp_path / "imported"))
    write_pth(tmp_path / "model.pth.tar", classifier("ffnet_upernet_2"), "state_dict")
    take = ["weights", "import", "ffnet_2", str(tmp_path / "model.pth.tar"), "--as", "ffnet/ffnet_2_distillation"]
    assert main(take) == 0
    capsys.readouterr()
    assert main(["weights", "list", "ffnet_2"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("ffnet_2")]
    assert [(row[1], row[-1]) for row in rows] == [("ffnet/ffnet_2_distillation", "yes"), ("ffnet/ffnet_2", "no")]


def test_moving_averages_are_taken_where_asked_for_and_told_of_else(tmp_path, monkeypatch, caplog, capsys):
    monkeypatch.setenv("MXNETSEG_WEIGHTS", str(tmp_path / "imported"))
    plain = classifier("moganet_fpn_xtiny")
    averages = {key: tensor(np.asarray(array) * 2) for key, array in plain.items()}
    file = str(tmp_path / "model.pth.tar")
    write_pth(file, plain, lambda state: {"state_dict": state, "state_dict_ema": averages})
    key = "backbone.stages.0.blocks.0.attn.gate.weight"
    for options, factor in (([], 1), (["--ema"], 2)):
        target = str(tmp_path / f"{factor}.params")
        take = ["weights", "import", "moganet_xtiny", file, "--as", "other", "--to", target]
        assert main([*take, *options]) == 0
        found = checkpoint.read(target)
        np.testing.assert_array_equal(found.weights[key], factor * plain["blocks1.0.attn.gate.weight"])
        assert found.record.ema == (factor == 2)
    assert "holds moving averages besides" in capsys.readouterr().err + caplog.text
    assert main(["weights", "show", "moganet_small"]) == 0
    assert "top-1: 83.4, of the moving averages (--ema)" in capsys.readouterr().out


def test_a_converted_classifier_says_nothing_that_nobody_knows(tmp_path, capsys):
    write_pth(tmp_path / "model.pth.tar", classifier("moganet_fpn_xtiny"), "state_dict")
    convert = ["convert", "--model", "semantic_fpn", "--backbone", "moganet_xtiny", "--from"]
    assert main([*convert, str(tmp_path / "model.pth.tar"), "--to", str(tmp_path / "o.params")]) == 0
    assert "feeding" not in checkpoint.read(tmp_path / "o.params").record.model_fields_set

    assert main([*convert, str(tmp_path / "model.pth.tar"), "--to", str(tmp_path / "o.pth")]) == 2
    assert "o.pth: a file of that name would be read as another toolkit's" in capsys.readouterr().err
    spoilt = {key: array * np.float32("nan") for key, array in classifier("moganet_fpn_xtiny").items()}
    write_pth(tmp_path / "nan.pth.tar", spoilt, "state_dict")
    assert main([*convert, str(tmp_path / "nan.pth.tar"), "--to", str(tmp_path / "n.params")]) == 2
    assert "holds NaN or infinity in" in capsys.readouterr().err and not (tmp_path / "n.params").exists()


def test_a_backbones_file_starts_that_backbone_alone(tmp_path):
    write_pth(tmp_path / "model.pth.tar", classifier("moganet_fpn_xtiny"), "state_dict")
    path = import_weights("moganet_xtiny", tmp_path / "model.pth.tar", "other", tmp_path / "o.params")
    for norm, backbone, message in (
        ("bn", "moganet_tiny", "holds the backbone moganet_xtiny, but model.backbone is moganet_tiny"),
        ("gn", "moganet_xtiny", "does not fit moganet_xtiny with norm gn"),
    ):
        net = create_model("fcn", backbone=backbone, norm=norm, num_classes=3)
        with pytest.raises(MXNetSegError, match=message):
            check_backbone(net, checkpoint.read(path))


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_nothing_is_written_of_a_file_that_does_not_fit(change, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MXNETSEG_WEIGHTS", str(tmp_path / "imported"))
    state = classifier("moganet_fpn_xtiny")
    key = "blocks1.0.attn.gate.weight"
    changes = {"missing": {key: None}, "extra": {"odd.weight": np.ones(3)}, "shape": {key: np.ones((3, 3, 1, 1))}}
    state = {name: array for name, array in {**state, **changes[change]}.items() if array is not None}
    write_pth(tmp_path / "model.pth.tar", state, "state_dict")
    take = ["weights", "import", "moganet_xtiny", str(tmp_path / "model.pth.tar"), "--as", "other"]
    assert main(take) == 2
    assert {"missing": "missing: stages.0.blocks.0", "extra": "unknown: odd", "shape": "other shapes: blocks1"}[
        change
    ] in capsys.readouterr().err
    assert not (tmp_path / "imported").exists()
