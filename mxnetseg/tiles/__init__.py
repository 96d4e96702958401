"""Huge pictures, read, predicted and written by windows (docs/tiles.md)."""

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Union

import numpy as np

from .. import __version__, visual
from ..config.schema import EvalConfig
from ..predictor import Predictor
from ..saving import explained, whole_file
from .picture import HugePicture
from .result import KINDS, Overlay, write_result
from .store import Store
from .windows import CELL, WINDOW, predict_cells, tiling

__all__ = ["KINDS", "predict_tiles"]

log = logging.getLogger(__name__)


def predict_tiles(
    path: Union[str, Path],
    targets: Mapping[str, Path],
    predictor: Predictor,
    made_with: Mapping[str, Any],
    *,
    overlay: Optional[Overlay] = None,
    anew: bool = False,
    progress: bool = True,
) -> None:
    """Predict a TIFF file of any size; the windows are `predictor.config.crop` and `stride`.

    What is finished is kept in a file beside the first target, from which the next call goes on.

    Parameters
    ----------
    targets : dict of str to Path
        Files to write, by kind: "label", "overlay", "confidence", as `result.write_result` describes them.
    made_with : dict
        What besides the picture and `predictor.config` the result depends on, as JSON holds it: the digest of the
        checkpoint, for one.
    overlay : function, optional
        RGB picture (h, w, 3), class map (h, w) -> what "overlay" shows.
    anew : bool
        Begin anew where a finished part is of another picture, checkpoint or options.

    Raises
    ------
    MXNetSegError
        The picture can't be read by windows; what is there to go on from is of other work.
    SaveError
        The results can't be written.
    """
    config = predictor.config
    if config.base or config.fit or predictor.preprocess.base or predictor.preprocess.fit:
        log.warning(
            "%s: the network was trained on images resized to one size, but windows are as the picture is; --scales "
            "resizes them",
            path,
        )
    with explained(path, "read"):
        facts = Path(path).stat()
    with HugePicture(path, predictor.reading, _rows(config)) as picture:
        grid = tiling(picture.height, picture.width, config)
        work: Dict[str, Any] = {
            "picture": f"{facts.st_size} bytes of {facts.st_mtime_ns}",
            **made_with,
            "window": [grid.rows.window, grid.rows.stride, grid.columns.window, grid.columns.stride],
            **{key: getattr(config, key) for key in ("scales", "flip", "multiple", "average")},
            "confidence": "confidence" in targets,
            "cell": CELL,
            "version": __version__,
        }
        first = next(iter(targets.values()))
        with Store(first.with_name(f".{Path(path).name}.tiles"), work, anew) as store:
            if len(store):
                down, across = grid.cells
                log.info("%s: going on, %d of %d parts were there", path, len(store), down * across)
            confident = "confidence" in targets
            for cell in predict_cells(picture, predictor, grid, store, confidence=confident, progress=progress):
                store.add(cell)
            with ExitStack() as stack:
                partials = {kind: stack.enter_context(whole_file(target)) for kind, target in targets.items()}
                for kind, partial in partials.items():
                    write_result(kind, partial, store, picture, predictor, overlay or _overlay(predictor))
            store.remove()


def _rows(config: EvalConfig) -> int:
    crop = config.crop or WINDOW
    return crop if isinstance(crop, int) else crop[0]


def _overlay(predictor: Predictor) -> Overlay:
    def draw(image: np.ndarray, class_map: np.ndarray) -> np.ndarray:
        return visual.overlay(image, class_map, predictor.palette)

    return draw
