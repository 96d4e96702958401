"""Whole files: another toolkit's checkpoint -> one of ours."""

import logging
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Union

import numpy as np

from . import pretrained
from .config import DataConfig, Recipe, load_recipe
from .convert.state import PTH
from .data import get_spec
from .engine import checkpoint
from .engine.checkpoint import Checkpoint
from .engine.record import Feeding, NetworkSpec, Record, plugin_facts
from .errors import MXNetSegError
from .foreign import read_pth
from .models import Segmentor
from .names import same
from .network import Network
from .opening import open_network
from .registry import BACKBONES
from .saving import check_free
from .versions import versions
from .zoo import create_model, recipe_arguments

__all__ = ["convert_checkpoint", "import_weights"]

log = logging.getLogger(__name__)


def convert_checkpoint(
    config: Optional[Union[str, Recipe]],
    source: str,
    target: Optional[str] = None,
    *,
    ema: bool = False,
    overwrite: bool = False,
    model: Optional[str] = None,
    backbone: Optional[str] = None,
    num_classes: Optional[int] = None,
    output_stride: Optional[int] = None,
    data: Optional[str] = None,
) -> Path:
    """Convert a checkpoint of MogaNet, FFNet or DGMN2 (.pth), of MXNetSeg 2022 or of GluonCV (.params).

    A whole segmentation network becomes a file with a record, which `mxnetseg.load` and eval.py take. An
    ImageNet backbone becomes a file of the backbone's weights, for `model.init` of a recipe; its classifier
    is left out.

    Parameters
    ----------
    config : str or Recipe, optional
        The network's recipe; else `model`, `backbone`, `num_classes` and `output_stride` say what it is.
    source, target : str
        `target` is weights/<model>/<source's name>.params when left out.
    ema : bool
        Take the moving averages of the weights from a .pth that has them.
    data : str, optional
        Data set that gives names and colours to the classes; the recipe's when left out.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    MXNetSegError
        The file is damaged, refers to code, or does not fit the network; the target exists.
    """
    recipe = load_recipe(config) if isinstance(config, (str, Path)) else config
    if recipe is None and not model:
        raise MXNetSegError("name the network: --config FILE, or --model and --backbone")
    is_pth = Path(source).suffix.lower() in PTH
    if ema and not is_pth:
        raise MXNetSegError(f"--ema: {source} is no .pth; only those may hold moving averages")
    found = Checkpoint(Path(source), read_pth(source, ema=ema), Record(), "") if is_pth else checkpoint.read(source)
    arguments: Dict[str, Any] = {}
    if recipe is not None:
        arguments = recipe_arguments(recipe.model)
        arguments["num_classes"] = arguments["num_classes"] or get_spec(recipe.data).num_classes
        arguments["in_channels"] = arguments["in_channels"] or recipe.data.num_channels
    asked = {"name": model, "backbone": backbone, "output_stride": output_stride, "num_classes": num_classes}
    arguments.update({key: value for key, value in asked.items() if value is not None})
    alone = is_pth and not any(name.startswith(("backbone.", "decode_head.")) for name in found.arrays)
    net = create_model(**arguments) if alone else open_network(found, arguments=arguments)
    path = Path(target) if target else Path("weights") / net.spec["name"] / f"{_stem(source)}.params"
    _check_target(path)
    check_free([path], overwrite)
    record = Record(kind="converted", source=Path(source).name, ema=ema, versions=versions())
    if alone:
        backbone = str(net.spec["backbone"])
        arrays = _of_backbone(pretrained.fit(found.arrays, backbone, str(source)))
        known = pretrained.published(backbone, Path(source))
        fed = {"feeding": Feeding(mean=known.mean, std=known.std)} if known else {}
        record = record.model_copy(update={"backbone": backbone, **fed})
        log.info("%s holds a backbone alone: set model.init=%s in a recipe to start from it", source, path)
    else:
        assert isinstance(net, Segmentor)  # without a dtype nothing is optimized
        arrays = checkpoint.weights(net)
        about = {"model": NetworkSpec(**net.spec), "plugins": plugin_facts(net.spec), **_facts(net, recipe, data)}
        record = record.model_copy(update=about)
    _check_finite(arrays, source)
    checkpoint.write(path, arrays, record)
    return path


def _check_target(path: Path) -> None:
    if path.suffix.lower() in (*PTH, ".safetensors"):
        raise MXNetSegError(f"--to {path}: a file of that name would be read as another toolkit's; call it .params")


def _check_finite(arrays: Mapping[str, Any], source: Union[str, Path]) -> None:
    spoilt = checkpoint.not_finite(arrays)
    if spoilt:
        raise MXNetSegError(f"{source} holds NaN or infinity in {spoilt[0]}; take another file")


def _facts(net: Network, recipe: Optional[Recipe], data: Optional[str]) -> Dict[str, Any]:
    """How the network is fed, where that is known."""
    recipe = recipe or Recipe.model_validate({"data": {"name": data}} if data else {})
    if not data and recipe.data.name == "folder" and not recipe.data.classes:
        return {}
    spec = get_spec(recipe.data if not data or same(data, recipe.data.name) else DataConfig(name=data))
    if spec.num_classes != net.spec["num_classes"]:
        raise MXNetSegError(
            f"data set {spec.name} has {spec.num_classes} classes, the checkpoint {net.spec['num_classes']}"
        )
    return {"feeding": Feeding.of(recipe.data, spec), "recipe": recipe}


def _stem(source: str) -> str:
    name = Path(source).name
    while Path(name).suffix.lower() in (*PTH, ".params"):
        name = Path(name).stem
    return name


def import_weights(
    backbone: str,
    source: Union[str, Path],
    name: Optional[str] = None,
    target: Optional[Union[str, Path]] = None,
    *,
    ema: bool = False,
    overwrite: bool = False,
) -> Path:
    """Make a file of ImageNet weights one of ours, which `model.init: imagenet` finds.

    Parameters
    ----------
    backbone : str
        One of `list_backbones()`.
    source : str or Path
        A file of timm, torchvision or the network's authors: .safetensors, .pth or .pth.tar.
    name : str, optional
        What it is, a name of `mxnetseg weights show BACKBONE`, or "other" for weights of your own. Needed where the
        file's digest doesn't tell.
    target : str or Path, optional
        Another file than `pretrained.imported_file(backbone)`; a recipe names it as `model.init`.
    ema : bool
        Take the moving averages of the weights from a file that has them.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    MXNetSegError
        The file is damaged, does not fit, is not what it is said to be, or nobody said what it is; the target exists.
    """
    backbone = BACKBONES.find(backbone).name
    path = Path(target) if target else pretrained.imported_file(backbone)
    _check_target(path)
    arrays = pretrained.read_classifier(Path(source), ema=ema)
    weights = pretrained.identify(backbone, Path(source), name)
    check_free([path], overwrite, "--to FILE names another, --overwrite replaces it")
    found = pretrained.fit(arrays, backbone, str(source))
    _check_finite(found, source)
    title, digest = weights.name if weights else "other weights", pretrained.digest_of(Path(source))
    record = Record(
        kind="converted",
        backbone=backbone,
        ema=ema,
        source=f"{title} ({Path(source).name}, SHA-256 {digest})",
        feeding=Feeding(mean=weights.mean, std=weights.std) if weights else Feeding(),
        versions=versions(),
    )
    checkpoint.write(path, _of_backbone(found), record)
    return path


def _of_backbone(arrays: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    return {f"backbone.{key}": array for key, array in arrays.items()}
