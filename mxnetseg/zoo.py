"""The zoo as a whole: which models and backbones there are, and networks by name."""

import inspect
from typing import Any, Callable, Dict, List, Optional

import mxnet as mx

from .backbones import Backbone
from .config import ModelConfig, load_recipe
from .config.schema import MOST_CHANNELS
from .data import num_classes_of
from .errors import MXNetSegError
from .graph import Graph, wrong_reshape
from .models import Segmentor
from .names import lookup
from .nn import image_scope
from .nn.norm import NORMS, norm_scope
from .plugins import PluginError
from .registry import BACKBONES, MODELS, check_options

__all__ = ["create_model", "list_backbones", "list_models", "recipe_arguments"]

FAILS = "its forward pass fails"


def list_models() -> List[str]:
    """Names that `create_model` takes, those of installed plugins among them."""
    return MODELS.names()


def list_backbones() -> List[str]:
    """Names that `create_model(backbone=...)` takes, those of installed plugins among them."""
    return BACKBONES.names()


def create_model(
    name: Optional[str] = None,
    backbone: Optional[str] = None,
    num_classes: Optional[int] = None,
    aux: Optional[bool] = None,
    output_stride: Optional[int] = None,
    norm: Optional[str] = None,
    in_channels: Optional[int] = None,
    config: Optional[str] = None,
    backbone_options: Optional[Dict[str, Any]] = None,
    reparameterized: bool = False,
    **options: Any,
) -> Segmentor:
    """Build a segmentation network.

    Parameters
    ----------
    name : str
        One of `list_models()`; case, '-' and '_' do not matter.
    backbone : str
        One of `list_backbones()`; the model's usual one when left out.
    num_classes : int
        When left out, what the recipe's data set says, or 150 (ADE20K) where the backbone's published
        models are for that, else 19 (Cityscapes).
    aux : bool
        Build the auxiliary heads; the model's usual choice when left out.
    output_stride : int
        8, 16 or 32: input size over size of the last feature map; the model's usual one, where the backbone
        has it, when left out.
    norm : str
        "bn" (when left out), "syncbn" or "gn".
    in_channels : int
        Channels of the images: what the recipe's data says, or 3 (RGB), when left out.
    config : str
        A recipe (YAML file) to take the above from; arguments given as well win.
    backbone_options : dict
        Further keyword arguments of the backbone, e.g. `{"drop_path_rate": 0.1}`.
    reparameterized : bool
        Build what `net.reparameterize()` makes of the network.
    **options
        Further keyword arguments of the model's builder.

    Returns
    -------
    Segmentor
        Not initialized; all shapes known. `net.spec` holds the arguments that build it again.

    Raises
    ------
    MXNetSegError
        A name is unknown (near ones are listed) or an argument can't be used with this model.
    """
    if config is not None:
        given = {
            "name": name,
            "backbone": backbone,
            "num_classes": num_classes,
            "aux": aux,
            "output_stride": output_stride,
            "norm": norm,
            "in_channels": in_channels,
            "backbone_options": backbone_options,
            "reparameterized": reparameterized or None,
        }
        return _from_recipe(config, {k: v for k, v in given.items() if v is not None}, options)
    if name is None:
        raise MXNetSegError("create_model needs a model name or config=FILE; mxnetseg.list_models() has the names")
    entry = MODELS.find(name)
    backbone_entry = BACKBONES.find(backbone or entry.backbone)
    if entry.backbones and backbone_entry.name not in entry.backbones:
        possible = " or ".join(entry.backbones)
        raise MXNetSegError(f"{entry.name} can't be built on {backbone_entry.name}; its backbone is {possible}")
    num_classes = backbone_entry.num_classes if num_classes is None else num_classes
    aux = entry.aux if aux is None else bool(aux)
    if not isinstance(num_classes, int) or not 1 <= num_classes <= 255:
        raise MXNetSegError(f"num_classes={num_classes!r}: must be an integer from 1 to 255 (class maps are uint8)")
    in_channels = 3 if in_channels is None else in_channels
    if not isinstance(in_channels, int) or not 1 <= in_channels <= MOST_CHANNELS:
        raise MXNetSegError(f"in_channels={in_channels!r}: must be an integer from 1 to {MOST_CHANNELS}")
    strides = backbone_entry.output_strides
    if output_stride is None:
        output_stride = entry.output_stride if entry.output_stride in strides else strides[-1]
    if output_stride not in strides:
        possible = f"take one of {', '.join(map(str, strides))}" if strides[1:] else f"it is always {strides[0]}"
        raise MXNetSegError(f"output stride {output_stride} is not possible with {backbone_entry.name}; {possible}")
    backbone_options = dict(backbone_options or {})
    check_options(f"backbone {backbone_entry.name}", backbone_options, backbone_entry.options)
    own = list(inspect.signature(create_model).parameters)[:-1]
    check_options(f"model {entry.name}", options, entry.options, beside=own)
    norm_name = next(n for n in NORMS if NORMS[n] is lookup("norm", norm or "bn", NORMS))
    with norm_scope(norm_name), image_scope(in_channels):
        with BACKBONES.blamed(backbone_entry.name, f"can't be built with the options {backbone_options}"):
            features = backbone_entry.build(*([output_stride] if strides[1:] else []), **backbone_options)
        _check_kind("backbone", backbone_entry.name, features, Backbone)
        with MODELS.blamed(entry.name, f"can't be built on {backbone_entry.name} with the options {options}"):
            net: Segmentor = entry.build(features, num_classes, aux, **options)
        _check_kind("model", entry.name, net, Segmentor)
    net.spec = {
        "name": entry.name,
        "backbone": backbone_entry.name,
        "num_classes": num_classes,
        "aux": aux,
        "output_stride": output_stride,
        "norm": norm_name,
        **({"in_channels": in_channels} if in_channels != 3 else {}),
        **({"backbone_options": backbone_options} if backbone_options else {}),
        **options,
    }
    if reparameterized:
        net.reparameterize()
    theirs = MODELS.origin(entry.name) or BACKBONES.origin(backbone_entry.name)
    with MODELS.blamed(entry.name, FAILS), BACKBONES.blamed(backbone_entry.name, FAILS):
        net.complete_shapes()
        if theirs:
            _check_reshapes(net)
    if theirs:
        for method in ("forward", "coarse_logits", "class_map", "head_logits"):
            setattr(net, method, _told(getattr(net, method), entry.name, backbone_entry.name))
    return net


