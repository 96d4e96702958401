"""CamVid (Brostow et al., 2009), 960x720: 32 colours to the 11 classes of SegNet."""

import numpy as np

from ...errors import MXNetSegError
from ..files import read_image
from .bench import Bench

VOID = 11
# RGB -> class; the grouping of SegNet (Badrinarayanan et al., 2017)
COLOURS = {
    (128, 128, 128): 0,  # Sky
    (0, 128, 64): 1,  # Bridge
    (128, 0, 0): 1,  # Building
    (64, 192, 0): 1,  # Wall
    (64, 0, 64): 1,  # Tunnel
    (192, 0, 128): 1,  # Archway
    (192, 192, 128): 2,  # Column_Pole
    (0, 0, 64): 2,  # TrafficCone
    (128, 64, 128): 3,  # Road
    (128, 0, 192): 3,  # LaneMkgsDriv
    (192, 0, 64): 3,  # LaneMkgsNonDriv
    (0, 0, 192): 4,  # Sidewalk
    (64, 192, 128): 4,  # ParkingBlock
    (128, 128, 192): 4,  # RoadShoulder
    (128, 128, 0): 5,  # Tree
    (192, 192, 0): 5,  # VegetationMisc
    (192, 128, 128): 6,  # SignSymbol
    (128, 128, 64): 6,  # Misc_Text
    (0, 64, 64): 6,  # TrafficLight
    (64, 64, 128): 7,  # Fence
    (64, 0, 128): 8,  # Car
    (64, 128, 192): 8,  # SUVPickupTruck
    (192, 128, 192): 8,  # Truck_Bus
    (192, 64, 128): 8,  # Train
    (128, 64, 64): 8,  # OtherMoving
    (64, 64, 0): 9,  # Pedestrian
    (192, 128, 64): 9,  # Child
    (64, 0, 192): 9,  # CartLuggagePram
    (64, 128, 64): 9,  # Animal
    (0, 128, 192): 10,  # Bicyclist
    (192, 0, 192): 10,  # MotorcycleScooter
    (0, 0, 0): VOID,
}


def prepare(bench: Bench) -> None:
    """images/, labels/ and the lists."""
    download = "701_StillsRaw_full.zip and LabeledApproved_full.zip"
    labels = bench.folder("LabeledApproved_full", "*_L.png", download)
    images = bench.folder("701_StillsRaw_full", "*.png", download)
    names = sorted(path.stem[: -len("_L")] for path in labels.glob("*_L.png"))
    splits = {name: split_of(name) for name in names}
    bench.bring(((images / f"{n}.png", f"images/{n}.png") for n in names), "images")
    bench.convert(_classes, ((f"labels/{n}.png", (labels / f"{n}_L.png",)) for n in names), "labels")
    for split in ("train", "val", "test"):
        bench.list(f"{split}.txt", [f"{n}.png {n}.png" for n in names if splits[n] == split])


def split_of(name: str) -> str:
    """The split of SegNet that a frame belongs to; each is a part of a drive.

    The whole release gives 367 frames for training, 101 for validation and 233 for testing.
    """
    drive, _, frame = name.partition("_")
    number = int("".join(c for c in frame if c.isdigit()) or -1)
    if drive == "Seq05VD" or (drive == "0001TP" and number >= 8550):
        return "test"
    if drive == "0016E5" and 7959 <= number <= 8159:
        return "val"
    if drive in ("0001TP", "0006R0", "0016E5"):
        return "train"
    raise MXNetSegError(f"{name}: not a frame of CamVid, whose names start with 0001TP, 0006R0, 0016E5 or Seq05VD")


def _classes(path) -> np.ndarray:
    image = read_image(path).astype(np.int32)
    codes = image[..., 0] << 16 | image[..., 1] << 8 | image[..., 2]
    known = {r << 16 | g << 8 | b: index for (r, g, b), index in COLOURS.items()}
    values, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    unknown = [(value, count) for value, count in zip(values, counts) if value not in known]
    # a few frames have stray pixels of other colours; a whole region of one is another file
    if sum(count for _, count in unknown) > 0.02 * codes.size:
        value = int(max(unknown, key=lambda pair: pair[1])[0])
        colour = (value >> 16, value >> 8 & 255, value & 255)
        raise MXNetSegError(f"{path}: the colour {colour} is not one of CamVid's 32; is it LabeledApproved_full's?")
    classes = np.array([known.get(value, VOID) for value in values], np.uint8)
    return classes[inverse].reshape(codes.shape)
