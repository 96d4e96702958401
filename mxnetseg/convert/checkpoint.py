"""Whole files: another toolkit's checkpoint -> one of ours."""

import logging
import re
from pathlib import Path
from typing import Any, Dict, Optional, Union

import numpy as np
from mxnet import nd

from ..config import Recipe, load_recipe
from ..data import get_spec
from ..engine import checkpoint
from ..errors import MXNetSegError
from ..versions import versions
from ..zoo import create_model, recipe_arguments
from . import gluoncv
from .mmseg import is_backbone
from .pth import read_pth
from .state import has_auxiliary, to_ours

__all__ = ["convert_checkpoint"]

log = logging.getLogger(__name__)

PTH = (".pth", ".pt", ".tar")


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
    state = read_pth(source, ema=ema) if is_pth else checkpoint.read(source)[0]
    dialect = "mmseg" if is_pth else "gluoncv" if gluoncv.recognises(state) else "mxnetseg"
    asked = {"name": model, "backbone": backbone, "output_stride": output_stride}
    if dialect == "gluoncv":
        asked.update(gluoncv.options(state, model or recipe.model.name))
    net = _network(recipe, asked, num_classes, state)
    net.initialize()
    path = Path(target) if target else Path("weights") / net.spec["name"] / f"{_stem(source)}.params"
    if path.exists() and not overwrite:
        raise MXNetSegError(f"{path} exists; name another --to, or say --overwrite")
    bare = is_pth and is_backbone(state)
    arrays = to_ours(net, state, dialect, prefix="backbone." if bare else "")
    arrays = {
        name: array if isinstance(array, nd.NDArray) else nd.array(np.asarray(array, np.float32))
        for name, array in arrays.items()
    }
    record = {"kind": "converted", "source": Path(source).name, "ema": ema, "versions": versions()}
    if bare:
        log.info("%s holds a backbone alone: set model.init=%s in a recipe to start from it", source, path)
        record["backbone"] = net.spec["backbone"]
    else:
        record.update(_facts(net, recipe, data))
    checkpoint.write(path, arrays, record)
    return path


def _network(recipe: Optional[Recipe], asked: Dict[str, Any], num_classes: Optional[int], state):
    arguments = {}
    if recipe is not None:
        arguments = recipe_arguments(recipe.model)
        arguments["num_classes"] = arguments["num_classes"] or get_spec(recipe.data).num_classes
    given = {**asked, "num_classes": num_classes if recipe is not None else num_classes or _classes_of(state)}
    arguments.update({key: value for key, value in given.items() if value is not None})
    # files without auxiliary heads are as good as those with
    if any(name.startswith(_WHOLE) for name in state):
        arguments["aux"] = has_auxiliary(state)
    return create_model(**arguments)


_WHOLE = ("decode_head.", "head.")


def _classes_of(state) -> Optional[int]:
    """The channels of the last layer."""
    last = [name for name in state if re.search(r"^(decode_head\.conv_seg|head\..*)\.weight$", name)]
    return int(state[last[-1]].shape[0]) if last else None


def _facts(net, recipe: Optional[Recipe], data: Optional[str]) -> Dict[str, Any]:
    recipe = recipe or Recipe.model_validate({"data": {"name": data}} if data else {})
    facts: Dict[str, Any] = {"model": net.spec}
    if data or recipe.data.name != "folder" or recipe.data.classes:
        spec = get_spec(recipe.data.model_copy(update={"name": data} if data else {}))
        if spec.num_classes != net.spec["num_classes"]:
            raise MXNetSegError(
                f"data set {spec.name} has {spec.num_classes} classes, the checkpoint {net.spec['num_classes']}"
            )
        facts["data"] = {
            "name": spec.name,
            "classes": list(spec.classes),
            "palette": [list(colour) for colour in spec.palette],
            "mean": recipe.data.mean,
            "std": recipe.data.std,
            "base": recipe.data.base,
            "fit": recipe.data.fit,
        }
        facts["recipe"] = recipe.model_dump(mode="json")
    return facts


def _stem(source: str) -> str:
    name = Path(source).name
    while Path(name).suffix.lower() in (*PTH, ".params"):
        name = Path(name).stem
    return name
