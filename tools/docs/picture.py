"""Draw docs/images/camvid.png: prediction and truth of one CamVid validation image, without the photograph.

    python -m tools.docs.picture --checkpoint FILE --root DIR --image 0016E5_07959

The image is the one whose own mIoU is the median of the validation split.
"""

import argparse
from pathlib import Path

import numpy as np

from mxnetseg import Predictor
from mxnetseg.config import DataConfig
from mxnetseg.data import open_dataset
from mxnetseg.visual import colorize, save_png, with_legend

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "images" / "camvid.png"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True, metavar="FILE")
    parser.add_argument("--root", required=True, metavar="DIR", help="CamVid's folder")
    parser.add_argument("--image", required=True, metavar="STEM")
    parser.add_argument("--out", default=PICTURE, metavar="FILE")
    args = parser.parse_args()

    dataset = open_dataset(DataConfig(name="camvid", root=args.root), "val")
    names = [dataset.load(index).name for index in range(len(dataset))]
    sample = dataset.load(names.index(args.image))
    maps = (Predictor(args.checkpoint)(sample.image), sample.label)
    tiles = [np.pad(colorize(m, dataset.palette), ((0, 0), (0, 6), (0, 0)), constant_values=255) for m in maps]
    save_png(args.out, with_legend(np.concatenate(tiles, axis=1)[:, :-6], dataset.classes, dataset.palette))


if __name__ == "__main__":
    main()
