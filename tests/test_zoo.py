"""Networks by name: a user's mistakes are told from a builder's own, and before it runs."""

from functools import partial
from unittest.mock import patch

import pytest

from mxnetseg import PluginError, create_model
from mxnetseg.backbones import Backbone
from mxnetseg.errors import MXNetSegError
from mxnetseg.heads import FCNHead
from mxnetseg.models import Branch, Segmentor
from mxnetseg.registry import BACKBONES, MODELS, register_backbone, register_model

FACTS = dict(backbone="mobilenet_v2_0_25", output_stride=32, paper="")


@pytest.fixture(autouse=True)
def tables():
    """What a test registers is gone after it."""
    with patch.dict(BACKBONES), patch.dict(MODELS):
        yield


@pytest.mark.parametrize(
    "kwargs, message",
    [
        (dict(name="fcn", widht=8), "model fcn has no option 'widht'; did you mean width?"),
        (dict(name="fcn", num_class=8), "model fcn has no option 'num_class'; did you mean num_classes?"),
        (dict(name="fcn", zzz=8), "model fcn has no option 'zzz'; it takes width"),
        (dict(name="eprnet", zzz=8), "model eprnet has no option 'zzz'; it takes none"),
        (dict(name="ffnet", kernels=3), "model ffnet has no option 'kernels'; did you mean kernel?"),
    ],
)
def test_an_option_that_the_model_lacks(kwargs, message):
    with pytest.raises(MXNetSegError) as info:
        create_model(**kwargs)
    assert str(info.value) == message


@pytest.mark.parametrize(
    "backbone, option, message",
    [
        ("moganet_xtiny", "drop", "did you mean drop_path_rate?"),
        ("moganet_xtiny", "channels", "it takes drop_path_rate, init_value"),
        ("dgmn2_tiny", "output_stride", "it takes drop_path_rate"),
        ("ffnet_2", "init_values", "did you mean init_value?"),
        ("vit_base_16", "head", "did you mean heads"),
        ("resnet18", "width", "it takes none"),
    ],
)
def test_an_option_that_the_backbone_lacks(backbone, option, message):
    with pytest.raises(MXNetSegError) as info:
        create_model("fcn", backbone, backbone_options={option: 1})
    assert str(info.value).startswith(f"backbone {backbone} has no option {option!r}; {message}")


def test_a_recipe_with_an_option_that_there_isnt(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("model: {name: pspnet, options: {widths: 8}}\ndata: {name: cityscapes}\n")
    with pytest.raises(MXNetSegError, match="model pspnet has no option 'widths'; did you mean width?"):
        create_model(config=str(recipe))


def unfinished(in_channels: int, num_classes: int) -> FCNHead:
    return FCNHead(in_channels)


def misspelt(in_channels: int, num_classes: int) -> FCNHead:
    return FCNHead(in_channels, num_classes, widht=8)


@pytest.mark.parametrize("make_head", [unfinished, misspelt])
@pytest.mark.parametrize("options", [{}, {"width": 8}])
def test_a_fault_inside_a_models_builder_is_told_as_its_own(make_head, options):
    @register_model("faulty", **FACTS)
    def faulty(backbone, num_classes, aux, width=16):
        return Segmentor(backbone, Branch(make_head(backbone.channels[3], num_classes)))

    with pytest.raises(
        PluginError, match=r"model faulty of .*: can't be built .*: TypeError: .*argument.*test_zoo"
    ) as info:
        create_model("faulty", **options)
    assert isinstance(info.value.__cause__, TypeError)


def test_a_fault_inside_a_backbones_builder_is_told_as_its_own():
    @register_backbone("faulty")
    def faulty(output_stride, width=16):
        return Backbone(chanels=(width,) * 4)

    with pytest.raises(PluginError, match="backbone faulty of .*: can't be built .*: TypeError: .*chanels.*test_zoo"):
        create_model("fcn", "faulty", backbone_options={"width": 8})


@pytest.mark.parametrize(
    "build",
    [
        lambda backbone, num_classes, aux, **options: None,
        lambda backbone, num_classes, aux, *options: None,
        lambda backbone, num_classes, aux, width: None,
        lambda *arguments, width=3: None,
        lambda backbone, num_classes: None,
    ],
)
def test_a_builder_names_every_option_and_has_a_default_for_it(build):
    with pytest.raises(TypeError, match="odd: a builder takes backbone, num_classes, aux, then options, each with"):
        register_model("odd", **FACTS)(build)
    assert "odd" not in MODELS


def test_a_backbones_builder_is_told_the_stride_where_there_is_a_choice():
    def build(output_stride, depth=3):
        return output_stride, depth

    register_backbone("many")(build)
    assert BACKBONES["many"].options == ("depth",)
    register_backbone("one", output_strides=(32,))(partial(build, 32, depth=4))
    assert BACKBONES["one"].options == ("depth",)
    with pytest.raises(TypeError, match=r"odd: a builder takes nothing, then options.* \(output_stride, depth=3\)"):
        register_backbone("odd", output_strides=(32,))(build)
    with pytest.raises(TypeError, match=r"odd: a builder takes output_stride, then"):
        register_backbone("odd")(partial(build, 32))
