"""What a recipe alone gives away, before a file is read."""

from typing import Iterator, Optional, Sequence

from ...config.schema import DataConfig
from ...names import counted, same
from ..hints import some
from ..spec import DatasetSpec
from .finding import Finding
from .labels import weightless
from .tally import Tally

__all__ = ["feeding_findings", "meaning_findings", "split_findings", "turned_findings", "weight_findings"]


def split_findings(data: DataConfig, validating: bool) -> Iterator[Finding]:
    """Training images that would be validated on; `validating` is whether a run is about to."""
    trained, scored = data.train_split.split("+"), data.val_split.split("+")
    both = [name for name in trained if any(same(name, other) for other in scored)]
    equal = same(data.train_split, data.val_split)
    if both:
        what = f"data.val_split {data.val_split} is " + ("data.train_split" if equal else "a part of data.train_split")
        yield Finding(
            "val_is_train",
            validating or equal,
            f"{what} {data.train_split}: the images that are scored are learned from, so scores say nothing of others",
            "name another split, or make one with `mxnetseg data split`; train --no-val does without",
        )
    elif same(data.name, "folder") and "{split}" not in f"{data.images} {data.masks} {data.lists}":
        yield Finding(
            "no_split",
            True,
            (f"data.lists is {data.lists}" if data.lists else f"data.images is {data.images}")
            + f", without {{split}}: {data.train_split} and {data.val_split} are the same images, so scores say "
            "nothing of others",
            "give each split a folder and say images/{split}, or make lists with `mxnetseg data split`",
        )


def meaning_findings(data: DataConfig, spec: DatasetSpec) -> Iterator[Finding]:
    """Label values that mean two things."""
    ignored = spec.ignore if data.ignore is not None or not same(data.name, "folder") else ()
    twice = sorted(set(ignored) & set(spec.raw_values()))
    if twice:
        values = spec.raw_values()
        named = some([f"{spec.value_text(value)} ({spec.classes[values[value]]})" for value in twice])
        yield Finding(
            "class_and_ignored",
            True,
            f"label values that are a class and ignored: {named}",
            "take them out of data.ignore or of data.label_map",
            values=tuple(twice),
        )


def feeding_findings(data: DataConfig, tallies: Sequence[Tally]) -> Iterator[Finding]:
    """Mean and deviation that do not fit the pixels."""
    bright = [value for tally in tallies for value in tally.bright]
    average = sum(bright) / len(bright) if bright else 0.0
    if average <= 2 or max(*data.mean, *data.std) > 1:
        return
    plain = not any(data.mean) and set(data.std) == {1.0}  # somebody wants the pixels as they are
    yield Finding(
        "mean_std",
        not plain,
        f"data.mean {list(data.mean)} and data.std {list(data.std)} are for pixels from 0 to 1, but these are from 0 "
        f"to 255 ({average:.0f} on average)",
        "multiply both by 255, or leave them out for ImageNet's",
    )


def turned_findings(tally: Tally) -> Iterator[Finding]:
    """Images that EXIF turns by a half, or mirrors, so that only eyes can tell whether masks are, too."""
    paths = [str(tally.dataset.image_paths[place]) for place in tally.turned]
    if paths:
        used, other = ("upright", "raw") if tally.dataset.reading.upright else ("raw", "upright")
        yield Finding(
            "turned",
            False,
            f"{tally.dataset.split}: {counted(len(paths), 'image')} turned by EXIF, to the same size, and read as "
            f"data.exif {used}: {some(paths)}",
            f"look whether their masks fit, with `mxnetseg data browse`; if not, say data.exif: {other}",
            tuple(paths),
            share=len(paths) / tally.looked,
        )


def weight_findings(tally: Tally, weights: Optional[Sequence[float]]) -> Iterator[Finding]:
    """A loss to which no class that there is counts."""
    if weightless(tally, weights):
        names = [tally.dataset.classes[index] for index in tally.present]
        yield Finding(
            "weights_zero",
            True,
            f"loss.class_weights is 0 for every class that the masks show ({some(names)}; {tally.of} looked at), so "
            "nothing would be learned",
            "give these classes weights, in the order of data.classes",
        )
