"""What a data set is: a table entry, not a class of its own."""

from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ..errors import MXNetSegError
from ..names import same
from ..plugins import Table, caller

__all__ = [
    "IMAGES",
    "MASKS",
    "SPLIT",
    "TABLE",
    "Colour",
    "DatasetSpec",
    "colour_value",
    "default_palette",
    "named_palette",
    "register",
]

Colour = Tuple[int, int, int]
LARGEST = 65535  # a value in a 16-bit mask
WHITE = 0xFFFFFF  # the largest in one that holds colours
IMAGES = (
    *(".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp", ".jp2", ".j2k"),
    *(".pnm", ".ppm", ".pgm", ".pbm", ".pam", ".pfm", ".hdr", ".pic", ".ras", ".sr"),
)
MASKS = (".png", ".tif", ".tiff", ".bmp", ".gif", ".npy")  # of a folder of one's own
SPLIT = "{split}"


@dataclass(frozen=True)
class DatasetSpec:
    """Where a data set's files lie and what its labels mean.

    Parameters
    ----------
    name, title : str
    classes : tuple of str
        Names in label order.
    palette : tuple of (int, int, int)
        One RGB colour per class.
    images, masks : str
        Folders below the root; "{split}" stands for the split. Files may lie in subfolders. Empty: a list names the
        files.
    image_suffix, mask_suffix : str
        What a stem ends with besides what both share: "a_leftImg8bit.png" and "a_gtFine_labelIds.png". With an ending,
        "_gt.png", it says that as well.
    mask_ending : str
        The masks' file ending: .png, or .mat, .txt (see `files.read_mask`); empty: any of `MASKS`.
    mask_key : str
        The variable of .mat masks that holds the labels, "GTcls.Segmentation".
    lists : str
        File below the root that names the images of a split, "ImageSets/{split}.txt"; empty: all in the folder.
        A line is a name, or those of the image and of the mask.
    choose : callable, optional
        (names, split) -> the names of that split, if a rule decides.
    ignore : tuple of int
        Label values that mean unlabelled (besides those that `label_map` leaves out).
    label_map : dict, optional
        Value in the mask -> class index. None: the values are class indices.
    colours : bool
        Masks hold colours. A label value, here and in `ignore`, is then 0xRRGGBB.
    splits : tuple of str
        Names of the official splits; empty: whatever folder is there.
    folders : dict
        Split -> what "{split}" stands for, if that is not the split's name.
    by_split : dict
        Split -> fields that differ for it.
    unlabelled : tuple of str
        Splits without masks.
    variants : tuple of dict
        Further layouts that are recognised: for each the fields that differ from this one.
    inside : tuple of str
        Folders that archives unpack to; the data may lie in them below the root.
    old_root : str
        Folder below dataset/ of the toolkit of 2022.
    homepage, license : str
    download : str
        What to fetch, if that is not obvious.
    note : str
        What a user should know.
    """

    name: str
    title: str
    classes: Tuple[str, ...]
    palette: Tuple[Colour, ...]
    images: str
    masks: str
    image_suffix: str = ""
    mask_suffix: str = ""
    mask_ending: str = ".png"
    mask_key: str = ""
    lists: str = ""
    choose: Optional[Callable[[Sequence[str], str], List[str]]] = None
    ignore: Tuple[int, ...] = (255,)
    label_map: Optional[Mapping[int, int]] = None
    colours: bool = False
    splits: Tuple[str, ...] = ()
    folders: Mapping[str, str] = field(default_factory=dict)
    by_split: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unlabelled: Tuple[str, ...] = ()
    variants: Tuple[Mapping[str, Any], ...] = ()
    inside: Tuple[str, ...] = ()
    old_root: str = ""
    homepage: str = ""
    license: str = ""
    download: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        names = [name.strip() for name in self.classes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if "" in names or twice:
            what = f"{', '.join(map(repr, twice))} more than once" if twice else "an empty name"
            raise MXNetSegError(f"data set {self.name}: classes hold {what}; give every class a name of its own")
        largest = WHITE if self.colours else LARGEST
        far = [value for value in (*self.ignore, *(self.label_map or ())) if not 0 <= value <= largest]
        if far:
            raise MXNetSegError(
                f"data set {self.name}: label_map and ignore name values in masks, 0 to {largest}; {far[0]} is none"
            )

    @property
    def num_classes(self) -> int:
        """How many classes there are, without what is ignored."""
        return len(self.classes)

    def image_folder(self, split: str) -> str:
        """A split's folder of images, below the root."""
        return self.images.replace(SPLIT, self.folders.get(split, split))

    def mask_folder(self, split: str) -> str:
        """A split's folder of masks, below the root."""
        return self.masks.replace(SPLIT, self.folders.get(split, split))

    def list_file(self, split: str) -> str:
        """The file that lists a split's images, below the root; empty if there is none."""
        return self.lists.replace(SPLIT, self.folders.get(split, split))

    def layouts(self, split: str) -> List["DatasetSpec"]:
        """All the ways in which a split may lie on disk, the usual one first."""
        specs = [self] + [replace(self, **dict({"by_split": {}}, **variant)) for variant in self.variants]
        return [replace(spec, **spec.by_split[split]) if split in spec.by_split else spec for spec in specs]

    def raw_values(self) -> Dict[int, int]:
        """Value in a mask -> class index, for every value that is a class."""
        if self.label_map is not None:
            return dict(self.label_map)
        return {i: i for i in range(self.num_classes)}

    @property
    def value_kind(self) -> str:
        """What a value in a mask is called."""
        return "colour" if self.colours else "label value"

    def value_text(self, value: int) -> str:
        """A label value as messages name it: a number, or a colour."""
        return str([value >> 16 & 255, value >> 8 & 255, value & 255]) if self.colours else str(value)

    def values_text(self, values: Iterable[int], most: int = 8) -> str:
        """Label values as messages name them: "1-3, 7", or colours."""
        if self.colours:
            texts = [self.value_text(value) for value in sorted(values)]
            return ", ".join(texts[:most]) + f" and {len(texts) - most} more" * (len(texts) > most) or "nothing"
        parts: List[List[int]] = []
        for value in sorted(values):
            if parts and value == parts[-1][1] + 1:
                parts[-1][1] = value
            else:
                parts.append([value, value])
        return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts) or "nothing"

    def describe(self) -> List[List[str]]:
        """Per layout the files to look for, as patterns below the root, the usual layout first."""
        return [spec._patterns() for spec in (self, *self.layouts("")[1:])]

    def _patterns(self) -> List[str]:
        special = [split for split in self.splits if split in self.by_split]
        plain = [split for split in self.splits if split not in special] or ["<split>"]
        groups = [(self, plain)] + [(replace(self, **self.by_split[split]), [split]) for split in special]
        images, masks, lists = [], [], []
        for spec, splits in groups:
            labelled = [split for split in splits if split not in spec.unlabelled]
            images.append(spec._one_of(spec.images, splits) + f"/*{spec.image_suffix}.{{jpg,png}}")
            masks.append(spec._one_of(spec.masks, labelled) + f"/*{spec.mask_suffix}{spec.mask_ending}")
            lists += [spec._one_of(spec.lists, splits)] if spec.lists else []
        return [*images, *masks, *lists]

    def _one_of(self, template: str, splits: Sequence[str]) -> str:
        """The template with the names of the splits in it, in braces when they are several."""
        names = list(dict.fromkeys(self.folders.get(split, split) for split in splits))
        return template.replace(SPLIT, names[0] if len(names) == 1 else f"{{{','.join(names)}}}")


