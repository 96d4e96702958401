"""Tables of the results, written between markers into a page that is otherwise written by hand."""

import os
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from tabulate import tabulate

from .contenders import CHECKPOINT
from .statistics import ratio, summarize

__all__ = ["BEGIN", "END", "replace_between", "tables"]

BEGIN, END = "<!-- made by python -m tools.bench -->", "<!-- end of what python -m tools.bench made -->"
PYTORCH, PYTORCH_F32 = ("PyTorch eager", "PyTorch compiled"), ("PyTorch eager f32", "PyTorch compiled f32")
PYTORCH_BF16 = ("PyTorch eager bf16", "PyTorch compiled bf16")
# of times and of memory: title; what is divided by what, where more than one name: by the least of theirs
RATIOS = {
    "seconds": (
        ("f32 / PyTorch's best", "MXNetSeg f32", PYTORCH_F32),
        ("f32 / OpenVINO f32", "MXNetSeg f32", ("OpenVINO f32",)),
        ("f32 / ONNX Runtime", "MXNetSeg f32", ("ONNX Runtime f32",)),
        ("bf16 / PyTorch's best bf16", "MXNetSeg bf16", PYTORCH_BF16),
        ("bf16 / OpenVINO bf16", "MXNetSeg bf16", ("OpenVINO bf16",)),
        ("int8 / f32", "MXNetSeg int8", ("MXNetSeg f32",)),
        ("int8 / best peer's int8", "MXNetSeg int8", ("ONNX Runtime int8", "OpenVINO int8")),
        ("MXNet f32 / PyTorch's best", "MXNet f32", PYTORCH_F32),
        ("step / PyTorch's best", "MXNetSeg", PYTORCH),
        ("step with `train.checkpoint` / without", CHECKPOINT, ("MXNetSeg",)),
    ),
    "memory": (
        ("memory f32 / PyTorch's least", "MXNetSeg f32", PYTORCH_F32),
        ("memory f32 / OpenVINO f32", "MXNetSeg f32", ("OpenVINO f32",)),
        ("memory bf16 / OpenVINO bf16", "MXNetSeg bf16", ("OpenVINO bf16",)),
        ("memory int8 / OpenVINO int8", "MXNetSeg int8", ("OpenVINO int8",)),
        ("memory / PyTorch's least", "MXNetSeg", PYTORCH),
        ("memory with `train.checkpoint` / PyTorch's least", CHECKPOINT, PYTORCH),
        ("memory with `train.checkpoint` / without", CHECKPOINT, ("MXNetSeg",)),
    ),
}


def tables(report: Dict[str, Any], plot: Optional[str] = None) -> str:
    """The part of the page that the suite makes: machine, ratios, and a table per task and network."""
    parts = [machine(report)]
    for task, title in (("inference", "Inference"), ("training", "Training step")):
        cases = [case for case in report["cases"] if case["task"] == task]
        if not cases:
            continue
        parts += [f"### {title}", NOTES[task].format(rounds=rounds(cases))]
        parts += [found for found in (ratio_table(cases, of) for of in RATIOS) if found]
        if task == "inference" and plot:
            parts.append(f"![Time against PyTorch's best]({plot})")
        parts += [f"#### {case['title']}\n\n{case_table(case)}" for case in cases]
    parts += [f"### {section['title']}\n\n{section['text']}" for section in report.get("sections", ())]
    return "\n\n".join(parts)


def rounds(cases: Sequence[Dict[str, Any]]) -> str:
    """How often contenders were timed."""
    counts = {len(one["seconds"]) for case in cases for one in case["contenders"].values() if "seconds" in one}
    return " to ".join(str(count) for count in sorted({min(counts, default=0), max(counts, default=0)}))


NOTES = {
    "inference": "Medians of {rounds} interleaved rounds, ± half the distance between the quartiles. Ratios are of "
    "medians; below 1 the first is faster.\n"
    "PyTorch's best is the faster of eager (in the better of two memory formats) and `torch.compile` with"
    " frozen weights.\n"
    "Memory is the resident peak of the contender's process while it is timed; it was given a file. Difference is the "
    "largest one from MXNet's logits,\n"
    "divided by the largest logit. Weights and image are random numbers, so a pixel's classes are closer "
    "than on photographs.",
    "training": "Forward, cross-entropy, backward and SGD with momentum in float32, dropout off; medians of {rounds} "
    "interleaved\n"
    "rounds. Difference is the largest one from MXNet's losses of the first three steps, divided by the "
    "largest loss.",
}


