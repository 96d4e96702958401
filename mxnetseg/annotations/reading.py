"""Files that others wrote, read with suspicion: JSON against a schema, XML without entities, images by their header."""

import re
import unicodedata
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple, Type, TypeVar, Union
from xml.etree import ElementTree

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import Annotated

from ..config.schema import MAX_PIXELS
from ..data.files import read_header_of
from ..data.reading import Damaged, Header, read_header
from ..data.spec import IMAGES
from ..errors import MXNetSegError
from ..names import counted

__all__ = [
    "Attributes",
    "Content",
    "Coordinate",
    "Images",
    "Side",
    "each",
    "files_like",
    "image_header",
    "listed",
    "read_json",
    "read_xml",
    "stop",
    "turned_size",
]

Side = Annotated[int, Field(ge=1, le=100_000)]
# far beyond any image, and small enough to be computed with
Coordinate = Annotated[float, Field(ge=-1e7, le=1e7, allow_inf_nan=False)]


class Content(BaseModel):
    """A part of an annotation file; what it holds besides does not matter."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


Model = TypeVar("Model", bound=BaseModel)
Item = TypeVar("Item")
Read = TypeVar("Read")
MOST_FAULTS = 10  # that are told


def each(read: Callable[[Item], Read], items: Iterable[Item]) -> List[Read]:
    """`read` of every item; raises one MXNetSegError for all that it refuses."""
    found, faults = [], []
    for item in items:
        try:
            found.append(read(item))
        except MXNetSegError as err:
            faults.append(str(err))
    stop(faults)
    return found


def stop(faults: Sequence[str]) -> None:
    """Raise MXNetSegError with the first of the faults and their number, if there are any."""
    if not faults:
        return
    more = [f"and {len(faults) - MOST_FAULTS} more"] if len(faults) > MOST_FAULTS else []
    told = [f"{len(faults)} faults, and nothing is written:", *faults[:MOST_FAULTS], *more]
    raise MXNetSegError("\n  ".join(told) if faults[1:] else faults[0])


def files_like(folder: Path, pattern: str) -> List[Path]:
    """The files below a folder that fit a pattern such as "**/*.json", in order of their names; none that is hidden.

    Raises
    ------
    MXNetSegError
        No such folder, or none in it.
    """
    if not folder.is_dir():
        raise MXNetSegError(f"--from {folder}: no such folder")
    try:
        found = [path for path in sorted(folder.glob(pattern)) if path.is_file() and not _hidden(path, folder)]
    except (ValueError, NotImplementedError, IndexError) as err:
        raise MXNetSegError(f"--annotations {pattern}: a pattern below --from, such as 'train/*.json' ({err})") from err
    if not found:
        raise MXNetSegError(f"{folder} holds no annotations like {pattern}; --annotations PATTERN names others")
    return found


def read_json(path: Path, model: Type[Model], kind: str) -> Model:
    """A JSON file as `model`.

    Raises
    ------
    MXNetSegError
        It can't be read, is no JSON, or says other things than a file of this kind should.
    """
    content = _bytes(path)
    try:
        return model.model_validate_json(content[3:] if content[:3] == b"\xef\xbb\xbf" else content)
    except ValidationError as err:
        raise MXNetSegError(f"{path}: {kind} can't be read: {explain(err)}") from None


def read_xml(path: Path, root: str, kind: str) -> ElementTree.Element:
    """The root of an XML file, which has to be a `root`.

    Raises
    ------
    MXNetSegError
        It can't be read, is no XML, declares entities (which may grow without end), or begins with something else.
    """
    content = _bytes(path)
    parser = ElementTree.XMLParser(target=_Builder())
    try:
        parser.feed(content)
        element: ElementTree.Element = parser.close()
    except _Doctype:
        raise MXNetSegError(f"{path}: {kind} has no document type of its own (<!DOCTYPE ...>); remove it") from None
    except (ElementTree.ParseError, LookupError, ValueError) as err:
        raise MXNetSegError(f"{path}: not XML that can be read ({err}); replace it") from err
    if element.tag != root:
        raise MXNetSegError(f"{path}: {kind} begins with <{root}>, not with <{element.tag[:40]}>")
    return element


class _Doctype(Exception):
    """There is a document type, which may define entities that grow without end."""


class _Builder(ElementTree.TreeBuilder):
    def doctype(self, *_: Any) -> None:
        raise _Doctype


class Attributes:
    """Texts of one XML element, as numbers and names, with errors that say where."""

    def __init__(self, texts: Dict[str, Optional[str]], where: str):
        self._texts = texts
        self.where = where

    def text(self, name: str) -> str:
        """The text `name`, without blanks around it; raises MXNetSegError if there is none."""
        found = (self._texts.get(name) or "").strip()
        if not found:
            raise MXNetSegError(f"{self.where}: no {name}")
        return found

    def number(self, name: str, usual: Optional[float] = None) -> float:
        """A coordinate."""
        if usual is not None and not (self._texts.get(name) or "").strip():
            return usual
        return self.numbers(name, " ")[0]

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        value = self.number(name)
        if value != int(value) or not low <= value <= high:
            raise MXNetSegError(f"{self.where}: {name} is {value:g}; a whole number from {low} to {high} is expected")
        return int(value)

    def numbers(self, name: str, between: str) -> List[float]:
        """Coordinates, with one of the characters `between` between them."""
        text = self.text(name)
        try:
            values = [float(part) for part in re.split(f"[{between}]+", text)]
        except ValueError:
            raise MXNetSegError(f"{self.where}: {name} holds something else than numbers: {text[:60]}") from None
        if not all(abs(value) <= 1e7 for value in values):  # not so for NaN either
            raise MXNetSegError(f"{self.where}: {name} holds numbers that can't be coordinates: {text[:60]}")
        return values


def image_header(image: Union[Path, bytes], name: str, max_pixels: int = MAX_PIXELS) -> Header:
    """What an image file, or what it would hold, says of itself; nothing is decoded.

    Raises
    ------
    MXNetSegError
        No image that can be read, or one that is too large.
    """
    if isinstance(image, Path):
        return read_header_of(image, max_pixels)
    try:
        header = read_header(image)
    except Damaged as err:
        raise MXNetSegError(f"{name}: it holds no image that can be read ({err})") from err
    if header.width * header.height > max_pixels:
        raise MXNetSegError(f"{name}: its image is {header.width}x{header.height}, more than {max_pixels} pixels")
    return header


def turned_size(header: Header) -> Tuple[int, int]:
    """Height and width of an image as viewers show it, turned as EXIF says."""
    size = header.height, header.width
    return size[::-1] if header.orientation >= 5 else size


class Images:
    """The image files below a folder, found by what annotations call them."""

    def __init__(self, folder: Path):
        self.folder = folder
        if not folder.is_dir():
            raise MXNetSegError(f"--images {folder}: no such folder")
        self.files = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in IMAGES and not _hidden(p, folder)]
        self.named: Dict[str, List[Path]] = {}  # by their names with and without ending
        for path in self.files:
            for name in (path.name, path.stem):
                self.named.setdefault(_composed(name), []).append(path)

    def find(self, name: str, beside: Path) -> Optional[Path]:
        """The image `name`, a path as some tool wrote it, preferably near the annotation file `beside`.

        None: there is none. Raises MXNetSegError if it could be several.
        """
        wanted = [part for part in _composed(name).replace("\\", "/").split("/") if part not in ("", ".", "..")]
        if not wanted:
            return None
        candidates = self.named.get(wanted[-1], [])
        for length in range(len(wanted), 0, -1):
            fitting = [path for path in candidates if [*map(_composed, path.parts[-length:])] == wanted[-length:]]
            near = [path for path in fitting if path.parent == beside.parent] or fitting
            if len(near) > 1:
                raise MXNetSegError(
                    f"{beside}: image {name} could be {near[0]} or {near[1]}; say which folder with --images DIR"
                )
            if near:
                return near[0]
        return None

    def check_found(self, missing: Sequence[str]) -> None:
        """Raise MXNetSegError if images that annotations name are `missing`."""
        if missing:
            raise MXNetSegError(
                f"{counted(len(missing), 'image')} that annotations name: not below {self.folder}: {listed(missing)}; "
                "is the download complete? --images DIR names another folder"
            )


def explain(error: ValidationError, most: int = 3) -> str:
    """What is wrong, and where, in one line."""
    problems = [
        f"{'.'.join(str(part) for part in problem['loc'][:6]) or 'the file'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False)
    ]
    more = f"; and {len(problems) - most} more" if len(problems) > most else ""
    return "; ".join(problems[:most]) + more


def listed(names: Iterable[object], most: int = 5) -> str:
    """The first few, and how many more there are."""
    texts = [str(name) for name in names]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


def _composed(name: str) -> str:
    """A name with every letter and its accents in one, which macOS takes apart in some."""
    return unicodedata.normalize("NFC", name)


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        raise MXNetSegError(f"{path}: can't be read ({err.strerror or err})") from err
