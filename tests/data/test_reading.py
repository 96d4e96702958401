"""Images as they are read: orientation, channels, ranges, limits."""

import io
import itertools
import logging
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from mxnetseg.config.schema import DataConfig
from mxnetseg.data import TrainTransform, normalize, open_dataset
from mxnetseg.data.exif import find_turned
from mxnetseg.data.files import Reading, read_header_of, read_image, upright
from mxnetseg.data.masks import read_mask
from mxnetseg.data.reading.tiff import STRIP_BYTES, STRIPS, directory
from mxnetseg.data.transforms import blur, distort, pad, resize
from mxnetseg.errors import MXNetSegError
from mxnetseg.visual import rgb

tifffile = pytest.importorskip("tifffile")

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (6, 8, 3), np.uint8)
TURNS = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(np.swapaxes(a, 0, 1), 2),
    8: np.rot90,
}


def photograph(path, orientation, size=(6, 8)):
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(cv2.resize(PICTURE, size[::-1])).save(path, exif=exif)


@pytest.mark.parametrize("kind", ["png", "webp", "jpg"])
@pytest.mark.parametrize("orientation", TURNS)
def test_photographs_are_turned_as_pillow_turns_them(tmp_path, kind, orientation):
    from PIL import ImageOps

    path = tmp_path / f"a.{kind}"
    photograph(path, orientation)
    with Image.open(path) as stored:
        shown = np.asarray(ImageOps.exif_transpose(stored).convert("RGB")).astype(int)
        raw = np.asarray(stored.convert("RGB")).astype(int)
    near = 0 if kind == "png" else 4  # decoders round differently
    assert np.abs(read_image(path) - shown).max() <= near
    assert np.abs(read_image(path, Reading(upright=False)) - raw).max() <= near
    np.testing.assert_array_equal(upright(PICTURE, orientation), TURNS[orientation](PICTURE))


def folder_of(tmp_path, **keys):
    return DataConfig(root=str(tmp_path), images="images/{split}", masks="masks/{split}", classes=["a", "b"], **keys)


def pair(tmp_path, name, image, mask, kind="tif"):
    for folder in ("images/train", "masks/train"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    if isinstance(image, int):
        photograph(tmp_path / f"images/train/{name}.jpg", image)
    else:
        tifffile.imwrite(tmp_path / f"images/train/{name}.{kind}", image)
    Image.fromarray(mask).save(tmp_path / f"masks/train/{name}.png")


def test_which_pictures_masks_belong_to(tmp_path):
    for name, orientation, shape in (("a", 6, (8, 6)), ("b", 6, (6, 8)), ("c", 3, (6, 8)), ("d", 1, (6, 8))):
        pair(tmp_path, name, orientation, np.zeros(shape, np.uint8))
    found = find_turned(open_dataset(folder_of(tmp_path), "train"))
    assert [(turned.image.stem, turned.fits) for turned in found] == [("a", "upright"), ("b", "raw"), ("c", "either")]
    for keys, good, bad, other in (({}, 0, 1, "raw"), ({"exif": "raw"}, 1, 0, "upright")):
        dataset = open_dataset(folder_of(tmp_path, **keys), "train")
        assert dataset.load(good).image.shape[:2] == dataset.label(good).shape
        with pytest.raises(MXNetSegError, match=rf"of one size\. EXIF says .* set data\.exif: {other}"):
            dataset.load(bad)


def test_known_data_sets_are_read_as_stored(tmp_path):
    (tmp_path / "images/training").mkdir(parents=True)
    photograph(tmp_path / "images/training/a.jpg", 6)
    dataset = open_dataset(DataConfig(name="ade20k", root=str(tmp_path)), "train", labelled=False)
    assert dataset.load(0).image.shape == (6, 8, 3)
    dataset = open_dataset(DataConfig(name="ade20k", root=str(tmp_path), exif="upright"), "train", labelled=False)
    assert dataset.load(0).image.shape == (8, 6, 3)


def test_more_than_eight_bits_need_a_range(tmp_path):
    deep = RNG.integers(0, 4096, (6, 8, 3)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), deep[..., ::-1])
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb")
    tifffile.imwrite(tmp_path / "f.tif", (deep / 4095).astype(np.float32), photometric="rgb")
    for name in ("a.png", "a.tif", "f.tif"):
        with pytest.raises(MXNetSegError, match=rf"{name}: its values are .*, from .* data\.range: \[0, 4095\]"):
            read_image(tmp_path / name)
        image = read_image(tmp_path / name, Reading(range=(0, 1) if name == "f.tif" else (0, 4095)))
        assert image.dtype == np.float32
        np.testing.assert_allclose(image, deep / 4095 * 255, atol=1e-3)
    cut = read_image(tmp_path / "a.png", Reading(range=(1000, 2000)))
    assert cut.min() == 0 and cut.max() == 255 and len(np.unique(cut)) > 20  # not rounded to levels
    Image.fromarray(PICTURE).save(tmp_path / "b.png")
    with pytest.raises(MXNetSegError, match=r"b\.png: it has 8 bits, but data\.range is \[0, 4095\]"):
        read_image(tmp_path / "b.png", Reading(range=(0, 4095)))
    tifffile.imwrite(tmp_path / "n.tif", np.full((4, 4), np.nan, np.float32))
    with pytest.raises(MXNetSegError, match=r"n\.tif: 48 of its values are not finite"):
        read_image(tmp_path / "n.tif", Reading(range=(0, 1)))


