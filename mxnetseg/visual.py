"""Pictures: coloured class maps, overlays with a legend, side-by-side panels, training curves."""

import contextlib
import csv
import io
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

import cv2
import numpy as np

from .names import drawable
from .saving import explained, write_file

__all__ = [
    "OPACITY",
    "colorize",
    "legend",
    "overlay",
    "pair",
    "panel",
    "plot_curves",
    "plot_runs",
    "png",
    "rgb",
    "save_png",
    "strip",
    "strip_row",
    "with_legend",
]

INK = (40, 40, 40)
PAPER = (255, 255, 255)
STRIP, GAP = (240, 320), 4  # the sides of one picture of a strip, and what is between two
OPACITY = 0.55  # of the class colours on an image


def colorize(class_map: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """(H, W) uint8 class map -> (H, W, 3) uint8 RGB; what is no class (255) becomes black."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    return colours[class_map]


def rgb(image: np.ndarray, shown: Optional[Sequence[int]] = None) -> np.ndarray:
    """An image (H, W, channels) of uint8, or of floats from 0 to 255, as (H, W, 3) uint8 to look at.

    `shown` are the three channels that become red, green and blue, or the one that becomes grey; the first three, else
    the first, when left out.
    """
    if shown is None:
        shown = range(3) if image.shape[2] >= 3 else range(1)
    if image.dtype == np.uint8 and image.shape[2] == 3 and list(shown) == [0, 1, 2]:
        return image
    picture = image[..., list(shown)]
    picture = picture if picture.dtype == np.uint8 else np.rint(picture).clip(0, 255).astype(np.uint8)
    return picture if picture.shape[2] == 3 else np.repeat(picture, 3, 2)


def overlay(image: np.ndarray, class_map: np.ndarray, palette: np.ndarray, alpha: float = OPACITY) -> np.ndarray:
    """The image (H, W, 3) uint8 under its class colours; pixels that are no class stay as they are."""
    coloured = colorize(class_map, palette).astype(np.float32)
    mixed = np.rint(alpha * coloured + (1 - alpha) * image).astype(np.uint8)
    return np.where((class_map < len(palette))[..., None], mixed, image)


def legend(classes: Sequence[str], palette: np.ndarray, width: int, scale: float = 1.0) -> np.ndarray:
    """Colour swatches with names, in as many rows as `width` pixels make necessary, (h, width, 3) uint8."""
    height, font = round(22 * scale), 0.45 * scale
    places: List[Tuple[int, int]] = []
    left, row = round(8 * scale), 0
    for name in classes:
        size = _text_width(name, font) + round(34 * scale)
        if left + size > width and left > round(8 * scale):
            left, row = round(8 * scale), row + 1
        places.append((left, row))
        left += size
    canvas = np.full(((row + 1) * height + round(6 * scale), width, 3), PAPER, np.uint8)
    for (x, line), name, colour in zip(places, classes, palette):
        top = line * height + round(5 * scale)
        corner = (x + round(14 * scale), top + round(12 * scale))
        cv2.rectangle(canvas, (x, top), corner, [int(c) for c in colour], -1)
        cv2.rectangle(canvas, (x, top), corner, INK, 1)
        _text(canvas, name, (x + round(20 * scale), top + round(11 * scale)), font)
    return canvas


def with_legend(picture: np.ndarray, classes: Sequence[str], palette: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 with the legend below it."""
    return np.concatenate([picture, legend(classes, palette, picture.shape[1], max(1.0, picture.shape[0] / 480))])


def pair(
    image: np.ndarray,
    class_map: np.ndarray,
    classes: Sequence[str],
    palette: np.ndarray,
    alpha: float = OPACITY,
) -> np.ndarray:
    """Overlay and class map side by side, the legend below: one picture of a video.

    Small images are enlarged to 240 pixels of height for the text; both sides are even, as video codecs need.
    """
    zoom = max(1.0, 240 / image.shape[0])
    tiles = [overlay(image, class_map, palette, alpha), colorize(class_map, palette)]
    if zoom > 1:
        size = (round(image.shape[1] * zoom), round(image.shape[0] * zoom))
        tiles = [cv2.resize(t, size, interpolation=m) for t, m in zip(tiles, (cv2.INTER_LINEAR, cv2.INTER_NEAREST))]
    body = np.concatenate([tiles[0], np.full((tiles[0].shape[0], 4, 3), PAPER, np.uint8), tiles[1]], axis=1)
    names = legend(classes, palette, body.shape[1], max(1.0, body.shape[0] / 480))
    picture = np.concatenate([body, names])
    odd = [(0, side % 2) for side in picture.shape[:2]]
    return np.pad(picture, [*odd, (0, 0)], constant_values=255)


def panel(
    image: np.ndarray,
    truth: Optional[np.ndarray],
    prediction: np.ndarray,
    classes: Sequence[str],
    palette: np.ndarray,
    alpha: float = OPACITY,
    *,
    with_names: bool = True,
) -> np.ndarray:
    """Image, truth (if there is one), prediction and overlay side by side, captions above, legend (`with_names`) below.

    Small images are enlarged to 320 pixels of height so that the text stays legible.
    """
    titles = [("image", image), ("truth", None if truth is None else colorize(truth, palette))]
    titles += [("prediction", colorize(prediction, palette)), ("overlay", overlay(image, prediction, palette, alpha))]
    tiles = [(title, tile) for title, tile in titles if tile is not None]
    zoom = max(1.0, 320 / image.shape[0])
    scale = max(1.0, image.shape[0] * zoom / 480)
    gap, head = round(6 * scale), round(24 * scale)
    columns = []
    for title, tile in tiles:
        if zoom > 1:
            method = cv2.INTER_LINEAR if title in ("image", "overlay") else cv2.INTER_NEAREST
            tile = cv2.resize(tile, None, fx=zoom, fy=zoom, interpolation=method)
        column = np.full((tile.shape[0] + head, tile.shape[1] + gap, 3), PAPER, np.uint8)
        column[head:, : tile.shape[1]] = tile
        _text(column, title, (round(4 * scale), round(17 * scale)), 0.5 * scale)
        columns.append(column)
    body = np.concatenate(columns, axis=1)[:, :-gap]
    return np.concatenate([body, legend(classes, palette, body.shape[1], scale)]) if with_names else body


def png(picture: np.ndarray) -> bytes:
    """(H, W, 3) uint8 RGB, (H, W, 4) uint8 RGBA, or (H, W) uint8 or uint16 labels as a PNG file."""
    colours = picture.ndim == 3 and picture.shape[2] in (3, 4) and picture.dtype == np.uint8
    labels = picture.ndim == 2 and picture.dtype in (np.uint8, np.uint16)
    if not (colours or labels):
        raise ValueError(
            "(H, W, 3) or (H, W, 4) uint8 or (H, W) uint8 or uint16 is needed, "
            f"not {picture.dtype} of shape {picture.shape}"
        )
    if colours:  # OpenCV's order
        picture = picture[..., [2, 1, 0, 3][: picture.shape[2]]]
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(picture))
    content: bytes = encoded.tobytes()
    return content


