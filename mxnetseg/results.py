"""What is kept of a prediction: one table of forms, each a function to the bytes of a file.

`mxnetseg predict --save` writes them; whoever sends them elsewhere calls `encode` alike.
"""

import io
from pathlib import Path
from typing import Callable, Dict, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from . import visual
from .annotations.describe import FORMATS, How, Labelled, as_json, coco_file
from .certainty import confidence, entropy
from .data.spec import DatasetSpec
from .errors import MXNetSegError
from .optional import check_installed

__all__ = ["FORMS", "OUTLINES", "Form", "Look", "Result", "check", "encode", "ending", "label_values", "media_type"]

OUTLINES = {"geojson": ".geojson", "coco": ".json", "labelme": ".json"}  # format of polygons -> ending of its files
TOLERANCE = 1.0  # pixels
LEAST_IOU = 0.99
DEEPEST = 65535  # what 1 is in a PNG of 16 bits


class Result(NamedTuple):
    """What was predicted for a picture.

    Attributes
    ----------
    picture : (H, W, 3) uint8 RGB
        The image to look at.
    class_map : (H, W) uint8
    probabilities : (C, H, W) float32, optional
        For the forms that are `certain`.
    file : Path
        Of the image: COCO's and LabelMe's files name it.
    name : str
        What is written for it is called so, without an ending and below `Look.folder`: "sub/a".
    """

    picture: np.ndarray
    class_map: np.ndarray
    probabilities: Optional[np.ndarray] = None
    file: Path = Path("image")
    name: str = "image"


class Look(NamedTuple):
    """What is the same for all results.

    Attributes
    ----------
    classes : sequence of str
    palette : (C, 3) uint8
    chosen : sequence of int, optional
        The classes that are drawn, cut out, outlined, ...; all when left out. Label files hold all of them anyway.
    opacity : float
        Of the class colours in an overlay, 0 to 1.
    legend : bool
        Below overlays and panels.
    values : (256,) uint8 or uint16, optional
        What label files hold for each class; its index when left out.
    outlines : str
        Format of polygons, of `OUTLINES`.
    tolerance : float
        Pixels by which polygons may be off, for fewer corners; less where one would have an IoU below 0.99 with its
        pixels.
    folder : Path
        Where the files will lie.
    """

    classes: Sequence[str]
    palette: np.ndarray
    chosen: Optional[Sequence[int]] = None
    opacity: float = visual.OPACITY
    legend: bool = True
    values: Optional[np.ndarray] = None
    outlines: str = "geojson"
    tolerance: float = TOLERANCE
    folder: Path = Path(".")

    def places(self) -> Sequence[int]:
        """The classes that are shown, in their order."""
        return range(len(self.classes)) if self.chosen is None else self.chosen

    def shown(self) -> Tuple[Sequence[str], np.ndarray]:
        """Names and colours of these."""
        return [self.classes[index] for index in self.places()], self.palette[list(self.places())]

    def drawn(self, class_map: np.ndarray) -> np.ndarray:
        """The class map in places of `shown`; 255 for the other classes."""
        if self.chosen is None:
            return class_map
        place: np.ndarray = np.full(256, 255, np.uint8)
        place[list(self.chosen)] = range(len(self.chosen))
        drawn: np.ndarray = place[class_map]
        return drawn

    def kept(self, class_map: np.ndarray) -> np.ndarray:
        """The class map, 255 for what is not shown."""
        if self.chosen is None:
            return class_map
        kept: np.ndarray = np.where(np.isin(class_map, self.chosen), class_map, np.uint8(255))
        return kept


def _label(result: Result, look: Look) -> bytes:
    return visual.png(result.class_map if look.values is None else look.values[result.class_map])


def _color(result: Result, look: Look) -> bytes:
    return visual.png(visual.colorize(look.drawn(result.class_map), look.shown()[1]))


def _overlay(result: Result, look: Look) -> bytes:
    classes, palette = look.shown()
    picture = visual.overlay(result.picture, look.drawn(result.class_map), palette, look.opacity)
    return visual.png(visual.with_legend(picture, classes, palette) if look.legend else picture)


def _panel(result: Result, look: Look) -> bytes:
    class_map = look.drawn(result.class_map)
    return visual.png(
        visual.panel(result.picture, None, class_map, *look.shown(), look.opacity, with_names=look.legend)
    )


def _cutout(result: Result, look: Look) -> bytes:
    inside = look.kept(result.class_map) != 255
    cut = np.dstack([result.picture, np.full(inside.shape, 255, np.uint8)])
    return visual.png(np.where(inside[..., None], cut, np.uint8(0)))


def _probabilities(result: Result, look: Look) -> bytes:
    file = io.BytesIO()
    planes = _certain(result)[list(look.places())].astype(np.float16)
    np.savez_compressed(file, probabilities=planes, classes=np.array(look.shown()[0]))
    return file.getvalue()


