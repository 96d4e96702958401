"""Pascal VOC 2012 with SBD's labels (Hariharan et al., ICCV 2011)."""

from ..masks import read_mask
from .bench import Bench, read_names

VOC = "VOCtrainval_11-May-2012.tar"
SBD = "benchmark.tgz of SBD"


def prepare_aug(bench: Bench) -> None:
    """img_aug/, cls_aug/ and the lists; VOC's own labels go before SBD's, and val is VOC's."""
    lists = bench.folder("ImageSets/Segmentation", "train.txt", VOC)
    voc = lists.parents[1]
    cls = bench.folder("cls", "*.mat", SBD)
    train, val = read_names(lists / "train.txt"), read_names(lists / "val.txt")
    sbd = [name for part in ("train.txt", "val.txt") for name in read_names(cls.parent / part)]
    own = set(train) | set(val)
    names = sorted(own | set(sbd))
    held_out = set(val)
    bench.bring(((voc / "JPEGImages" / f"{n}.jpg", f"img_aug/{n}.jpg") for n in names), "images")
    bench.bring(((voc / "SegmentationClass" / f"{n}.png", f"cls_aug/{n}.png") for n in sorted(own)), "VOC's own labels")
    bench.convert(_classes, ((f"cls_aug/{n}.png", (cls / f"{n}.mat",)) for n in names if n not in own), "labels of SBD")
    for name, part in (
        ("train.txt", train),
        ("val.txt", val),
        ("train_aug.txt", [n for n in names if n not in held_out]),
        ("trainval_aug.txt", names),
    ):
        bench.list(name, [f"{n}.jpg {n}.png" for n in part])


def _classes(path):
    return read_mask(path, "GTcls.Segmentation")