def _check_reshapes(net: Segmentor) -> None:
    """Raise MXNetSegError where a reshape is of a wrong size: MXNet would go on, and write beyond the array."""
    outputs = net._graphs.heads(mx.sym.var("data"))
    heads = mx.sym.Group(list(outputs)) if isinstance(outputs, (list, tuple)) else outputs
    wrong = wrong_reshape(Graph(heads), {"data": (1, 3, 64, 64)})
    if wrong:
        raise MXNetSegError(f"for images (1, 3, 64, 64) {wrong}")


def _told(call: Callable[[Any], Any], model: str, backbone: str) -> Callable[[Any], Any]:
    """A call of a plugin's network that tells what it raises in one line: it may fail at some sizes only."""

    def told(x: Any) -> Any:
        what = f"{FAILS} for images {x.shape}" if hasattr(x, "shape") else FAILS
        with MODELS.blamed(model, what), BACKBONES.blamed(backbone, what):
            return call(x)

    return told


def _check_kind(kind: str, name: str, built: Any, wanted: type) -> None:
    if not isinstance(built, wanted):
        raise PluginError(f"the builder of {kind} {name} gave a {type(built).__name__}, not a {wanted.__name__}")


def recipe_arguments(model: ModelConfig) -> Dict[str, Any]:
    """The model part of a recipe as arguments of `create_model`."""
    return {
        "name": model.name,
        "backbone": model.backbone,
        "num_classes": model.num_classes,
        "aux": model.aux,
        "output_stride": model.output_stride,
        "norm": model.norm,
        "in_channels": model.in_channels,
        "backbone_options": model.backbone_options,
        **model.options,
    }


def _from_recipe(path: str, given: Dict[str, Any], options: Dict[str, Any]) -> Segmentor:
    recipe = load_recipe(path)
    arguments = {**recipe_arguments(recipe.model), **given, **options}
    if arguments["num_classes"] is None:
        arguments["num_classes"] = num_classes_of(recipe.data)
    if arguments["in_channels"] is None:
        arguments["in_channels"] = recipe.data.num_channels
    return create_model(**arguments)
