"""Huge TIFF files by windows: the same values as the reader of small pictures gives, of every layout."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mxnetseg.data.files import Reading, read_values
from mxnetseg.errors import MXNetSegError
from mxnetseg.tiles import blocks
from mxnetseg.tiles.picture import HugePicture

tifffile = pytest.importorskip("tifffile")

RGB = cv2.resize(np.random.RandomState(0).randint(0, 256, (9, 12, 3), np.uint8), (271, 290))
GREY = RGB[..., 0]
FIVE = np.concatenate([RGB, RGB[..., :2]], 2)
PLANES = np.ascontiguousarray(FIVE.transpose(2, 0, 1))
ZIP = dict(compression="zlib")
LAYOUTS = {
    "plain": (RGB, {}),
    "plain, in many strips": (RGB, dict(rowsperstrip=7)),
    "BigTIFF, big-endian, tiles": (RGB, dict(bigtiff=True, byteorder=">", tile=(64, 128))),
    "deflate, tiles": (RGB, dict(ZIP, predictor=True, tile=(64, 128))),
    "deflate, one strip": (RGB, dict(ZIP, predictor=True, rowsperstrip=290)),
    "16 bits": (RGB.astype(np.uint16) * 200, dict(ZIP, predictor=True, byteorder=">", rowsperstrip=120)),
    "floats": (RGB.astype(np.float32), dict(tile=(64, 64))),
    "grey": (GREY, dict(ZIP, tile=(96, 96))),
    "grey, white is 0": (GREY, dict(photometric="miniswhite", tile=(96, 96))),
    "palette": (GREY, dict(photometric="palette", colormap=np.arange(768, dtype=np.uint16).reshape(3, 256) * 85)),
    "transparent": (FIVE[..., :4], dict(photometric="rgb", extrasamples=["unassalpha"], tile=(96, 96))),
    "five channels": (FIVE, dict(photometric="minisblack", planarconfig="contig")),
    "planes, deflate, tiles": (PLANES, dict(ZIP, photometric="minisblack", planarconfig="separate", tile=(64, 64))),
    "planes, plain, 16 bits": (
        PLANES.astype(np.uint16) * 3,
        dict(photometric="minisblack", planarconfig="separate", rowsperstrip=9),
    ),
}
BY_PILLOW = {"lzw": "tiff_lzw", "jpeg": "jpeg", "packbits": "packbits", "deflate": "tiff_adobe_deflate"}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "SIDE", 128)


def check(path, channels=None):
    reading = Reading(channels=channels)
    whole = read_values(path, reading)
    with HugePicture(path, reading) as picture:
        assert (picture.height, picture.width) == whole.shape[:2]
        for top, left, height, width in [
            (0, 0, *whole.shape[:2]),
            (3, 5, 100, 200),
            (256, 240, 34, 31),
            (40, 0, 200, 271),
        ]:
            window = picture.read(top, left, height, width)
            assert window.dtype == whole.dtype
            np.testing.assert_array_equal(window, whole[top : top + height, left : left + width])
        return picture._blocks


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name):
    values, options = LAYOUTS[name]
    tifffile.imwrite("a.tif", values, **options)
    check("a.tif", (0, 3, 4) if 5 in values.shape else None)


@pytest.mark.parametrize("name", BY_PILLOW)
def test_compressions(name):
    Image.fromarray(RGB).save("a.tif", compression=BY_PILLOW[name])
    check("a.tif")
    Image.fromarray(GREY > 100).save("b.tif", compression="group4")
    check("b.tif")


@pytest.mark.parametrize("name", ["deflate, one strip", "16 bits", "planes, deflate, tiles"])
def test_a_large_strip_is_inflated_piece_by_piece(monkeypatch, name):
    monkeypatch.setattr(blocks, "WHOLE", 30_000)
    monkeypatch.setattr(blocks, "PIECE", 15_000)
    monkeypatch.setattr(blocks, "CHUNK", 1000)
    values, options = LAYOUTS[name]
    options = {**{key: value for key, value in options.items() if key != "tile"}, "rowsperstrip": 150}
    tifffile.imwrite("a.tif", values, **options)
    found = check("a.tif", (0, 3, 4) if 5 in values.shape else None)
    assert found.streamed and found.high < 60


def test_what_can_not_be_read_in_parts_is_told(monkeypatch):
    monkeypatch.setattr(blocks, "WHOLE", 30_000)
    file = Path("a.tif")
    Image.fromarray(RGB).save(file, compression="tiff_lzw", tiffinfo={278: 290})
    refused(file, "one strip of 271x290 pixels, which can't be read in parts; save it in tiles: gdal_translate")


def test_blocks_that_gdal_left_out_hold_nothing():
    tifffile.imwrite("a.tif", RGB, tile=(64, 64), extratags=[(42113, 2, 2, "7", True)])
    with tifffile.TiffFile("a.tif") as file:
        tags = [file.pages[0].tags[tag] for tag in (324, 325)]
    with open("a.tif", "r+b") as file:
        for tag in tags:
            size = {3: 2, 4: 4}[tag.dtype]
            file.seek(tag.valueoffset + size * 6)  # 5 tiles in a row
            file.write(bytes(size))
    with HugePicture("a.tif", Reading()) as picture:
        window = picture.read(0, 0, 290, 271)
        assert picture.nodata == 7 and (window[64:128, 64:128] == 7).all()
        assert picture.holds_nothing(window)[64:128, 64:128].all()
        np.testing.assert_array_equal(window[:64], RGB[:64])
        assert picture.holds_nothing(np.full((2, 2, 3), 8, np.uint8)) is None


def test_memory_is_kept_small(monkeypatch):
    tifffile.imwrite("a.tif", RGB, tile=(64, 64))
    with HugePicture("a.tif", Reading()) as picture:
        picture._limit = 5 * 64 * 64 * 3
        np.testing.assert_array_equal(picture.read(0, 0, 290, 271), RGB)
        assert len(picture._kept) == 5 and picture._bytes == picture._limit


def refused(path, *words):
    with pytest.raises(MXNetSegError) as caught, HugePicture(path, Reading()) as picture:
        picture.read(0, 0, picture.height, picture.width)
    for word in (str(path), *words):
        assert word in str(caught.value)


def test_what_is_no_huge_picture_is_refused():
    cv2.imwrite("a.png", RGB)
    refused("a.png", "not a TIFF file")
    refused("nowhere.tif", "can't be read")
    Path("empty.tif").touch()
    refused("empty.tif")
    tifffile.imwrite("two.tif", np.stack([RGB, RGB]), photometric="rgb")
    refused("two.tif", "several pages")
    tifffile.imwrite("turned.tif", RGB, extratags=[(274, 3, 1, 6, True)])
    refused("turned.tif", "stored turned (orientation 6)")
    tifffile.imwrite("five.tif", FIVE, photometric="minisblack", planarconfig="contig")
    refused("five.tif", "5 channels", "data.channels")


def changed(tag, number, at=0):
    """A tiled file with one number of its directory changed."""
    tifffile.imwrite("a.tif", RGB, tile=(64, 64), compression="zlib")
    with tifffile.TiffFile("a.tif") as file:
        entry = file.pages[0].tags[tag]
        form, place = {3: "<H", 4: "<I"}[entry.dtype], entry.valueoffset
    with open("a.tif", "r+b") as file:
        file.seek(place + at * struct.calcsize(form))
        file.write(struct.pack(form, number))
    return "a.tif"


@pytest.mark.parametrize(
    "tag, number, at",
    [
        (256, 0, 0),
        (256, 60_000, 0),  # more tiles than there are
        (257, 1 << 15, 0),
        (322, 0, 0),
        (322, 32, 0),
        (323, 60_000, 0),
        (324, 1 << 31, 3),  # beyond the end
        (324, 3, 3),  # no deflate
        (325, 10, 3),  # cut short
        (325, 1 << 31, 3),
        (277, 0, 0),
        (277, 60_000, 0),
    ],
)
def test_damage_is_told(tag, number, at):
    refused(changed(tag, number, at))


def test_bytes_cut_off_are_told():
    tifffile.imwrite("a.tif", RGB)
    Path("a.tif").write_bytes(Path("a.tif").read_bytes()[:100_000])
    refused("a.tif", "cut short")
