"""ImageNet classifiers as the authors of MogaNet, FFNet and DGMN2 publish them: in, and into a network."""

import re

import numpy as np
import pytest

from mxnetseg import create_model, pretrained
from mxnetseg.cli import main
from mxnetseg.convert import load_state
from mxnetseg.engine import checkpoint
from mxnetseg.engine.imagenet import load_imagenet
from mxnetseg.pretrained import CATALOG

from ..convert.writer import write_pth
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
    expected = create_model(model, backbone=backbone)
    expected.initialize()
    load_state(expected, families.state_of(families.read(golden)[0]), "mmseg")
    file, known = str(tmp_path / "model.pth.tar"), pretrained.weights_for(backbone)[0]
    write_pth(file, classifier(golden), "state_dict")

    assert main(["weights", "import", backbone, file]) == 2
    assert f"say --as NAME ({known.name}" in capsys.readouterr().err
    assert main(["weights", "import", backbone, file, "--as", known.name]) == 0
    net = create_model(model, backbone=backbone)
    net.initialize()
    assert load_imagenet(net).feeding.mean == known.mean
    converted = str(tmp_path / "converted.params")
    assert main(["convert", "--model", model, "--backbone", backbone, "--from", file, "--to", converted]) == 0
    arrays = checkpoint.read(converted).weights
    theirs = expected.backbone._collect_params_with_prefix()
    for name, parameter in net.backbone._collect_params_with_prefix().items():
        value = parameter.data().asnumpy()
        if golden == "ffnet_upernet_2" and name.startswith("norms."):
            assert (value == name.endswith("gamma")).all()
        else:
            np.testing.assert_array_equal(value, theirs[name].data().asnumpy())
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