def test_channels_are_taken_by_their_places(tmp_path, caplog):
    bands = RNG.integers(0, 256, (6, 8, 5), np.uint8)
    tifffile.imwrite(tmp_path / "five.tif", bands, photometric="minisblack", planarconfig="contig")
    with pytest.raises(MXNetSegError, match=r"five\.tif: it has 5 channels; say which .*: \[0, 1, 2, 3, 4\]"):
        read_image(tmp_path / "five.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "five.tif", Reading(channels=(4, 0))), bands[..., [4, 0]])
    with pytest.raises(MXNetSegError, match=r"it has 5 channels, but data\.channels is \[5\]"):
        read_image(tmp_path / "five.tif", Reading(channels=(5,)))
    grey = bands[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png", Reading(channels=(0,)))[..., 0], grey)
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, 2))
    Image.fromarray(bands[..., :4]).save(tmp_path / "alpha.png")
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(read_image(tmp_path / "alpha.png"), bands[..., :3])
    assert "alpha.png: transparent pixels" in caplog.text or not caplog.text  # once a process
    np.testing.assert_array_equal(read_image(tmp_path / "alpha.png", Reading(channels=(0, 1, 2, 3))), bands[..., :4])


def test_tiff_without_tifffile_is_said(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", PICTURE.astype(np.int32), photometric="rgb")
    monkeypatch.setattr("mxnetseg.optional.installed", lambda module: module != "tifffile")
    with pytest.raises(MXNetSegError, match=r"a\.tif: a TIFF file of a kind .* needs tifffile, .* pip install"):
        read_image(tmp_path / "a.tif", Reading(range=(0, 255)))


@pytest.mark.parametrize(
    "compression, kind",
    [
        *itertools.product(("tiff_adobe_deflate", "tiff_lzw", "packbits"), ("RGB", "L", "P")),
        *itertools.product(("jpeg",), ("RGB", "L")),
    ],
)
def test_a_strip_that_lacks_values_is_damage(tmp_path, compression, kind):
    scene = Image.fromarray(cv2.resize(PICTURE, (80, 60), interpolation=cv2.INTER_CUBIC)).convert(kind)
    scene.save(tmp_path / "a.tif", compression=compression, tiffinfo={278: 16})
    whole, data = read_image(tmp_path / "a.tif"), (tmp_path / "a.tif").read_bytes()
    shown = np.asarray(scene.convert("RGB")).astype(int)
    assert np.abs(whole - shown).max() <= (80 if compression == "jpeg" else 0)
    tags, _ = directory(data)
    start, count = tags[STRIPS][2], tags[STRIP_BYTES][2]
    half = bytes(count - count // 2)
    (tmp_path / "a.tif").write_bytes(data[: start + count // 2] + half + data[start + count :])
    with pytest.raises(MXNetSegError, match=r"a\.tif: not an image that can be read: it is (damaged|cut short)"):
        read_image(tmp_path / "a.tif")
    if kind == "L" and compression != "jpeg":
        with pytest.raises(MXNetSegError, match=r"a\.tif: not a mask that can be read: it is (damaged|cut short)"):
            read_mask(tmp_path / "a.tif")


def test_every_change_within_deflate_is_damage(tmp_path):
    Image.fromarray(PICTURE).save(tmp_path / "a.tif", compression="tiff_adobe_deflate")
    data = (tmp_path / "a.tif").read_bytes()
    tags, _ = directory(data)
    start, count = tags[STRIPS][0], tags[STRIP_BYTES][0]
    for place in range(start + 2, start + count, 5):
        changed = data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]
        (tmp_path / "a.tif").write_bytes(changed)
        with pytest.raises(MXNetSegError, match="not an image that can be read"):
            read_image(tmp_path / "a.tif")


def test_the_limit_is_ours(tmp_path):
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    Image.fromarray(PICTURE[..., 0]).save(tmp_path / "m.png")
    message = r"a\.png: its header says 8x6 .*, but the limit is 4e-05 .*; .* raise data\.max_pixels"
    with pytest.raises(MXNetSegError, match=message):
        read_image(tmp_path / "a.png", Reading(max_pixels=40))
    assert read_image(tmp_path / "a.png", Reading(max_pixels=48)).shape == (6, 8, 3)
    with pytest.raises(MXNetSegError, match="the limit is"):
        read_mask(tmp_path / "m.png", max_pixels=40)
    pair(tmp_path, "p", 1, np.zeros((6, 8), np.uint8))
    with pytest.raises(MXNetSegError, match="the limit is"):
        open_dataset(folder_of(tmp_path, max_pixels=40), "train").load(0)


@pytest.mark.parametrize("channels, kind", [(1, np.uint8), (2, np.float32), (4, np.float32), (7, np.uint8)])
def test_transforms_of_other_channels(channels, kind):
    image = RNG.uniform(0, 255, (20, 30, channels)).astype(kind)
    label = RNG.integers(0, 3, (20, 30), np.uint8)
    data = DataConfig(
        classes=["a", "b", "c"],
        images="i",
        masks="m",
        channels=channels,
        range=None if kind == np.uint8 else (0, 1),
        mean=[100.4] * channels,
        std=[50] * channels,
        augment={"crop": 40, "photometric": True, "blur": 1.0, "scale": [0.5, 1.0]},
    )
    for seed in range(4):
        seen, target = TrainTransform(data)(image, label, np.random.default_rng(seed))
        assert seen.shape == (40, 40, channels) and seen.dtype == kind and target.shape == (40, 40)
        assert (seen[-1, -1] == (100 if kind == np.uint8 else np.float32(100.4))).all() and target[-1, -1] == 255
    assert resize(image, 10, 12).shape == (10, 12, channels) and blur(image, RNG).shape == image.shape
    assert pad(image, 25, 30, data.mean)[:20].tobytes() == image.tobytes()
    changed = distort(image, np.random.default_rng(3))
    assert changed.dtype == kind and changed.shape == image.shape and (changed != image).any()
    fed = normalize(image[None], data.mean, data.std)
    np.testing.assert_allclose(fed[0].transpose(1, 2, 0), (image - np.float32(100.4)) / 50, atol=1e-5)


def test_what_is_shown():
    bands = RNG.uniform(0, 255, (4, 5, 4)).astype(np.float32)
    np.testing.assert_array_equal(rgb(bands), np.rint(bands[..., :3]).astype(np.uint8))
    np.testing.assert_array_equal(rgb(bands, [3, 0, 1]), np.rint(bands[..., [3, 0, 1]]).astype(np.uint8))
    np.testing.assert_array_equal(rgb(bands[..., :2]), np.repeat(np.rint(bands[..., :1]).astype(np.uint8), 3, 2))
    assert rgb(PICTURE) is PICTURE


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"channels": 4, "mean": [1, 2, 3]}, "data.mean has 3 values, but images have 4 channels"),
        ({"channels": 0}, "channels"),
        ({"channels": []}, "data.channels names 0 channels"),
        ({"channels": [-1]}, "channels.0"),
        ({"range": [5, 5]}, r"data.range is \[low, high\]"),
        ({"shown": [0, 1]}, "data.shown names one or three"),
        ({"shown": [3]}, "data.shown names one or three"),
        ({"range": [0, 1], "augment": {"photometric_distortion": True}}, "is for 8-bit RGB images alone"),
        ({"max_pixels": 0}, "max_pixels"),
        ({"exif": "turned"}, "exif"),
    ],
)
def test_wrong_values(keys, message):
    with pytest.raises(ValueError, match=message):
        DataConfig(**keys)


