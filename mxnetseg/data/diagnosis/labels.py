"""What the label values of a split give away."""

from typing import Iterator, List, Optional, Sequence

import numpy as np

from ..hints import some
from ..spec import DatasetSpec
from .finding import Finding
from .tally import Tally

__all__ = ["label_findings", "palette_findings", "suspicious", "value_findings", "weightless"]

NAMED = 8  # label values that get a finding of their own
PICTURE = 32  # so many values that are no class: not labels, but a picture, or labels with blurred edges
MOST = 0.995  # share of the pixels


def suspicious(tally: Tally, weights: Optional[Sequence[float]]) -> bool:
    """Whether what was looked at lacks something that further masks may hold."""
    return tally.labelled and (len(tally.present) < 2 or weightless(tally, weights))


def weightless(tally: Tally, weights: Optional[Sequence[float]]) -> bool:
    """Whether the weights in the loss of all classes that were seen are 0."""
    return (
        weights is not None and bool(tally.present) and not any(weights[i] for i in tally.present if i < len(weights))
    )


def label_findings(tally: Tally, trains: bool, decides: bool) -> Iterator[Finding]:
    """Findings on the classes that have pixels.

    `trains`: a run learns from this split; `decides`: it does, or none of the splits is for learning.
    """
    dataset, spec = tally.dataset, tally.dataset.spec
    split, present = dataset.split, tally.present
    if not tally.labelled or not tally.values:
        return
    examples = tuple(str(path) for path in dataset.masks()[:1])
    if not present:
        yield Finding(
            "nothing_labelled",
            True,
            f"{split}: no pixel of any class of {spec.name} in the masks (such as {examples[0]}; {tally.of} looked "
            f"at), which hold {_shares(tally)}",
            "are they another data set's, or in another format?",
            examples,
            share=0.0,
        )
        return
    binary = _zero_and_255(tally, decides)
    if binary:
        yield binary
    elif len(present) == 1:
        name = spec.classes[present[0]]
        yield Finding(
            "one_class",
            trains,
            f"{split}: {name} is the only class that has pixels in {tally.of}, so every answer of {name} is right and "
            f"mIoU says nothing; the masks hold {_shares(tally)}",
            "name every value with data.classes, or say what it stands for with data.label_map",
            examples,
            tuple(tally.values),
            1.0,
        )
    else:
        share = tally.pixels.max() / tally.pixels.sum()
        name = spec.classes[int(tally.pixels.argmax())]
        if share > MOST:
            yield Finding(
                "nearly_one_class",
                False,
                f"{split}: {name} takes {100 * share:.2f} % of the labelled pixels, so a network that always answers "
                f"{name} has nearly as good a pixel accuracy",
                "look at the other classes' IoU; loss.class_weights, a dice loss or data.rare_class may help",
                share=float(share),
            )
    yield from _never(tally, trains)
    share = tally.void / max(tally.total, 1)
    if share > 0.5:
        ignored = [v for v in tally.values if tally.class_of(v) is None and v not in tally.unknown]
        yield Finding(
            "mostly_ignored",
            False,
            f"{split}: {100 * share:.1f} % of the pixels are ignored ({spec.value_kind}s {spec.values_text(ignored)})",
            "if one of these values is a class, name it with data.classes or data.label_map",
            values=tuple(ignored),
            share=share,
        )
    if tally.blank:
        paths = [str(dataset.masks()[i]) for i in tally.blank]
        yield Finding(
            "blank_masks",
            False,
            f"{split}: {len(paths):,} of {tally.of} hold no pixel of any class: {some(paths)}",
            "nothing is learned from these images",
            tuple(paths),
            share=len(paths) / tally.looked,
        )


def _zero_and_255(tally: Tally, decides: bool) -> Optional[Finding]:
    """Masks drawn in black and white, whose white stands for nothing."""
    if set(tally.values) != {0, 255} or tally.class_of(255) is not None or 255 in tally.unknown:
        return None
    share = tally.values[255] / sum(tally.values.values())
    return Finding(
        "zero_and_255",
        decides,
        f"{tally.dataset.split}: the masks hold only 0 and 255 ({tally.of} looked at), and 255, {100 * share:.1f} % of "
        "the pixels, is ignored: what is drawn in white is neither learned nor scored, and mIoU is 100 for a network "
        "that always answers "
        f"{tally.dataset.classes[tally.present[0]]}",
        "did you mean data.label_map: {0: 0, 255: 1}?",
        tuple(tally.examples(255)),
        (0, 255),
        share,
    )


def _never(tally: Tally, trains: bool) -> Iterator[Finding]:
    never = [name for name, count in zip(tally.dataset.classes, tally.pixels) if not count]
    if not never or not tally.complete:  # else they may be in what was not looked at
        return
    split, spec = tally.dataset.split, tally.dataset.spec
    what = f"{split}: classes that never occur: {', '.join(never)}"
    share = len(never) / spec.num_classes
    if trains:
        remedy = "the network can't learn them"
        if share > 0.5 and len(never) > 2:
            remedy += f"; are these the masks of {spec.name}? data.classes names your own"
        yield Finding("never_trained", False, what, remedy, share=share)
    else:
        yield Finding("never", False, what, share=share)
    if spec.label_map is None and spec.num_classes > 2 and never == [spec.classes[0]] and 0 not in tally.values:
        yield Finding(
            "shifted",
            False,
            f"{split}: label values run from 1 to {spec.num_classes - 1}, and {spec.classes[0]}, which is 0, never "
            "occurs: are the labels shifted by one?",
            f"if 1 is {spec.classes[0]}, say {_shift(spec)}",
            values=tuple(sorted(tally.values)),
        )


