"""Annotations of other tools -> a folder of images and masks that a recipe reads as it is."""

import contextlib
import re
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Union

import numpy as np
import yaml

from ..config.schema import MAX_PIXELS
from ..data import IGNORE
from ..data.split import below
from ..data.workers import check_workers, in_order
from ..errors import MXNetSegError
from ..names import counted
from ..progress import progress_bar
from ..saving import whole_folder, write_file
from . import coco, colors, cvat, labelme, voc_xml
from .gather import named, with_others
from .making import Made, Make
from .names import Target, Wishes, target
from .picture import Annotations, Kinds, Picture, Request
from .reading import Images, listed, stop

__all__ = ["FORMATS", "convert"]

FORMATS: Dict[str, Callable[[Request], Annotations]] = {
    "coco": coco.read,
    "colors": colors.read,
    "cvat": cvat.read,
    "labelme": labelme.read,
    "voc-xml": voc_xml.read,
}
FEW = 32  # pictures: fewer are not worth starting workers for


def convert(
    kind: str,
    source: Union[str, Path],
    to: Union[str, Path],
    *,
    images: Union[str, Path, None] = None,
    annotations: str = "",
    wishes: Optional[Wishes] = None,
    kinds: Optional[Kinds] = None,
    hole: Optional[str] = None,
    colors_file: Union[str, Path, None] = None,
    overlap: Optional[str] = None,
    crowd: str = "class",
    keep_empty: bool = False,
    exif: Optional[str] = None,
    max_pixels: int = MAX_PIXELS,
    workers: int = 0,
    progress: bool = True,
) -> Dict[str, Any]:
    """Make a folder of images, masks, lists and a recipe's `data` from annotations.

    Parameters
    ----------
    kind : str
        One of FORMATS.
    source, to : path
        Folder of the annotations; folder to make, which must be new or empty. It appears whole or not at all.
    images : path, optional
        Folder of the images; `source` when left out.
    annotations : str
        Pattern of the annotation files below `source`; all of their ending when left out.
    wishes : Wishes, optional
        Classes and how labels fit them.
    kinds : Kinds, optional
        Which shapes without an area are drawn or left out.
    hole, colors_file : optional
        See `picture.Request`.
    overlap, crowd : str
        See `draw`; overlap is the format's usual one when left out.
    keep_empty : bool
        Images that no annotation file speaks of become masks in which nothing is drawn; else they are left out.
    exif : str, optional
        Which way round images were annotated that EXIF turns, where their sizes don't tell: upright or raw.
    max_pixels : int
        Larger images are refused.
    workers : int
        Processes.

    Returns
    -------
    dict
        `classes` (per class pixels, share and images), `ignored` and `hidden` (pixels), `rest` (what nothing covers:
        its name and share), `images`, `splits` (images by split), `data` (the recipe's part), and `notes`.

    Raises
    ------
    MXNetSegError
        What the readers, `target` and `draw` refuse; sizes that differ from the images'; two pictures of one name.
        Damaged files and pictures are told together.
    """
    source, to, kinds = Path(source), Path(to), kinds or Kinds()
    check_workers(workers)
    pool = Images(Path(images) if images else source)
    table = Path(colors_file) if colors_file else None
    found = FORMATS[kind](Request(source, annotations, pool, kinds, hole, table, max_pixels))
    kinds.check()
    goal = _goal(found, wishes or Wishes())
    pictures, notes = with_others(found.pictures, pool, keep_empty)
    pictures = named(pictures)
    notes += _alike(goal.classes)
    notes += [
        f"left out: {counted(count, 'shape')} of the kind {kind!r}" for kind, count in sorted(kinds.skipped.items())
    ]
    counts = np.zeros((len(pictures), 256), np.int64)
    made: List[Made] = []
    faults: List[str] = []
    with whole_folder(to) as folder:
        job = Make(folder, goal, overlap or found.overlap, crowd, exif, max_pixels)
        results = in_order(job, pictures, workers if len(pictures) > FEW else 0)
        bar = progress_bar(total=len(pictures), desc=kind, unit="img", shown=progress)
        with bar, contextlib.closing(results):
            for result in results:
                if isinstance(result, str):
                    faults.append(result)
                else:
                    counts[len(made)] = result.counts
                    made.append(result)
                bar.update()
        stop(faults)
        notes += _notes(pictures, made)
        splits = _write_lists(folder, pictures, made)
        if "all" in splits and len(splits) > 1:
            alone, others = splits["all"], [name for split, names in splits.items() if split != "all" for name in names]
            notes.append(
                f"{len(others)} of {counted(len(pictures), 'image')} have names or folders that speak of a split "
                f"({listed(others, 3)}); the others are in all.txt alone: {listed(alone, 3)}"
            )
        data = {**_data(to, goal), **_exif(pictures, made)}
        if max_pixels > MAX_PIXELS:
            data["max_pixels"] = max_pixels
        text = yaml.safe_dump({"data": data}, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
        write_file(folder / "data.yaml", text.encode())
    pixels, total = counts.sum(0), max(int(counts.sum()), 1)
    return dict(
        images=len(pictures),
        splits={split: len(names) for split, names in splits.items()},
        classes={
            name: dict(
                pixels=int(pixels[index]),
                share=round(int(pixels[index]) / total, 6),
                images=int(np.count_nonzero(counts[:, index])),
            )
            for index, name in enumerate(goal.classes)
        },
        ignored=int(pixels[IGNORE]),
        rest=dict(
            name="ignored" if goal.rest == IGNORE else goal.classes[goal.rest],
            share=round(sum(one.drawn.rest for one in made) / total, 6),
        ),
        hidden=sum(one.drawn.hidden for one in made),
        data=data,
        notes=notes,
    )


def _alike(classes: Sequence[str]) -> List[str]:
    """What is to be said of classes whose names differ in capitals or blanks alone."""
    groups: Dict[str, List[str]] = {}
    for name in classes:
        groups.setdefault("".join(re.findall(r"\w", name.casefold())), []).append(name)
    return [
        f"classes of almost the same name: {', '.join(names)}; if they are one, --rename '{names[1]}={names[0]}'"
        for key, names in groups.items()
        if key and len(names) > 1
    ]


def _goal(found: Annotations, wishes: Wishes) -> Target:
    """The classes, in the files' own colours where they have some."""
    goal = target(found.names, wishes._replace(rest=found.rest) if wishes.rest is None else wishes)
    return goal._replace(palette=[found.colours.get(name, own) for name, own in zip(goal.classes, goal.palette)])


def _notes(pictures: Sequence[Picture], made: Sequence[Made]) -> List[str]:
    """What is to be said of objects that can't be seen; an error if that is so of all."""
    empty = [(picture, label) for picture, one in zip(pictures, made) for label in one.drawn.empty]
    objects = sum(len(picture.things) for picture in pictures)
    if not empty:
        return []
    told = f"{len(empty)} of {counted(objects, 'object')} cover no pixel: " + listed(
        [f"{p.source} ({n})" for p, n in empty], 3
    )
    if len(empty) == objects:
        raise MXNetSegError(f"{told}; are their coordinates in pixels?")
    by_label = Counter(label for _, label in empty)
    return [f"{told}; by label: {', '.join(f'{label} {count}' for label, count in by_label.most_common(8))}"]


def _write_lists(folder: Path, pictures: Sequence[Picture], made: Sequence[Made]) -> Dict[str, List[str]]:
    """A list of images for every split that the annotations speak of; all.txt where they don't."""
    splits: Dict[str, List[str]] = {}
    for picture, one in zip(pictures, made):
        splits.setdefault(picture.split or "all", []).append(below(folder / one.image, folder))
    for split, names in splits.items():
        write_file(folder / f"{split}.txt", ("\n".join(sorted(names)) + "\n").encode("utf-8", "surrogateescape"))
    return splits


def _data(to: Path, goal: Target) -> Dict[str, Any]:
    """A recipe's `data` that reads the folder."""
    data: Dict[str, Any] = dict(name="folder", root=str(to.resolve()), images="images", masks="masks")
    data["lists"] = "{split}.txt"
    data.update(classes=goal.classes, palette=[list(map(int, colour)) for colour in goal.palette])
    return data


def _exif(pictures: Sequence[Picture], made: Sequence[Made]) -> Dict[str, str]:
    """`data.exif`, where it makes a difference."""
    first: Dict[str, Picture] = {}
    for picture, one in zip(pictures, made):
        if one.exif:
            first.setdefault(one.exif, picture)
    if len(first) > 1:
        raise MXNetSegError(
            f"{first['upright'].source} was annotated as viewers show it, turned (EXIF), but {first['raw'].source} as "
            "it is stored; convert them apart"
        )
    return {"exif": next(iter(first))} if first else {}
