"""NYU Depth v2 (Silberman et al., ECCV 2012): the labelled .mat to images and 40 classes (Gupta et al., CVPR 2013)."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from ...errors import MXNetSegError
from ...optional import check_installed
from ..tables.common import rows
from .bench import Bench

DOWNLOAD = "nyu_depth_v2_labeled.mat"
# the official test images of splits.mat, counted from 1
TEST = (
    "1-2,9,14-18,21,28-43,46-47,56-57,59-63,76-79,84-91,117-119,125-129,131-134,137,153-155,167-169,171-176,180-202,"
    "207-212,220-222,250,264,271-273,279-285,296-302,310-312,315-317,325-335,351-352,355-364,384-390,395-397,411-414,"
    "430-435,441-448,462-466,469-477,508-513,515-526,531-533,537-539,549-551,555-571,579-583,591-594,603-607,612-613,"
    "617-621,633-638,644-645,650-651,656-658,663-664,668-673,676-681,686-690,693-694,697-699,706-713,717-718,724-728,"
    "731-734,743-744,759-787,800-804,810-814,821-823,833-846,850-852,857-862,869-871,906-908,917-919,926-928,932-935,"
    "945-947,959-962,965-967,970-977,991-995,1001-1004,1010-1012,1021-1023,1032-1034,1038-1039,1048-1049,1052-1053,"
    "1057-1058,1075-1084,1088-1096,1098-1104,1106-1109,1117-1119,1123-1131,1135-1136,1144-1158,1162-1167,1170-1171,"
    "1174-1176,1179-1184,1192-1196,1201-1212,1216-1220,1226-1230,1233-1235,1247-1250,1254-1265,1275-1280,1285-1295,"
    "1297-1299,1302-1308,1314-1315,1329-1332,1335-1340,1347-1349,1353-1356,1364-1365,1368-1369,1384-1391,1394-1401,"
    "1407-1414,1421-1424,1430-1433,1441-1449"
)


def prepare(bench: Bench) -> None:
    """images/ (PNG), labels40/ and the lists; names count from 0, as in the toolkit of 2022."""
    path = bench.file("nyu_depth_v2_labeled.mat", DOWNLOAD)
    count = len(_open(path)["labels"])
    bench.convert(_image, ((f"images/{i}.png", (path, i)) for i in range(count)), "images")
    bench.convert(_label, ((f"labels40/{i}.png", (path, i)) for i in range(count)), "labels")
    test = test_images()
    bench.list("train.txt", [str(i) for i in range(count) if i not in test])
    bench.list("test.txt", [str(i) for i in range(count) if i in test])


def test_images() -> set:
    """Of the 1449, counted from 0."""
    spans = [part.split("-") for part in TEST.split(",")]
    return {number - 1 for span in spans for number in range(int(span[0]), int(span[-1]) + 1)}


@lru_cache(maxsize=1)
def _open(path: Path):
    check_installed("h5py", f"{path}: an HDF5 file")
    import h5py

    try:
        file = h5py.File(str(path), "r")
        shapes = file["images"].shape, file["labels"].shape
    except (OSError, KeyError) as err:
        raise MXNetSegError(f"{path}: not NYUv2's labelled data set ({err}); download it again") from err
    if len(shapes[0]) != 4 or shapes[0][1] != 3 or shapes[0][:1] + shapes[0][2:] != shapes[1]:
        raise MXNetSegError(f"{path}: images of shape {shapes[0]} and labels of shape {shapes[1]} do not go together")
    return file


def _image(path: Path, index: int) -> np.ndarray:
    # MATLAB stores by columns: (3, W, H)
    return np.ascontiguousarray(np.asarray(_open(path)["images"][index]).transpose(2, 1, 0))


def _label(path: Path, index: int) -> np.ndarray:
    values = np.asarray(_open(path)["labels"][index]).T
    classes = np.array([0] + [int(row["class"]) for row in rows("nyuv2_894")], np.uint8)
    if values.max() >= len(classes):
        raise MXNetSegError(f"{path}: label {values.max()} in image {index}; NYUv2 has {len(classes) - 1}")
    return classes[values]