def strip_row(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Image, truth and prediction side by side, each made to fit into 320x240 pixels: (up to 240, 968, 3) uint8."""
    height, width = STRIP
    zoom = min(height / image.shape[0], width / image.shape[1])
    size = tuple(max(1, round(side * zoom)) for side in image.shape[1::-1])
    row = np.full((size[1], 3 * width + 2 * GAP, 3), PAPER, np.uint8)
    tiles = (image, cv2.INTER_AREA), (truth, cv2.INTER_NEAREST), (prediction, cv2.INTER_NEAREST)
    for place, (tile, method) in enumerate(tiles):
        small = cv2.resize(tile, size, interpolation=method)
        left = place * (width + GAP)
        row[:, left : left + size[0]] = small if small.ndim == 3 else colorize(small, palette)
    return row


def strip(rows: Sequence[np.ndarray], classes: Sequence[str], palette: np.ndarray) -> np.ndarray:
    """Rows of `strip_row` one below the other, captions above, the legend below."""
    width = rows[0].shape[1]
    head, gap = np.full((22, width, 3), PAPER, np.uint8), np.full((GAP, width, 3), PAPER, np.uint8)
    for place, title in enumerate(("image", "truth", "prediction")):
        _text(head, title, (place * (STRIP[1] + GAP) + GAP, 16), 0.5)
    return np.concatenate([head, *(part for row in rows for part in (row, gap)), legend(classes, palette, width)])


def save_png(path, picture: np.ndarray) -> None:
    """Write what `png` takes, whole or not at all."""
    write_file(path, png(picture), sync=False)


def plot_curves(csv_path, png_path) -> None:
    """Draw loss, learning rate and validation mIoU over iterations from a run's metrics.csv."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = _rows(csv_path)
    figure = Figure(figsize=(11, 3.4), dpi=110)
    FigureCanvasAgg(figure)
    margins = dict(left=0.05, right=0.98, bottom=0.15, top=0.9, wspace=0.2)  # finding them takes as long as drawing
    plots = (("loss", "training loss", "C0"), ("lr", "learning rate", "C2"), ("val_miou", "validation mIoU", "C1"))
    for axes, (column, title, colour) in zip(figure.subplots(1, 3, gridspec_kw=margins), plots):
        points = list(_points(rows, column))
        if points:
            marker = "o" if len(points) < 60 and column == "val_miou" else None
            axes.plot(*zip(*points), color=colour, linewidth=1.4, marker=marker, markersize=3)
        if column == "val_miou" and points:
            best = max(points, key=lambda point: point[1])
            axes.annotate(f"{best[1]:.4f}", best, (0, 5), textcoords="offset points", ha="center", fontsize=8)
            axes.margins(x=0.1, y=0.12)  # the number stays inside
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("iteration", fontsize=9)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_file(png_path, picture.getvalue())


def plot_runs(curves: Mapping[str, Path], path: Path) -> None:
    """Draw the training loss and the validation mIoU of several runs, name -> metrics.csv, into a picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    plots = (("loss", "training loss"), ("val_miou", "validation mIoU"))
    for axes, (column, title) in zip(figure.subplots(1, 2), plots):
        for number, (name, file) in enumerate(curves.items()):
            points = list(_points(_rows(file), column))
            style = dict(color=f"C{number % 10}", linestyle=("-", "--", ":", "-.")[number // 10 % 4], linewidth=1.2)
            marker = "o" if len(points) < (60 if column == "val_miou" else 2) else None
            axes.plot(*(zip(*points) if points else ([], [])), label=_label(name), marker=marker, markersize=3, **style)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("iteration", fontsize=9)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    if curves:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=7)
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix[1:].lower())
    write_file(path, picture.getvalue())


def _label(name: str) -> str:
    """A name for matplotlib's legend, which leaves out those that begin with _."""
    return f"./{drawable(name)}" if name.startswith("_") else drawable(name)


def _rows(csv_path) -> List[Dict[str, str]]:
    with explained(csv_path, "read"), open(csv_path, newline="", encoding="utf-8-sig", errors="replace") as file:
        rows: List[Dict[str, str]] = []
        with contextlib.suppress(csv.Error):  # a field that is far too long, or NUL: what was before it is drawn
            rows.extend(csv.DictReader(line for line in file if line.endswith("\n")))  # a last one may be cut off
        return rows


def _points(rows: Iterable[Dict[str, str]], column: str) -> Iterator[Tuple[int, float]]:
    for row in rows:
        with contextlib.suppress(KeyError, TypeError, ValueError):  # nothing there, or no number
            yield int(row["iteration"]), float(row[column])


def _text(canvas: np.ndarray, text: str, place, scale: float) -> None:
    thickness = max(1, round(1.2 * scale))
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, INK, thickness, cv2.LINE_AA)


def _text_width(text: str, scale: float) -> int:
    return cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0]