def test_matlab_files_are_read_as_scipy_reads_them(tmp_path):
    from scipy.io import loadmat, savemat

    for number in range(40):
        rng = np.random.default_rng(number)
        dtype = rng.choice(["uint8", "int8", "uint16", "int16", "int32", "uint32", "float32", "float64", "int64"])
        values = rng.integers(0, 100, tuple(rng.integers(1, 9, 2))).astype(dtype)
        content = {"first": "text", "a_long_name_of_a_variable": {"in": {"er": values}, "other": "x"}, "last": values}
        file = io.BytesIO()
        savemat(file, content, do_compression=bool(number % 2), oned_as="row")
        (tmp_path / "a.mat").write_bytes(file.getvalue())
        theirs = loadmat(str(tmp_path / "a.mat"), squeeze_me=True)["last"]
        for key in ("last", "a_long_name_of_a_variable.in.er"):
            np.testing.assert_array_equal(np.squeeze(read_mask(tmp_path / "a.mat", key)), theirs)


@pytest.mark.parametrize("kind", ["jp2", "ras", "ppm", "pgm", "pam", "gif", "bmp", "dib", "jpe", "pfm", "hdr"])
def test_every_kind_that_opencv_reads(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    smooth = cv2.resize(PICTURE, (96, 64), interpolation=cv2.INTER_CUBIC)
    whole = smooth[..., 0] if kind == "pgm" else smooth.astype(np.float32) / 255 if kind in ("pfm", "hdr") else smooth
    if kind == "gif":
        Image.fromarray(whole).save(path)
        wanted = np.asarray(Image.open(path).convert("RGB"))
    else:
        path.write_bytes(cv2.imencode(f".{kind}", whole)[1].tobytes())
        read = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
        wanted = np.repeat(read[..., None], 3, 2) if read.ndim == 2 else read[..., ::-1]
    header = read_header_of(path)
    assert (header.width, header.height) == (96, 64)
    floats = kind in ("pfm", "hdr")
    found = read_image(path, Reading(range=(0, 1)) if floats else Reading())
    np.testing.assert_allclose(found, wanted * np.float32(255) if floats else wanted, atol=1e-4)
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(MXNetSegError, match=rf"a\.{kind}: not an image that can be read"):
        read_image(path, Reading(range=(0, 1)) if floats else Reading())


def test_jpeg_2000_takes_more_memory_than_it_holds(tmp_path):
    path = tmp_path / "a.jp2"
    data = bytearray(cv2.imencode(".jp2", cv2.resize(PICTURE, (96, 64)))[1].tobytes())
    place = data.index(b"\xff\x4f\xff\x51") + 8
    data[place : place + 8] = struct.pack(">II", 8000, 8000)
    path.write_bytes(data)
    with pytest.raises(MXNetSegError, match=r"8000x8000 .*64 million pixels of 3 x 32 bits, but the limit is 67"):
        read_header_of(path)
