"""A plot of the results: each contender's time over that of PyTorch's best in float32."""

from pathlib import Path
from typing import Any, Dict

from .report import median

__all__ = ["draw"]

COLOURS = {
    "MXNet f32": "#9aa5b1",
    "MXNetSeg f32": "#1f6feb",
    "MXNetSeg bf16": "#66a3ff",
    "MXNetSeg int8": "#b3d1ff",
    "PyTorch best f32": "#e36209",
    "PyTorch best bf16": "#f6b26b",
    "ONNX Runtime f32": "#7d56c2",
    "ONNX Runtime int8": "#c3b0e8",
    "OpenVINO f32": "#22863a",
    "OpenVINO bf16": "#85c99a",
    "OpenVINO int8": "#c4e8cf",
}


def draw(report: Dict[str, Any], path) -> bool:
    """Write a PNG; False, and nothing written, where no case has PyTorch to compare with."""
    bars = {case["title"]: _relative(case) for case in report["cases"] if case["task"] == "inference"}
    bars = {title: values for title, values in bars.items() if values}
    if not bars:
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [name for name in COLOURS if any(name in values for values in bars.values())]
    height = 0.8 / len(names)
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + len(bars) * (0.3 + 0.13 * len(names))))
    for i, name in enumerate(names):
        at = [(k + i * height, values[name]) for k, values in enumerate(bars.values()) if name in values]
        places = [place for place, _ in at]
        axes.barh(places, [value for _, value in at], height, label=name, color=COLOURS[name])
        for place, value in at:
            axes.text(value, place, f" {value:.2f}", va="center", fontsize=7)
    axes.axvline(1, color="#444444", linewidth=0.8)
    axes.set_yticks([k + 0.4 - height / 2 for k in range(len(bars))], list(bars))
    axes.invert_yaxis()
    axes.set_xlabel("time over that of PyTorch's best in float32 (less is faster)")
    axes.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.4, 1), ncol=4, frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)
    return True


def _relative(case: Dict[str, Any]) -> Dict[str, float]:
    medians = {name: median(result) for name, result in case["contenders"].items()}
    medians = {name: value for name, value in medians.items() if value is not None}
    for dtype in ("f32", "bf16"):
        times = [medians.pop(n) for n in (f"PyTorch eager {dtype}", f"PyTorch compiled {dtype}") if n in medians]
        if times:
            medians[f"PyTorch best {dtype}"] = min(times)
    base = medians.get("PyTorch best f32")
    return {name: value / base for name, value in medians.items()} if base else {}
