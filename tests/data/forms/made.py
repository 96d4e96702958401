"""The forms in which people have images and masks, each with its trap: made here, small, of the same six scenes."""

from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

import numpy as np
from PIL import Image

CLASSES = ["ground", "leaf", "fruit"]
COLOURS = [(60, 40, 20), (0, 128, 0), (220, 20, 60)]  # of the classes
VOID = (0, 0, 0)
SPLITS = {"train": ["a 1", "b", "c.d", "e"], "val": ["f", "g"]}
SIZE = (10, 12)


def image(name: str) -> np.ndarray:
    """(10, 12, 3), other values for every name."""
    return np.random.RandomState(sum(map(ord, name))).randint(0, 256, (*SIZE, 3), np.uint8)


def label(name: str) -> np.ndarray:
    """(10, 12) of 0, 1, 2 and 255, which means unlabelled."""
    rng = np.random.RandomState(1000 + sum(map(ord, name)))
    return np.kron(rng.choice(np.array([0, 1, 2, 255], np.uint8), (5, 6)), np.ones((2, 2), np.uint8))


def in_colours(values: np.ndarray) -> np.ndarray:
    colours = np.zeros((*values.shape, 3), np.uint8)
    for index, colour in enumerate(COLOURS):
        colours[values == index] = colour
    return colours


def save(path: Path, array: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path, **options)


def each() -> List[Tuple[str, str]]:
    return [(split, name) for split, names in SPLITS.items() for name in names]


class Form(NamedTuple):
    """How it is made, and the keys of `data` that open it, besides name and root."""

    build: Callable[[Path], None]
    keys: Dict[str, Any]
    recognised: bool = True  # by looking


def folders(root: Path) -> None:
    for split, name in each():
        save(root / f"images/{split}/{name}.png", image(name))
        save(root / f"masks/{split}/{name}.png", label(name))
    # what lies about
    save(root / "images/train/.ipynb_checkpoints/b-checkpoint.png", image("b"))
    (root / "masks/train/Thumbs.db").write_bytes(b"x")
    (root / "masks/train/.DS_Store").write_bytes(b"x")


def split_outside(root: Path) -> None:
    """train/images, and the masks of all splits in one folder."""
    for split, name in each():
        save(root / f"{split}/img/{name}.png", image(name))
        save(root / f"gt/{name}.png", label(name))


def subfolders(root: Path) -> None:
    for split, name in each():
        save(root / f"leftImg/{split}/city {name}/{name}_leftImg.png", image(name))
        save(root / f"gt/{split}/city {name}/{name}_gt_ids.png", label(name))
        save(root / f"gt/{split}/city {name}/{name}_gt_colour.png", in_colours(label(name)))


def beside_same_stem(root: Path) -> None:
    """x.bmp would be lossless; photographs beside their masks are JPEGs, so labels alone can be compared."""
    for split, name in each():
        save(root / f"{split}/{name}.jpg", image(name))
        save(root / f"{split}/{name}.png", label(name))


def beside_suffix(root: Path) -> None:
    for split, name in each():
        save(root / f"{split}/{name}.png", image(name))
        save(root / f"{split}/{name}_mask.png", label(name))


def folder_each(root: Path) -> None:
    """x/image.png and x/mask.png, a folder for each."""
    for split, name in each():
        save(root / f"{split}/{name}/image.png", image(name))
        save(root / f"{split}/{name}/mask.png", label(name))


def masks_inside(root: Path) -> None:
    """The folder of masks lies in that of the images."""
    for split, name in each():
        save(root / f"{split}/{name}.png", image(name))
        save(root / f"{split}/masks/{name}.png", label(name))


def _lists(root: Path, folder: str, line: Callable[[str, str], str], end: str = "\n", start: bytes = b"") -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for split, names in SPLITS.items():
        text = end.join(["# made by hand", "", *(line(split, name) for name in names)]) + end
        (root / folder / f"{split}.txt").write_bytes(start + text.encode())


def list_of_pairs(root: Path) -> None:
    """Names with blanks, parted by a blank; Windows's line ends and byte-order mark."""
    for _, name in each():
        save(root / f"pictures/{name}.png", image(name))
        save(root / f"labels of them/{name}.tif", label(name))
    _lists(root, "", lambda _, n: f"pictures/{n}.png labels of them/{n}.tif", "\r\n", b"\xef\xbb\xbf")


def list_with_tabs(root: Path) -> None:
    folders(root)
    _lists(root, "lists", lambda s, n: f"images/{s}/{n}.png\tmasks/{s}/{n}.png")


def list_with_commas(root: Path) -> None:
    folders(root)
    _lists(root, "", lambda s, n: f'"images\\{s}\\{n}.png", "masks\\{s}\\{n}.png"')


