"""From what was downloaded to what the table expects: one preparation per data set that needs one."""

from typing import Callable, Dict, List, NamedTuple, Tuple

from ...commands import typed
from ...config.schema import DataConfig
from ...errors import MXNetSegError
from ..catalog import get_spec
from . import camvid, coco, context, nyuv2, outdoor, people, sun, voc
from .bench import Bench

__all__ = ["PREPARATIONS", "Preparation", "prepare"]


class Preparation(NamedTuple):
    """What to do, what it needs below --from (unpacked), and what it makes of it."""

    run: Callable[[Bench], None]
    needs: Tuple[str, ...]
    makes: str


PREPARATIONS: Dict[str, Preparation] = {
    "camvid": Preparation(
        camvid.prepare,
        ("701_StillsRaw_full/*.png", "LabeledApproved_full/*_L.png"),
        "the 32 colours become 11 classes, 960x720, with the usual splits",
    ),
    "coco": Preparation(
        coco.prepare_voc,
        ("annotations/instances_{train,val}2017.json", "train2017/", "val2017/"),
        "polygons and run lengths become masks with Pascal VOC's classes",
    ),
    "coco_stuff_10k": Preparation(
        coco.prepare_stuff_10k,
        ("annotations/*.mat", "images/*.jpg", "imageLists/train.txt, test.txt"),
        "the .mat files become PNGs with the same values",
    ),
    "coco_stuff_164k": Preparation(
        coco.prepare_stuff_164k,
        ("stuffthingmaps_trainval2017: train2017/*.png, val2017/*.png", "train2017/*.jpg", "val2017/*.jpg"),
        "images and masks are brought together",
    ),
    "mhp_v1": Preparation(
        people.prepare,
        ("images/*.jpg", "annotations/*.png", "train_list.txt, test_list.txt"),
        "the masks of one image, one per person, become one; who comes first lies on top",
    ),
    "nyuv2": Preparation(
        nyuv2.prepare,
        ("nyu_depth_v2_labeled.mat",),
        "894 labels become 40 classes, the right way round (not mirrored), with the official splits; needs h5py",
    ),
    "pascal_context": Preparation(
        context.prepare,
        ("trainval/*.mat", "VOC2010: JPEGImages/, ImageSets/Main/train.txt, val.txt"),
        "the 59 frequent ones of 459 labels become 1 to 59, the others 0",
    ),
    "sift_flow": Preparation(
        outdoor.prepare_sift_flow,
        ("Images/**/*.jpg", "SemanticLabels/**/*.mat", "TestSet1.txt"),
        "the .mat files become PNGs; train.txt and test.txt are written",
    ),
    "sun_rgbd": Preparation(
        sun.prepare,
        ("SUNRGBD-train_images/*.jpg", "SUNRGBD-test_images/*.jpg", "the folder of the 10335 label PNGs"),
        "images get the names of their labels, of which the first 5050 are the test images'",
    ),
    "voc_aug": Preparation(
        voc.prepare_aug,
        ("VOC2012: JPEGImages/, SegmentationClass/, ImageSets/Segmentation/", "SBD: cls/*.mat, train.txt, val.txt"),
        "SBD's .mat files become PNGs, VOC's own labels replace them where there are both; train_aug.txt is all "
        "but VOC's val",
    ),
    "weizmann_horses": Preparation(
        outdoor.prepare_horses,
        ("rgb/*.jpg", "figure_ground/*.jpg"),
        "the JPEG masks become PNGs with 0 and 1",
    ),
}


def prepare(name: str, source, target, workers: int = 0, progress: bool = True) -> Tuple[int, int]:
    """Make data set `name` in folder `target` from the downloads below `source`.

    What is there already is kept, so a run that was interrupted goes on.

    Returns
    -------
    (int, int)
        Files written, and files that were there.

    Raises
    ------
    MXNetSegError
        An unknown data set, one that needs no preparation, missing downloads, files that can't be read.
    """
    spec = get_spec(DataConfig(name=name)) if name != "folder" else None
    if spec is None or spec.name not in PREPARATIONS:
        raise MXNetSegError(_nothing_to_do(spec))
    bench = Bench(spec, source, target, workers, progress)
    PREPARATIONS[spec.name].run(bench)
    return bench.written, bench.kept


def _nothing_to_do(spec) -> str:
    if spec is None:
        return "your own folders need no preparation; see docs/data.md for what they should look like"
    lines: List[str] = [f"{spec.name} needs no preparation: it is read as it is published."]
    if spec.name == "streets":
        lines.append(typed("`mxnetseg data draw DIR` draws it."))
    elif spec.download:
        lines.append(f"Unpack {spec.download} ({spec.homepage}).")
    layouts = "; or ".join(map(", ".join, spec.describe()))
    lines.append(f"Expected: {layouts}." + typed(f" `mxnetseg data check {spec.name} --root DIR` looks at it."))
    return " ".join(lines)
