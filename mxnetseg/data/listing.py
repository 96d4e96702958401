"""Lists of a split's files: one image a line, or an image and its mask."""

import re
import unicodedata
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from ..errors import MXNetSegError
from .hints import folders_there, no_jpeg, some
from .pairing import LOSSY, Files, image_rule, mask_rule
from .spec import DatasetSpec

__all__ = ["listed", "read_list"]

BETWEEN = re.compile(r"\s*[,;]\s*|\s+")  # what may stand between an image and its mask, besides a tab


def read_list(path: Path) -> List[Tuple[int, str]]:
    """Lines with their numbers, without blank ones and those that begin with #.

    UTF-8, or what a byte-order mark says: PowerShell's `>` writes UTF-16.

    Raises
    ------
    MXNetSegError
        The file can't be read, or is no text.
    """
    try:
        data = path.read_bytes()
        text = data.decode("utf-16" if data[:2] in (BOM_UTF16_BE, BOM_UTF16_LE) else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise MXNetSegError(f"{path}: not a list that can be read ({err}); save it as UTF-8") from err
    lines = ((number, line.strip()) for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def listed(
    path: Path, images: Files, masks: Files, spec: DatasetSpec, base: Path, split: str, labelled: bool
) -> Tuple[Files, Files]:
    """The images and masks that a list names, in its order, by the image's name.

    A line is an image, or an image and its mask with a tab, a comma or blanks between them; of several places where a
    line may be parted the one counts where both files are there. Files are named from `base`, or as in `images` and
    `masks`, by any end of their path, with or without suffix and ending.

    Raises
    ------
    MXNetSegError
        Files that are not there, an image that is named twice, a line that can be read in two ways; nothing listed.
    """
    image_dir, mask_dir = base / spec.image_folder(split), base / spec.mask_folder(split)
    find_image = _finder(base, images, image_rule(spec)[1], (spec.image_suffix,))
    find_mask = _finder(base, masks, mask_rule(spec)[1], (spec.mask_suffix, spec.image_suffix))
    found_images: Files = {}
    found_masks: Files = {}
    lines: Dict[str, int] = {}
    no_image: List[str] = []
    no_mask: List[str] = []
    alone: List[str] = []
    for number, line in read_list(path):
        ways = [(find_image(first), first, second) for first, second in _halves(line)]
        pairs = [
            # a list of images alone must not make an image its own mask
            (image, find_mask(second or first, not second) if labelled else None, second or first)
            for image, first, second in ways
            if image
        ]
        fitting = [pair for pair in pairs if pair[1] or not labelled]
        if not fitting:
            lossy = [base / second for image, _, second in ways if image and second.lower().endswith(LOSSY[:2])]
            if lossy and lossy[0].is_file():
                raise MXNetSegError(f"{path}, line {number}: {no_jpeg(lossy[0])}")
            missing = no_image if not pairs else no_mask if ways[-1][2] or spec.masks else alone
            missing.append(pairs[-1][2] if pairs else line)
            continue
        if len(fitting) > 1 and ways[0][0] and not _whole(ways[0][1], *fitting[0][0]):
            del fitting[0]  # the line's end names an image, not the line
        (name, image), mask, _ = fitting[0]
        if len({pair[:2] for pair in fitting}) > 1 and not ways[0][0]:
            raise MXNetSegError(
                f"{path}, line {number}: {line!r} can be parted into an image and a mask in {len(fitting)} ways; put a "
                "tab between them"
            )
        if name in found_images and (spec.name == "folder" or found_images[name] != image):
            raise MXNetSegError(
                f"{path}: lines {lines[name]} and {number} name {some(dict.fromkeys([found_images[name], image]))}; "
                "a list names every image once, and no two of one stem"
            )
        lines[name] = number
        found_images[name] = image
        if mask:
            found_masks[name] = mask[1]
    for missing, kind, folder in ((no_image, "image", image_dir), (no_mask, "mask", mask_dir)):
        if missing:
            raise MXNetSegError(
                f"{path} names {len(missing)} files that have no {kind} in {folder}: {some(missing)}; "
                f"paths are taken from {base}{folders_there(base / missing[0])}; is the download complete?"
            )
    if alone:
        raise MXNetSegError(
            f"{path} names {len(alone)} images without masks: {some(alone)}; put the mask behind its image, with a tab "
            "between them, or name the masks' folder with data.masks"
        )
    if not found_images:
        raise MXNetSegError(f"{path} names no images; the file is empty")
    return found_images, found_masks


def _halves(line: str) -> Iterator[Tuple[str, str]]:
    """All ways to read a line as an image, or as an image and a mask; the whole line first."""
    if "\t" in line:
        first, _, second = line.partition("\t")
        yield _bare(first), _bare(second)
        return
    yield _bare(line), ""
    for gap in BETWEEN.finditer(line):
        if line[: gap.start()] and line[gap.end() :]:
            yield _bare(line[: gap.start()]), _bare(line[gap.end() :])


def _whole(line: str, name: str, path: Path) -> bool:
    """Whether a line is an image's path or name from its beginning on."""
    line, file = (unicodedata.normalize("NFC", text.replace("\\", "/")) for text in (line, str(path)))
    return line.startswith(name) or file.endswith(line)


def _bare(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _finder(
    base: Path, files: Files, endings: Tuple[str, ...], suffixes: Tuple[str, ...]
) -> Callable[..., Optional[Tuple[str, Path]]]:
    """From an entry of a list to a file and its name, if there is such a file."""
    names = {path: name for name, path in files.items()}

    def find(entry: str, by_name: bool = False) -> Optional[Tuple[str, Path]]:
        for text in [] if by_name else dict.fromkeys((entry, entry.replace("\\", "/"), *_spellings(entry))):
            path = base / text
            if path.suffix.lower() in endings and path.is_file():
                parts = [part for part in Path(text).with_suffix("").parts if part not in ("..", Path(text).anchor)]
                return names.get(path, "/".join(parts)), path
        name = _named(entry, files, *suffixes)
        return None if name is None else (name, files[name])

    return find


def _spellings(entry: str) -> List[str]:
    """Accents as the file system may have them: one with their letters, or apart."""
    entry = entry.replace("\\", "/")
    return [unicodedata.normalize("NFC", entry), unicodedata.normalize("NFD", entry)]


def _named(entry: str, files: Files, *suffixes: str) -> Optional[str]:
    """The key of `files` that a list's entry means: with or without folders, suffix and ending."""
    entry = unicodedata.normalize("NFC", entry.replace("\\", "/").lstrip("/"))
    head, dot, ending = entry.rpartition(".")
    stems = [entry] + ([head] if dot and "/" not in ending else [])
    stems += [stem[: -len(suffix)] for suffix in suffixes if suffix for stem in stems if stem.endswith(suffix)]
    for stem in stems:
        parts = stem.split("/")
        for start in range(len(parts)):
            if "/".join(parts[start:]) in files:
                return "/".join(parts[start:])
    return None
