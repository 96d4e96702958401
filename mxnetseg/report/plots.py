"""The plots of a report, by matplotlib: as SVG for the page, whose colours follow its theme, and as files."""

import io
import re
import warnings
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ..names import drawable

__all__ = ["Plot", "inline", "plots_of"]

# each stands for a variable of the page's style sheet
COLOURS = {
    "ink": "#1c2530",
    "muted": "#5f6b7a",
    "line": "#d9dee5",
    "accent": "#0d7a6f",
    "second": "#c4501b",
    "soft": "#b5c7d3",
}
INK, MUTED, LINE, ACCENT, SECOND, SOFT = COLOURS.values()
LONGEST = 24  # characters of a class's name
MOST_ROWS = 60  # of the confusion matrix, whose names are legible


class Plot(NamedTuple):
    """A figure: the name of its files, what draws it into matplotlib's Figure, and its size in inches."""

    name: str
    draw: Callable[[Any], None]
    size: Tuple[float, float] = (5.2, 3.3)

    def files(self) -> Dict[str, bytes]:
        """As "svg" and as "png", the same every time."""
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        style = {"svg.fonttype": "none", "svg.hashsalt": self.name, "font.size": 9, "axes.titlesize": 10}
        style.update({f"axes.spines.{side}": False for side in ("top", "right")})
        style.update({"axes.edgecolor": MUTED, "axes.grid": True, "grid.color": LINE, "axes.axisbelow": True})
        style.update(dict.fromkeys(("xtick.color", "ytick.color"), MUTED))
        style.update(dict.fromkeys(("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), INK))
        svg, png = io.BytesIO(), io.BytesIO()
        with matplotlib.rc_context(style), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # names of classes in any script
            figure = Figure(figsize=self.size, layout="constrained")
            FigureCanvasAgg(figure)
            self.draw(figure)
            figure.savefig(png, format="png", dpi=130, metadata={"Software": None})
            figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None})
        return {"svg": svg.getvalue(), "png": png.getvalue()}


def inline(svg: bytes, label: str) -> str:
    """An SVG file as a part of an HTML page, in the page's colours and as wide as there is room.

    `label` says what it shows, without characters that HTML gives a meaning.
    """
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(
        r' id="(?!\w*[0-9a-f]{10})[^"]*"', "", text
    )  # but those of clip paths and markers, which it refers to
    text = re.sub(r'(<svg [^>]*?) width="[^"]*"', rf'\1 role="img" aria-label="{label}"', text, count=1)
    text = re.sub(r'(<svg [^>]*?) height="[^"]*"', r"\1", text, count=1)
    for name, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    return text


def plots_of(numbers: Dict[str, Any]) -> List[Plot]:
    """The plots of a report's numbers."""
    rows = len(numbers["classes"])
    side = min(2.5 + 0.3 * rows, 22)
    return [
        Plot("classes", lambda figure: _classes(figure, numbers["per_class"]), (6.5, min(1.0 + 0.24 * rows, 40))),
        Plot("confusion", lambda figure: _confusion(figure, numbers), (side + 0.8, side)),
        Plot("borders", lambda figure: _borders(figure, numbers["bands"])),
        Plot("sizes", lambda figure: _sizes(figure, numbers["components"])),
        Plot("reliability", lambda figure: _reliability(figure, numbers["calibration"])),
        Plot("coverage", lambda figure: _coverage(figure, numbers["coverage"])),
    ]


def _classes(figure: Any, rows: Sequence[Dict[str, Any]]) -> None:
    axes = figure.subplots()
    scored = sorted((row for row in rows if row["iou"]["value"] is not None), key=lambda row: row["iou"]["value"])
    places, values = range(len(scored)), [100 * row["iou"]["value"] for row in scored]
    axes.barh(places, values, color=ACCENT, height=0.62)
    for place, row in zip(places, scored):
        if row["iou"]["low"] is not None:
            axes.plot([100 * row["iou"]["low"], 100 * row["iou"]["high"]], [place, place], color=INK, linewidth=1.2)
    axes.set_yticks(places, [_plain(row["name"]) for row in scored])
    axes.set_xlim(0, 100)
    axes.set_xlabel("IoU %, with the interval of 95 %")
    axes.grid(axis="y", visible=False)
    axes.margins(y=0.02)


def _confusion(figure: Any, numbers: Dict[str, Any]) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    axes = figure.subplots()
    names, matrix = [_plain(name) for name in numbers["classes"]], numbers["confusion"]
    shares = [[100 * value / max(sum(row), 1) for value in row] for row in matrix]
    colours = LinearSegmentedColormap.from_list("report", ["#ffffff", ACCENT])
    picture = axes.imshow(shares, cmap=colours, vmin=0, vmax=100, interpolation="nearest")
    figure.colorbar(picture, ax=axes, label="% of the pixels of the true class", shrink=0.7)
    if len(names) <= MOST_ROWS:
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true")
    axes.grid(False)


def _borders(figure: Any, bands: Dict[str, Any]) -> None:
    axes = figure.subplots()
    widths = bands["widths"][:-1]
    for iou in bands["iou"]:
        axes.plot(widths, _percent(iou[:-1]), color=SOFT, linewidth=0.7)
    axes.plot(widths, _percent(bands["miou"][:-1]), color=ACCENT, linewidth=2, marker="o", markersize=4, label="mIoU")
    if bands["miou"][-1] is not None:
        everywhere = 100 * bands["miou"][-1]
        axes.axhline(everywhere, color=SECOND, linewidth=1, linestyle="--", label="mIoU of the whole images")
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.minorticks_off()
    axes.set(xlabel="pixels on either side of a border", ylabel="IoU %", ylim=(0, 100))
    axes.legend(frameon=False, fontsize=8)


def _sizes(figure: Any, found: Dict[str, Any]) -> None:
    axes = figure.subplots()
    places = range(len(found["sides"]))
    axes.bar([p - 0.2 for p in places], _percent(found["siou"]), 0.38, color=ACCENT, label="mean sIoU")
    axes.bar([p + 0.2 for p in places], _percent(found["found"]), 0.38, color=SOFT, label="found (sIoU > 0.5)")
    labels = [f"{side}\n{count:,}" for side, count in zip(found["sides"], found["components"])]
    axes.set_xticks(places, labels, fontsize=7.5)
    axes.set(xlabel="side of a square of its area, pixels; number of components", ylabel="%", ylim=(0, 100))
    axes.grid(axis="x", visible=False)
    axes.legend(frameon=False, fontsize=8, loc="upper left")


def _reliability(figure: Any, found: Dict[str, Any]) -> None:
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3.2, 1]})
    edges, total = found["edges"], max(sum(found["pixels"]), 1)
    middles, width = [(a + b) / 2 for a, b in zip(edges, edges[1:])], edges[1]
    upper.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--", label="confidence = accuracy")
    heights = [value or 0 for value in found["accuracy"]]
    upper.bar(middles, heights, width * 0.9, color=ACCENT, label="accuracy")
    points = [(c, a) for c, a in zip(found["confidence"], found["accuracy"]) if c is not None]
    upper.plot([c for c, _ in points], [a for _, a in points], ".", color=SECOND, label="at the bin's mean confidence")
    upper.set(ylabel="accuracy", ylim=(0, 1), xlim=(0, 1))
    upper.legend(frameon=False, fontsize=8, loc="upper left")
    lower.bar(middles, [100 * pixels / total for pixels in found["pixels"]], width * 0.9, color=SOFT)
    lower.set(xlabel="confidence", ylabel="pixels %")


def _coverage(figure: Any, found: Dict[str, Any]) -> None:
    axes = figure.subplots()
    axes.plot(
        found["confidence"], _percent(found["accuracy"]), color=ACCENT, linewidth=2, label="accuracy of these pixels"
    )
    axes.plot(found["confidence"], _percent(found["pixels"]), color=SECOND, linewidth=2, label="pixels with it")
    axes.set(xlabel="confidence of at least", ylabel="%", ylim=(0, 101), xlim=(0, 1))
    axes.legend(frameon=False, fontsize=8, loc="lower left")


def _percent(values: Sequence[Optional[float]]) -> List[float]:
    return [float("nan") if value is None else 100 * value for value in values]


def _plain(name: str) -> str:
    """A name that is short, as matplotlib may draw it."""
    return drawable(name if len(name) <= LONGEST else name[: LONGEST - 1] + "…")
