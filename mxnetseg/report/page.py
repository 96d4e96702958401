"""The report as one HTML page that needs nothing but itself."""

import base64
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import yaml

from .. import __version__
from ..flops import short
from ..names import counted
from .pictures import EDGES, ERRORS, MOST
from .plots import inline
from .results import Results

__all__ = ["Ranking", "budgeted", "render", "report_page"]

TEMPLATES = Path(__file__).parent / "templates"
MOST_BYTES = 18 << 20  # of pictures in a page; a third more as text
PARTS = ["image", "truth", "prediction", "errors"]
Ranking = Dict[str, Any]  # label, items: (number of an image, what is said of it), the worst first


def report_page(results: Results, numbers: Dict[str, Any], plots: Mapping[str, bytes]) -> bytes:
    """The page of one network; `plots` are SVG files by name."""
    from markupsafe import Markup

    rankings = _rankings(results, numbers)
    chosen = budgeted(rankings, results.pictures)
    scores = numbers["scores"]
    cards = [
        ("mIoU", scores["miou"], ""),
        ("Pixels right", scores["pa"], ""),
        ("Mean accuracy", scores["macc"], ""),
        ("Mean Dice", scores["mdice"], ""),
        ("Boundary IoU", scores["boundary_iou"], "2 % of the diagonal"),
        ("Calibration error", scores["ece"], ""),
    ]
    drawn = {name: Markup(inline(plots[name], name)) for name in ("borders", "sizes", "reliability", "coverage")}
    return render(
        "report.html",
        chosen,
        rankings,
        parts_shown=PARTS,
        n=numbers,
        heading=_heading(results),
        facts=_facts(results),
        cards=cards,
        plots=drawn,
        total=max(sum(row["pixels"] for row in numbers["per_class"]), 1),
        sure=_sure(numbers["coverage"]),
        classes=results.classes,
        palette=results.palette,
        confusion=numbers["confusion"],
        names=results.names,
    )