def value_findings(tally: Tally) -> Iterator[Finding]:
    """Label values that are neither a class nor ignored, the frequent ones first."""
    dataset, spec, unknown = tally.dataset, tally.dataset.spec, tally.unknown
    hint, kind = _hint(tally), "unknown_value"
    if hint and hint[0] == "shifted":
        kind = "shifted"
    remedy = hint[1] if hint else dataset.remedy()
    labelled = sum(tally.values.values())
    for value in sorted(list(unknown)[:NAMED]):
        yield Finding(
            kind,
            True,
            f"{dataset.split}: {spec.value_kind} {spec.value_text(value)} is neither a class nor ignored: "
            f"{unknown[value]} pixels in {len(tally.places[value])} masks, {', '.join(tally.examples(value))}",
            remedy,
            tuple(tally.examples(value)),
            (value,),
            unknown[value] / labelled,
        )
    more = list(unknown)[NAMED:]
    if more:
        yield Finding(
            kind,
            True,
            f"{dataset.split}: {len(more)} more {spec.value_kind}s are neither a class nor ignored: "
            f"{spec.values_text(more)}",
            remedy,
            values=tuple(sorted(more)),
            share=sum(unknown[value] for value in more) / labelled,
        )


def palette_findings(tally: Tally) -> Iterator[Finding]:
    """One number, several colours: every palette numbers its own, so numbers mean nothing.

    In a known data set numbers have their meaning, whatever the palettes.
    """
    if tally.dataset.spec.name != "folder":
        return
    several = {value: colours for value, colours in tally.palettes.items() if len(colours) > 1}
    for value, colours in list(several.items())[:1]:
        (one, first), (other, second) = list(colours.items())[:2]
        yield Finding(
            "palettes_differ",
            True,
            f"{tally.dataset.split}: palettes of the masks differ: label value {value} is the colour {_rgb(one)} in "
            f"{first} and {_rgb(other)} in {second} ({len(several)} of {len(tally.palettes)} such values)",
            "if the colours tell classes apart, say what they are with data.colors (data.name: folder)",
            (first, second),
            tuple(sorted(several)),
        )


def _rgb(colour: int) -> List[int]:
    return [colour >> 16, colour >> 8 & 255, colour & 255]


def _hint(tally: Tally) -> Optional[Sequence[str]]:
    """(kind, remedy): what the values as a whole look like."""
    spec, unknown = tally.dataset.spec, set(tally.unknown)
    count, values = spec.num_classes, sorted(v for v in tally.values if v not in spec.ignore)
    if not unknown or spec.colours:
        return None
    if spec.label_map is None and unknown == {count}:
        if 0 not in values:
            return "shifted", f"the values run from 1 to {count}, one too high: say {_shift(spec)}"
        return "shifted", (
            f"the values run from 0 to {count}, one more than there are classes: name the class of 0, a background "
            f"say, as the first of data.classes, or, where 0 means unlabelled as in ADE20K's masks, say {_shift(spec)} "
            "and data.ignore: [0, 255]"
        )
    shift = {value + 1: value for value in range(count)}
    if spec.label_map and dict(spec.label_map) == shift and unknown == {255} and count not in tally.values:
        return "shifted", (
            f"and {count} never occurs: the masks look shifted by one already (reduce_zero_label); say data.label_map: "
            f"{{0: 0, ..., {count - 1}: {count - 1}}} and data.ignore: [255]"
        )
    if len(unknown) > PICTURE:
        return "picture", (
            f"{len(unknown)} such values: a picture instead of a mask, or labels with edges blurred by resizing or by "
            "JPEG: resize masks with nearest neighbour and keep them as PNG"
        )
    if spec.label_map is None and len(values) == count and count > 1:
        table = ", ".join(f"{value}: {index}" for index, value in enumerate(values))
        return "unknown_value", f"did you mean data.label_map: {{{table}}}?"
    return None


def _shift(spec: DatasetSpec) -> str:
    count = spec.num_classes
    listed = [f"{value}: {value - 1}" for value in range(1, count + 1)]
    return f"data.label_map: {{{', '.join(listed if count <= 4 else [*listed[:2], '...', listed[-1]])}}}"


def _shares(tally: Tally) -> str:
    """0 (81.2 %), 255 (18.8 %)"""
    total = sum(tally.values.values())
    common: List[int] = sorted(tally.values, key=lambda value: -tally.values[value])
    text = tally.dataset.spec.value_text
    return some([f"{text(value)} ({100 * np.divide(tally.values[value], total):.1f} %)" for value in common], 6)