def machine(report: Dict[str, Any]) -> str:
    found = report["machine"]
    own, peers = found["versions"]["own"], found["versions"]["peers"]
    names = {
        "mxnet": "MXNet",
        "torch": "PyTorch",
        "onnxruntime": "ONNX Runtime",
        "openvino": "OpenVINO",
        "nncf": "NNCF",
    }
    versions = [f"{names[k]} {v}" for k, v in {**own, **peers}.items() if k in names and v]
    return (
        f"`python -m tools.bench`, {report['date']}: {found['processor']} ({', '.join(found['flags'])}), "
        f"{found['threads']} threads each, {found['memory_gb']} GB; {', '.join(versions)}."
    )


def ratio_table(cases: List[Dict[str, Any]], of: str = "seconds") -> str:
    """Of "seconds" or of "memory"; empty where no two that are compared were measured."""
    rows, used = [], set()
    for case in cases:
        figures = {name: median(result) for name, result in case["contenders"].items()}
        if of == "memory":
            figures = {name: figures[name] and result.get(of) for name, result in case["contenders"].items()}
        values = []
        for title, ours, theirs in RATIOS[of]:
            found = [figures[name] for name in theirs if figures.get(name) is not None]
            value = ratio(figures.get(ours), min(found) if found else None)
            values.append(value)
            if value is not None:
                used.add(title)
        rows.append((case["title"], values))
    columns = [i for i, (title, *_) in enumerate(RATIOS[of]) if title in used]
    body = [[title, *(number(values[i], 2) for i in columns)] for title, values in rows]
    return table(["network, size", *(RATIOS[of][i][0] for i in columns)], body) if used else ""


def case_table(case: Dict[str, Any]) -> str:
    rows = []
    for name, result in case["contenders"].items():
        label = f"{name} ({result['detail']})" if result.get("detail") else name
        if result.get("problem") or not result.get("seconds"):
            rows.append([label, *[""] * 5, one_line(result.get("problem") or "not timed")])
            continue
        time = summarize(result["seconds"])
        rows.append(
            [
                label,
                f"{number(time.median * 1e3, 1)} ± {number(time.spread * 1e3, 1)}",
                number(case["batch"] / time.median, 2),
                number(result.get("memory"), 0),
                f"{result['difference']:.0e}",
                "" if result["same"] is None else f"{100 * result['same']:.2f} %",
                "",
            ]
        )
    headers = ["contender", "ms", "images/s", "memory, MB", "difference", "same class", "not measured because"]
    kept = [i for i in range(len(headers)) if i < 2 or any(row[i] for row in rows)]
    return table([headers[i] for i in kept], [[row[i] for i in kept] for row in rows])


def median(result: Dict[str, Any]) -> Optional[float]:
    """Seconds, of what was measured to the end."""
    return summarize(result["seconds"]).median if result.get("seconds") and not result.get("problem") else None


def number(value: Optional[float], digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def one_line(text: str, most: int = 160) -> str:
    """A text that fits a cell."""
    text = " ".join(text.replace("|", "/").split())
    return text if len(text) <= most else text[: most - 3] + "..."


def table(headers: List[str], rows: List[List[str]]) -> str:
    aligned = ["left", *["right"] * (len(headers) - 1)]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True, colalign=aligned)


def replace_between(path, text: str) -> None:
    """Put `text` between the markers of a page, which is written whole or not at all.

    Raises
    ------
    ValueError
        The page has not exactly one pair of markers, in that order.
    """
    path = Path(path)
    page = path.read_text(encoding="utf-8")
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise ValueError(f"{path} must hold the lines {BEGIN} and {END} once each, in that order")
    before, after = page[: page.index(BEGIN)], page[page.index(END) :]
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8", suffix=".tmp") as file:
        file.write(f"{before}{BEGIN}\n\n{text.strip()}\n\n{after}")
    os.chmod(file.name, path.stat().st_mode)
    os.replace(file.name, path)