def render(
    template: str,
    pictures: Mapping[int, Sequence[bytes]],
    rankings: Sequence[Ranking],
    *,
    parts_shown: Sequence[str],
    names: Sequence[str],
    classes: Sequence[str],
    confusion: Any = None,
    **values: Any,
) -> bytes:
    """A template of the package, filled in; what is no text of ours is escaped."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(TEMPLATES)), autoescape=True, undefined=jinja2.StrictUndefined
    )
    left = [dict(ranking, items=[each for each in ranking["items"] if each[0] in pictures]) for ranking in rankings]
    left = [ranking for ranking in left if ranking["items"]]
    text = environment.get_template(template).render(
        **values,
        parts=environment.get_template("parts.html").module,
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        script=Markup((TEMPLATES / "page.js").read_text(encoding="utf-8")),
        version=__version__,
        classes=classes,
        rankings=left,
        errors=_error_legend(),
        pictures={number: [_encoded(file) for file in files] for number, files in pictures.items()},
        data=dict(
            parts=parts_shown, images=[*map(_unicode, names)], classes=classes, confusion=confusion, rankings=left
        ),
    )
    return _unicode(text).encode()


def budgeted(rankings: Sequence[Ranking], pictures: Mapping[int, Sequence[bytes]]) -> Dict[int, Sequence[bytes]]:
    """The pictures that go into a page: the worst of every ranking in turn, until there is no more room."""
    chosen: Dict[int, Sequence[bytes]] = {}
    room = MOST_BYTES
    for place in range(max((len(ranking["items"]) for ranking in rankings), default=0)):
        for ranking in rankings:
            number = ranking["items"][place][0] if place < len(ranking["items"]) else None
            if number is None or number in chosen or number not in pictures:
                continue
            room -= sum(map(len, pictures[number]))
            if room < 0:
                return chosen
            chosen[number] = pictures[number]
    return chosen


def _rankings(results: Results, numbers: Dict[str, Any]) -> List[Ranking]:
    images = numbers["images"]
    there = [number for number in range(len(images)) if number in results.pictures]

    def ranking(label: str, scores: Iterable[Tuple[float, int]], say: Any, most: Optional[int] = None) -> Ranking:
        return {"label": label, "items": [(number, say(images[number])) for _, number in sorted(scores)[:most]]}

    def in_general(row: Dict[str, Any]) -> str:
        return f"mIoU {_percent(row['miou'])}, pixels right {_percent(row['pa'])}"

    found = [
        ranking("lowest mIoU", ((_or_one(images[n]["miou"]), n) for n in there), in_general),
        ranking(
            "most pixels wrong and sure",
            ((-images[n]["sure_and_wrong"], n) for n in there if images[n]["sure_and_wrong"]),
            lambda row: f"wrong with a confidence of 90 % and more: {_percent(row['sure_and_wrong'])} of the pixels",
        ),
        ranking(
            "least confident",
            ((_or_one(images[n]["confidence"]), n) for n in there),
            lambda row: f"mean confidence {_percent(row['confidence'])}, pixels right {_percent(row['pa'])}",
        ),
    ]
    for index, name in enumerate(results.classes):
        costly = [(-images[n]["classes"][index][1], n) for n in there if images[n]["classes"].get(index, [0, 0])[1]]

        def of_class(row: Dict[str, Any], index: int = index) -> str:
            iou, lost = row["classes"][index]
            return f"IoU {_percent(iou)}, {lost:,} pixels missed or false"

        found.append(ranking(f"class: {name}", costly, of_class, MOST["class"]))
    return found


def _heading(results: Results) -> str:
    about = results.about
    network = about.get("network") or {}
    title = (
        f"{network['name']} on {network['backbone']}" if network.get("name") else about.get("checkpoint") or "Report"
    )
    return f"{title}: {about.get('data', '?')} {about.get('split', '')}".strip()


def _facts(results: Results) -> Dict[str, Any]:
    """What was scored, in words."""
    about = results.about
    rows: List[Tuple[str, str]] = []

    def add(key: str, text: Any) -> None:
        if text not in (None, "", [], {}):
            rows.append((key, str(text)))

    add("Checkpoint", about.get("checkpoint"))
    add("SHA-256", about.get("sha256"))
    add("Network", _pairs(about.get("network")))
    add("Run as", about.get("dtype"))
    if about.get("parameters"):
        add("Parameters", f"{short(about['parameters'], 'M')} ({about['parameters']:,})")
    if about.get("flops"):
        at = "x".join(str(side) for side in about["flops_at"])
        add("FLOPs", f"{short(about['flops'], 'G')} multiply-accumulates, one pass at {at}")
    if about.get("iteration"):
        add("Trained", f"{about['iteration']:,} of {about.get('iterations') or '?':,} iterations")
    add("Data", f"{about.get('data')}, split {about.get('split')}, {counted(len(results), 'image')}")
    add("Digest of the data", about.get("digest"))
    add("Evaluation", _pairs(about.get("eval")))
    if about.get("seconds"):
        each = about["seconds"] / max(len(results), 1)
        where = ", ".join(about.get("contexts", []))
        add("Time", f"{about['seconds']:.0f} s, {each:.2f} s per image with all that is counted, on {where}")
    add("Scored with", _pairs(about.get("versions")))
    add("Trained with", _pairs(about.get("trained_with")))
    created = (about.get("versions") or {}).get("created", "")[:10]
    classes = "1 class" if len(results.classes) == 1 else f"{len(results.classes)} classes"
    sizes = f"{counted(len(results), 'image')}, {classes}"
    summary = "; ".join(part for part in (sizes, about.get("checkpoint"), created) if part)
    recipe = about.get("recipe")
    text = yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True) if recipe else ""
    return {"rows": rows, "summary": summary, "recipe": text}


def _pairs(facts: Optional[Mapping[str, Any]]) -> str:
    return ", ".join(f"{key} {value}" for key, value in (facts or {}).items() if value not in (None, [], {}))


def _sure(coverage: Dict[str, Any]) -> str:
    """From which confidence on 99 or 95 % of the pixels are right, in a sentence; empty where that is never so."""
    for wanted in (0.99, 0.95):
        for confidence, pixels, accuracy in zip(*(coverage[key] for key in ("confidence", "pixels", "accuracy"))):
            if accuracy is not None and accuracy >= wanted:
                which = f"The {_percent(pixels)} % of the pixels with a confidence of {100 * confidence:.0f} % and more"
                return f"{which} are right in {100 * wanted:.0f} % of the cases." if confidence else ""
    return ""


def _error_legend() -> List[Tuple[str, Tuple[int, int, int]]]:
    low, middle, high = (f"{100 * edge:.0f}" for edge in EDGES)
    names = [
        "ignored",
        "right",
        f"wrong, confidence below {low} %",
        f"{low}–{middle}",
        f"{middle}–{high}",
        f"above {high}",
    ]
    return list(zip(names, ERRORS))


def _encoded(file: bytes) -> Tuple[str, str]:
    return "p" if file.startswith(b"\x89PNG") else "w", base64.b64encode(file).decode()


def _unicode(text: str) -> str:
    """With what can be written for halves of characters, which names of files may hold."""
    return text.encode("utf-8", "replace").decode()


def _percent(value: Optional[float]) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _or_one(value: Optional[float]) -> float:
    return 1.0 if value is None else value