TABLE: Table[DatasetSpec] = Table("data set", "mxnetseg.datasets", reserved=["folder"])


def register(spec: DatasetSpec) -> DatasetSpec:
    """Make a data set known by its name.

    Raises
    ------
    ValueError
        Not as many colours as classes, none, more than 255, or a label value that stands for none of the classes.
    MXNetSegError
        It is no DatasetSpec.
    PluginError
        Another module has registered this name.
    """
    if not isinstance(spec, DatasetSpec):
        raise MXNetSegError(f"register_dataset takes a DatasetSpec, not a {type(spec).__name__}")
    classes = len(spec.classes)
    if len(spec.palette) != classes or not 1 <= classes <= 255:
        raise ValueError(f"{spec.name}: {classes} classes, {len(spec.palette)} colours; 1 to 255 of both are needed")
    if any(not 0 <= index < classes for index in spec.raw_values().values()):
        raise ValueError(f"{spec.name}: label_map points beyond its {classes} classes")
    TABLE.add(spec.name, spec, caller())
    return spec


def colour_value(colour: Colour) -> int:
    """0xRRGGBB, what a colour is as a label value."""
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def default_palette(count: int) -> Sequence[Colour]:
    """Pascal VOC's colours of so many objects: the bits of the index, spread over the channels; never black."""
    colours = []
    for index in range(1, count + 1):
        red = green = blue = 0
        for bit in range(8):
            red |= (index >> 0 & 1) << 7 - bit
            green |= (index >> 1 & 1) << 7 - bit
            blue |= (index >> 2 & 1) << 7 - bit
            index >>= 3
        colours.append((red, green, blue))
    return colours


def named_palette(classes: Sequence[str]) -> List[Colour]:
    """Pascal VOC's colours of classes: black for one that is called background."""
    colours = iter(default_palette(len(classes)))
    return [(0, 0, 0) if same(name.strip("_ "), "background") else next(colours) for name in classes]
