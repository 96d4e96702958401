"""What was scored, and what with: facts for a report's readers."""

from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

import numpy as np

from ..config.schema import EvalConfig
from ..data.transforms import scaled_size
from ..engine.checkpoint import Checkpoint
from ..engine.inference import Preprocess
from ..engine.record import NetworkSpec, Record
from ..errors import MXNetSegError
from ..flops import count
from ..versions import versions
from ..zoo import create_model

__all__ = ["about_network", "view_size"]


def view_size(image: np.ndarray, preprocess: Preprocess, config: EvalConfig) -> Tuple[int, int]:
    """Height and width of what the network sees of an image (H, W, channels) at scale 1: all of it, or a window."""
    base, fit = (config.base, config.fit) if config.base or config.fit else (preprocess.base, preprocess.fit)
    height, width = scaled_size(image.shape[0], image.shape[1], 1.0, base, fit)
    if config.multiple:
        height, width = (-(-side // config.multiple) * config.multiple for side in (height, width))
    if config.crop:
        crop = (config.crop, config.crop) if isinstance(config.crop, int) else config.crop
        height, width = min(crop[0], height), min(crop[1], width)
    return height, width


def about_network(
    record: Record,
    size: Tuple[int, int],
    *,
    spec: Optional[Mapping[str, Any]] = None,
    checkpoint: Optional[Checkpoint] = None,
    dtype: Optional[str] = None,
) -> Dict[str, Any]:
    """What is known of network and training, in JSON's types.

    Parameters
    ----------
    record : Record
        Of its checkpoint; an empty one where there is none.
    size : (int, int)
        Height and width that FLOPs are counted at.
    spec : mapping, optional
        `Network.spec`, for networks whose record says nothing of them.
    checkpoint : Checkpoint, optional
        The file that it comes from.
    dtype : str, optional
        What the network was optimized to.
    """
    facts: Dict[str, Any] = {
        "dtype": dtype or (record.optimized.dtype if record.optimized else "as trained"),
        "versions": versions(),
        "trained_with": record.versions,
        "iteration": record.iteration,
        "iterations": record.iterations,
        "average_of_weights": record.ema,
        "recipe": record.recipe.model_dump(mode="json", exclude_unset=True) if record.recipe else None,
    }
    if checkpoint is not None:
        facts.update(checkpoint=Path(checkpoint.path).name, sha256=checkpoint.digest)
    model = record.model or (NetworkSpec(**spec) if spec and "name" in spec else None)
    if model is not None:
        facts["network"] = model.model_dump(mode="json", exclude_unset=True)
        try:
            counted = count(create_model(**model.arguments()), size)
            facts.update(parameters=counted.parameters, flops=counted.flops, flops_at=list(size))
        except MXNetSegError as err:  # one that can't be traced can be scored all the same
            facts["flops_unknown"] = str(err)
    return facts
