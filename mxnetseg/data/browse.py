"""A contact sheet: samples as they are, and as training sees them."""

from typing import Optional

import cv2
import numpy as np

from ..config.schema import DataConfig
from ..names import counted
from ..visual import INK, PAPER, colorize, legend, overlay, rgb
from .dataset import Dataset
from .opening import open_dataset
from .sampling import Draw, sample_rng
from .transforms import TrainTransform

__all__ = ["contact_sheet"]

HEIGHT = 150  # pixels of a tile
GAP = 8
HEAD = 58
CAPTION = 20
DRAWS = 3  # of the augmentation, per sample
OPACITY = 0.4  # so that colours stay visible


def contact_sheet(data: DataConfig, split: Optional[str] = None, samples: int = 6, seed: int = 0) -> np.ndarray:
    """One row per sample: image, labels, and how training sees it, three times; a legend of the classes that occur.

    Parameters
    ----------
    data : DataConfig
        `data.augment` is what is applied.
    split : str, optional
        `data.train_split` when left out.
    samples : int
        Spread evenly over the split.
    seed : int
        Of the augmentation.

    Returns
    -------
    (H, W, 3) uint8 RGB
    """
    dataset = open_dataset(data, split or data.train_split)
    transform = TrainTransform(data)
    count = min(samples, len(dataset))
    chosen = [round(i * (len(dataset) - 1) / max(count - 1, 1)) for i in range(count)]
    rows, occurring = [], set()
    for index in chosen:
        image, label, name = dataset.load(index)
        occurring |= set(np.unique(label).tolist())
        tiles = [rgb(image, data.shown), _labels(label, dataset)]
        for epoch in range(DRAWS):
            seen, target = transform(image, label, sample_rng(seed, Draw(epoch, index)))
            occurring |= set(np.unique(target).tolist())
            tiles.append(_hatched(overlay(rgb(seen, data.shown), target, dataset.palette, OPACITY), target, dataset))
        rows.append((name, [_scaled(tile) for tile in tiles]))
    return _compose(rows, dataset, occurring)


def _compose(rows, dataset: Dataset, occurring) -> np.ndarray:
    columns = len(rows[0][1])
    widths = [max(tiles[c].shape[1] for _, tiles in rows) for c in range(columns)]
    lefts = [GAP + sum(w + GAP for w in widths[:c]) + (GAP * 2 if c >= 2 else 0) for c in range(columns)]
    width = max(lefts[-1] + widths[-1] + GAP, 560)
    heights = [max(tile.shape[0] for tile in tiles) + CAPTION for _, tiles in rows]
    sheet = np.full((HEAD + sum(heights), width, 3), PAPER, np.uint8)
    title = f"{dataset.spec.title} - {dataset.split}, {counted(len(dataset), 'image')}"
    _write(sheet, _fit(title, width - 2 * GAP, 0.55), (GAP, 22), 0.55)
    for column, text in ((0, "as it is"), (1, "labels"), (2, "as training sees it (hatched: ignored)")):
        room = (width if column == 2 else lefts[column + 1]) - lefts[column]
        _write(sheet, _fit(text, room, 0.45), (lefts[column], 48), 0.45)
    for row, (name, tiles) in enumerate(rows):
        top = HEAD + sum(heights[:row])
        for left, tile in zip(lefts, tiles):
            sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
        text = _fit(name, lefts[2] - lefts[0], 0.38)
        _write(sheet, text, (lefts[0], top + heights[row] - CAPTION + 13), 0.38)
    shown = [index for index in range(dataset.num_classes) if index in occurring]
    names = [dataset.classes[index] for index in shown]
    return np.concatenate([sheet, legend(names, dataset.palette[shown], width)]) if shown else sheet


def _labels(label: np.ndarray, dataset: Dataset) -> np.ndarray:
    return _hatched(colorize(label, dataset.palette), label, dataset)


def _hatched(picture: np.ndarray, label: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Pixels that are ignored get diagonal lines, so that no class colour can be mistaken for them."""
    void = label >= dataset.num_classes
    if not void.any():
        return picture
    step = max(6, round(14 * label.shape[0] / HEIGHT / 2) * 2)
    rows, columns = np.indices(label.shape, sparse=True)
    lines = (rows + columns) % step < max(1, step // 5)
    out = picture.copy()
    out[void] = (out[void] * 0.35 + 255 * 0.55).astype(np.uint8)
    out[void & lines] = (150, 150, 150)
    return out


def _scaled(tile: np.ndarray) -> np.ndarray:
    """To the height of a row; very wide pictures to twice that in width at most."""
    height, width = tile.shape[:2]
    factor = min(HEIGHT / height, 2 * HEIGHT / width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return cv2.resize(
        np.ascontiguousarray(tile), size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    )


def _fit(text: str, width: int, scale: float) -> str:
    """The end of a text that is too long, as names differ there."""
    while len(text) > 4 and cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0] > width:
        text = "..." + text.lstrip(".")[2:]
    return text


def _write(canvas: np.ndarray, text: str, place, scale: float) -> None:
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, INK, 1, cv2.LINE_AA)