def list_of_images(root: Path) -> None:
    """All images in one folder, which only the lists part."""
    for _, name in each():
        save(root / f"images/{name}.png", image(name))
        save(root / f"masks/{name}.png", label(name))
    _lists(root, "", lambda _, n: f"images/{n}.png")


def voc(root: Path) -> None:
    """Pascal VOC's folders with other classes, palette PNGs, and masks of objects beside those of classes."""
    for _, name in each():
        save(root / f"JPEGImages/{name}.png", image(name))
        for folder in ("SegmentationClass", "SegmentationObject"):
            path = root / f"{folder}/{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            mask = Image.fromarray(label(name) if folder.endswith("Class") else label(name) // 2, "P")
            mask.putpalette([(97 * i) % 256 for i in range(768)])
            mask.save(path)
    _lists(root, "ImageSets/Segmentation", lambda _, n: n)
    (root / "ImageSets/Main").mkdir()
    for split in SPLITS:
        (root / f"ImageSets/Main/leaf_{split}.txt").write_text("b  1\n")


def colours(root: Path) -> None:
    for split, name in each():
        save(root / f"images/{split}/{name}.png", image(name))
        save(root / f"masks/{split}/{name}.png", in_colours(label(name)))


def colours_in_palettes(root: Path) -> None:
    """Each mask numbers its colours anew, as programs that save space do: the numbers mean nothing."""
    colours(root)
    for split, name in each():
        Image.fromarray(in_colours(label(name))).quantize(4).save(root / f"masks/{split}/{name}.png")


def endings(*kinds: str) -> Callable[[Path], None]:
    def build(root: Path) -> None:
        for number, (split, name) in enumerate(each()):
            save(root / f"images/{split}/{name}.png", image(name))
            kind = kinds[number % len(kinds)]
            values = label(name).astype(
                {"16.tif": np.uint16, "16.png": np.uint16, ".npy": np.int64}.get(kind, np.uint8)
            )
            save(root / f"masks/{split}/{name}{kind[-4:]}", values)

    return build


OF_FOLDERS = dict(images="images/{split}", masks="masks/{split}", classes=CLASSES)
TABLE = {**dict(zip(CLASSES, COLOURS)), "void": VOID}

FORMS = {
    "folders": Form(folders, OF_FOLDERS),
    "masks of all splits together": Form(
        split_outside, dict(images="{split}/img", masks="gt", classes=CLASSES), recognised=False
    ),
    "subfolders": Form(
        subfolders,
        dict(
            images="leftImg/{split}",
            masks="gt/{split}",
            image_suffix="_leftImg",
            mask_suffix="_gt_ids",
            classes=CLASSES,
        ),
        recognised=False,  # two masks to choose from
    ),
    "x.jpg and x.png": Form(beside_same_stem, dict(images="{split}", masks="{split}", classes=CLASSES)),
    "x.png and x_mask.png": Form(
        beside_suffix, dict(images="{split}", masks="{split}", mask_suffix="_mask", classes=CLASSES)
    ),
    "x/image.png and x/mask.png": Form(
        folder_each,
        dict(images="{split}", masks="{split}", image_suffix="image", mask_suffix="mask", classes=CLASSES),
    ),
    "masks in the folder of images": Form(masks_inside, dict(images="{split}", masks="{split}/masks", classes=CLASSES)),
    "list of pairs": Form(list_of_pairs, dict(lists="{split}.txt", classes=CLASSES)),
    "list with tabs": Form(list_with_tabs, dict(lists="lists/{split}.txt", classes=CLASSES)),
    "list with commas": Form(list_with_commas, dict(lists="{split}.txt", classes=CLASSES)),
    "list of images": Form(list_of_images, dict(images="images", masks="masks", lists="{split}.txt", classes=CLASSES)),
    "voc": Form(
        voc,
        dict(
            images="JPEGImages",
            masks="SegmentationClass",
            lists="ImageSets/Segmentation/{split}.txt",
            classes=CLASSES,
        ),
    ),
    "colours": Form(colours, dict(OF_FOLDERS, colors=TABLE, ignore=["void"])),
    "colours of the palette": Form(
        colours, dict(OF_FOLDERS, classes=[*CLASSES, "void"], palette=[*COLOURS, VOID], colors="palette")
    ),
    "colours in palettes": Form(colours_in_palettes, dict(OF_FOLDERS, classes=None, colors=TABLE, ignore=["void"])),
    "tiff, bmp, gif, npy": Form(endings(".tif", ".bmp", ".gif", ".npy"), OF_FOLDERS),
    "16 bits": Form(endings("16.tif", "16.png"), OF_FOLDERS),
}
