"""How often classes occur, what values images have, and what follows for a recipe."""

import contextlib
import io
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple, Union

import numpy as np

from ..errors import MXNetSegError
from ..names import drawable
from ..optional import check_installed
from ..progress import progress_bar
from ..saving import write_file
from .dataset import IGNORE, Dataset
from .workers import check_workers, in_order

__all__ = ["class_weights", "plot", "snippet", "stats"]

FEW = 32  # images: fewer are not worth starting workers for


class _Look(NamedTuple):
    """What one sample holds."""

    size: Tuple[int, int]
    sums: np.ndarray  # (channels,) float64: of the values, and of their squares
    squares: np.ndarray
    pixels: np.ndarray  # (256,) of every label


class _Looker:
    """Task of a worker: read one sample."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    def name(self, index: int) -> str:
        return f"{self.dataset.split}/{self.dataset.names[index]}"

    def __call__(self, index: int) -> _Look:
        image, label, _ = self.dataset.load(index)
        assert label is not None  # `stats` asks for masks
        values = image.reshape(-1, image.shape[2])
        sums = values.sum(0, dtype=np.float64)
        squares = np.array([np.square(values[:, c], dtype=np.float64).sum() for c in range(values.shape[1])])
        height, width = label.shape
        return _Look((height, width), sums, squares, np.bincount(label.ravel(), minlength=256))


def stats(dataset: Dataset, workers: int = 0, progress: bool = True) -> Dict[str, Any]:
    """Read every sample of a split and count.

    Returns
    -------
    dict
        `split`, `images`, `sizes` ("WxH" -> images), `classes` (per class pixels, share of all pixels and images),
        `ignored` (pixels and share), `mean` and `std` (per channel, as the recipe has them), `class_weights` (see
        `class_weights`).

    Raises
    ------
    MXNetSegError
        Files that can't be read, or a split without masks.
    """
    dataset.masks()
    check_workers(workers)
    results = in_order(_Looker(dataset), range(len(dataset)), workers if len(dataset) > FEW else 0)
    looks: List[_Look] = []
    bar = progress_bar(total=len(dataset), desc=dataset.split, unit="img", shown=progress)
    with bar, contextlib.closing(results):
        for look in results:
            looks.append(look)
            bar.update()
    table = np.array([look.pixels for look in looks])
    shown, counts = table[:, : dataset.num_classes], table.sum(0)
    total = int(counts.sum())
    mean = np.sum([look.sums for look in looks], axis=0) / total
    variance = np.sum([look.squares for look in looks], axis=0) / total - mean**2
    sizes = Counter(f"{width}x{height}" for height, width in (look.size for look in looks))
    return dict(
        split=dataset.split,
        images=len(looks),
        sizes=dict(sizes.most_common()),
        classes={
            name: dict(
                pixels=int(counts[index]),
                share=round(int(counts[index]) / total, 6),
                images=int(np.count_nonzero(shown[:, index])),
            )
            for index, name in enumerate(dataset.classes)
        },
        ignored=dict(pixels=int(counts[IGNORE]), share=round(int(counts[IGNORE]) / total, 6)),
        mean=_rounded(mean),
        std=_rounded(np.sqrt(np.maximum(variance, 0))),
        class_weights={name: _rounded(weights) for name, weights in class_weights(shown, table.sum(1)).items()},
    )


def class_weights(shown: np.ndarray, sizes: np.ndarray) -> Dict[str, np.ndarray]:
    """Weights that make up for rare classes, (classes,) float64 each.

    median_frequency: the median of all frequencies over the class's own, which is its share of the pixels of the images
    that show it (Eigen and Fergus, ICCV 2015). inverse_log: 1 / ln(1.02 + its share of the labelled pixels) (Paszke et
    al., ENet, 2016). A class that never occurs has 1.

    Parameters
    ----------
    shown : (images, classes) int array
        Pixels of every class.
    sizes : (images,) int array
        All pixels of every image.
    """
    pixels = shown.sum(0)
    there = pixels > 0
    own = (sizes[:, None] * (shown > 0)).sum(0)
    frequency = pixels / np.maximum(own, 1)
    middle = np.median(frequency[there]) if there.any() else 1.0
    return {
        "median_frequency": np.where(there, middle / np.where(there, frequency, 1), 1.0),
        "inverse_log": np.where(there, 1 / np.log(1.02 + pixels / max(pixels.sum(), 1)), 1.0),
    }


def snippet(report: Dict[str, Any], weights: str = "median_frequency") -> str:
    """The parts of a recipe that follow, as YAML."""
    others = [name for name in report["class_weights"] if name != weights]
    lines = [
        "data:",
        f"  # of {report['images']} images of {report['split']}; leave them out where ImageNet's weights are the start",
        f"  mean: {report['mean']}",
        f"  std: {report['std']}",
        "loss:",
        f"  # {weights.replace('_', ' ')}, in the order of the classes",
        f"  class_weights: {report['class_weights'][weights]}",
        *(f"  # {name.replace('_', ' ')}: {report['class_weights'][name]}" for name in others),
    ]
    return "\n".join(lines) + "\n"


def plot(report: Dict[str, Any], path: Union[str, Path]) -> None:
    """Draw pixels and images by class, and the sizes of images, as a PNG.

    Raises
    ------
    MXNetSegError
        matplotlib is not installed, or the file can't be written.
    """
    check_installed("matplotlib", "drawing plots")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [drawable(name) for name in report["classes"]]
    rows = list(report["classes"].values())
    height = max(3.0, 0.22 * len(names) + 1)
    figure = Figure(figsize=(13, height), dpi=110)
    FigureCanvasAgg(figure)
    pixels, images, sizes = figure.subplots(1, 3)
    for axes, key, title in ((pixels, "share", "pixels, %"), (images, "images", "images that show it")):
        values = [100 * row[key] if key == "share" else row[key] for row in rows]
        bars = axes.barh(range(len(names)), values, color="C0")
        axes.bar_label(bars, fmt="%.3g", padding=2, fontsize=7)
        axes.margins(x=0.15)  # the numbers stay inside
        axes.set_yticks(range(len(names)), labels=names, fontsize=7)
        axes.invert_yaxis()
        axes.set_title(title, fontsize=10)
    sides = np.array([list(map(int, size.split("x"))) for size in report["sizes"]])
    counts = np.array(list(report["sizes"].values()))
    sizes.scatter(sides[:, 0], sides[:, 1], s=20 + 200 * counts / counts.max(), alpha=0.6, color="C1")
    sizes.set_title("sizes: width, height", fontsize=10)
    figure.tight_layout()
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_file(path, picture.getvalue())


def _rounded(values: np.ndarray) -> List[float]:
    if not np.isfinite(values).all():
        raise MXNetSegError("images hold values that are no numbers; their mean can't be told")
    return [round(float(value), 4) for value in values]