def _confidence(result: Result, look: Look) -> bytes:
    return visual.png(np.rint(DEEPEST * confidence(_certain(result))).astype(np.uint16))


def _entropy(result: Result, look: Look) -> bytes:
    return visual.png(np.rint(DEEPEST * entropy(_certain(result))).astype(np.uint16))


def _polygons(result: Result, look: Look) -> bytes:
    return _described(look.outlines, result, look, polygons=True)


def _rle(result: Result, look: Look) -> bytes:
    return _described("coco", result, look, polygons=False)


def _described(kind: str, result: Result, look: Look, polygons: bool) -> bytes:
    image = result.file.absolute()
    palette = [(int(red), int(green), int(blue)) for red, green, blue in look.palette]
    how = How(look.classes, palette, look.folder.resolve(), image.parent, look.tolerance, polygons, LEAST_IOU)
    content = FORMATS[kind][0](Labelled(result.name, image), look.kept(result.class_map), how)
    return as_json(coco_file([content], look.classes) if kind == "coco" else content)


def _certain(result: Result) -> np.ndarray:
    if result.probabilities is None:
        raise ValueError("this form is made of probabilities, which the result is without")
    return result.probabilities


class Form(NamedTuple):
    """How one form is made.

    Attributes
    ----------
    ending : str
        Of its files; polygons have that of their format.
    media : str
        Its media type.
    encode : callable
        (Result, Look) -> bytes.
    options : tuple of str
        Which options of `mxnetseg predict` it heeds.
    certain : bool
        It is made of the probabilities.
    """

    ending: str
    media: str
    encode: Callable[[Result, Look], bytes]
    options: Tuple[str, ...] = ()
    certain: bool = False


_FRAMED = ("--opacity", "--no-legend", "--classes")
_PNG, _JSON = (".png", "image/png"), (".json", "application/json")
FORMS: Dict[str, Form] = {
    "label": Form(*_PNG, _label, ("--labels-as",)),
    "color": Form(*_PNG, _color, ("--classes",)),
    "overlay": Form(*_PNG, _overlay, _FRAMED),
    "panel": Form(*_PNG, _panel, _FRAMED),
    "cutout": Form(*_PNG, _cutout, ("--classes",)),
    "probabilities": Form(".npz", "application/octet-stream", _probabilities, ("--classes",), True),
    "confidence": Form(*_PNG, _confidence, (), True),
    "entropy": Form(*_PNG, _entropy, (), True),
    "polygons": Form(*_JSON, _polygons, ("--classes", "--polygons", "--tolerance")),
    "rle": Form(*_JSON, _rle, ("--classes",)),
}


def encode(form: str, result: Result, look: Look) -> bytes:
    """The content of a file."""
    return FORMS[form].encode(result, look)


def ending(form: str, outlines: str = "geojson") -> str:
    """What the name of a file of this form ends with: ".png"; of polygons in the format `outlines`."""
    return OUTLINES[outlines] if form == "polygons" else FORMS[form].ending


def media_type(form: str, outlines: str = "geojson") -> str:
    """Of what `encode` gives: "image/png"."""
    return "application/geo+json" if ending(form, outlines) == ".geojson" else FORMS[form].media


def check(forms: Sequence[str], chosen: bool) -> None:
    """Raise MXNetSegError for what keeps forms from being made: no classes to cut out, a package that is missing."""
    if "cutout" in forms and not chosen:
        raise MXNetSegError("a cutout shows some classes and leaves out the others; name them, --classes road car")
    if "rle" in forms:
        check_installed("pycocotools", "writing COCO's run lengths")


def label_values(spec: DatasetSpec, option: str) -> np.ndarray:
    """Class index -> value in the data set's own masks, (256,) uint8, or uint16 where values exceed 255.

    Raises
    ------
    MXNetSegError
        The masks hold class indices, or colours, or no value for a class; `option` asked for their values.
    """
    if spec.colours:
        raise MXNetSegError(f"{option}: the masks of {spec.name} hold colours, as color pictures do; leave it out")
    if spec.label_map is None:
        raise MXNetSegError(f"{option}: {spec.name} has no ids besides its class indices; leave it out")
    without = sorted({*range(spec.num_classes)} - {*spec.label_map.values()})
    if without:  # any number would be taken for another class, or for unlabelled
        name = spec.classes[without[0]]
        raise MXNetSegError(f"{option}: no value in the masks of {spec.name} stands for class {name}; leave it out")
    values: np.ndarray = np.zeros(256, np.uint8 if max(spec.label_map) < 256 else np.uint16)
    for raw, index in sorted(spec.label_map.items(), reverse=True):
        values[index] = raw
    return values
