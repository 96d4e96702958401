"""Damaged and hostile images and masks, made here: what is in them, and what may come of reading them."""

import io
import struct
import zlib
from typing import Dict, NamedTuple, Optional, Union

import cv2
import numpy as np
from PIL import Image
from scipy.io import savemat

HEIGHT, WIDTH = 20, 24
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
PICTURE = np.stack([10 * ROWS, 10 * COLUMNS, 5 * (ROWS + COLUMNS)], -1).astype(np.uint8)
MASK = ((ROWS // 5 + COLUMNS // 6) % 5).astype(np.uint8)
GREY = np.repeat(MASK[..., None], 3, 2)

ERROR, ANY = "error", "any"  # ANY: the format has no checksum, so what is wrong need not be found out
Answer = Union[str, np.ndarray]


class Case(NamedTuple):
    """A file, and the right answer of `read_image` and `read_mask`: an error is right too, but for `must` ones."""

    data: bytes
    image: Answer
    mask: Answer
    must: bool = False


def by_pillow(array: np.ndarray, kind: str, mode: Optional[str] = None, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array, mode).save(file, kind, **options)
    return file.getvalue()


def npy(array: np.ndarray, pickled: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=pickled)
    return file.getvalue()


def npy_of(header: str, content: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + content


def mat(content, compressed: bool) -> bytes:
    file = io.BytesIO()
    savemat(file, content, do_compression=compressed)
    return file.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_of(width: int, height: int, bits: int = 8, colour: int = 0, more: bytes = b"", pixels: bytes = b"") -> bytes:
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + more + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    )


def patched(data: bytes, place: int, form: str, *values) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, place, *values)
    return bytes(changed)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def tiff_sized(data: bytes, width: int, height: int) -> bytes:
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for place in range(start + 2, start + 2 + 12 * count, 12):
        tag = struct.unpack_from("<H", data, place)[0]
        if tag in (256, 257):
            data = patched(data, place + 2, "<HII", 4, 1, width if tag == 256 else height)
    return data


def frame_of(jpeg: bytes) -> int:
    """Where a JPEG says its height and width."""
    return next(jpeg.index(mark) for mark in (b"\xff\xc0", b"\xff\xc2") if mark in jpeg) + 5


def valid() -> Dict[str, Case]:
    """One intact file of each kind."""
    jpeg = by_pillow(PICTURE, "JPEG", quality=95)
    decoded = np.asarray(Image.open(io.BytesIO(jpeg)))
    palette = Image.fromarray(MASK, "P")
    palette.putpalette(GREY[:, :, 0].ravel().tolist() and [v for i in range(256) for v in (i, i, i)])
    gif = io.BytesIO()
    palette.save(gif, "GIF")
    return {
        "png": Case(by_pillow(PICTURE, "PNG"), PICTURE, ERROR),
        "mask.png": Case(by_pillow(MASK, "PNG"), GREY, MASK),
        "jpg": Case(jpeg, decoded, ERROR),
        "bmp": Case(by_pillow(MASK, "BMP"), GREY, MASK),
        "gif": Case(gif.getvalue(), GREY, MASK),
        "tif": Case(by_pillow(MASK, "TIFF"), GREY, MASK),
        "webp": Case(by_pillow(PICTURE, "WEBP", lossless=True), PICTURE, ERROR),
        "npy": Case(npy(MASK), GREY, MASK),
        "ppm": Case(by_pillow(PICTURE, "PPM"), PICTURE, ERROR),
    }


def resized(kind: str, data: bytes, width: int, height: int) -> bytes:
    """The file, declaring another size."""
    if kind.endswith("png"):
        head = data[16:33]
        return data[:8] + chunk(b"IHDR", struct.pack(">II", width, height) + head[8:13]) + data[33:]
    if kind == "jpg":
        return patched(data, frame_of(data), ">HH", min(height, 65535), min(width, 65535))
    if kind == "bmp":
        return patched(data, 18, "<ii", width, height)
    if kind == "gif":
        place = data.index(b"\x2c\0\0\0\0")
        return patched(patched(data, 6, "<HH", width, height), place + 5, "<HH", width, height)
    if kind == "tif":
        return tiff_sized(data, width, height)
    if kind == "webp":
        place = data.index(b"VP8L") + 9
        (bits,) = struct.unpack_from("<I", data, place)
        return patched(data, place, "<I", bits >> 28 << 28 | (height - 1 & 0x3FFF) << 14 | (width - 1 & 0x3FFF))
    if kind == "npy":
        return npy_of(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({height}, {width})}}", MASK.tobytes())
    return data.replace(b"24 20", b"%d %d" % (width, height), 1)


def cases() -> Dict[str, Case]:
    """Name of the file -> what is in it."""
    found: Dict[str, Case] = {}
    for kind, (data, image, mask, _) in valid().items():
        found[f"intact.{kind}"] = Case(data, image, mask, must=True)
        for share in (0.0, 0.02, 0.4, 0.8, 1.0):
            cut = min(int(len(data) * share), len(data) - 1)
            found[f"cut-{cut}.{kind}"] = Case(data[:cut], image, mask)
        for width, height in ((16383, 16383), (0, 20), (24, 0), (25, 20), (24, 21)):
            # no format says both a size and a length of its pixels that could be compared
            loose = kind in ("jpg", "webp", "gif", "bmp", "tif") and 0 not in (width, height)
            wrong = ANY if loose and width < 100 else ERROR
            found[f"says-{width}x{height}.{kind}"] = Case(resized(kind, data, width, height), wrong, wrong)
        for bit in (3, 70, 131, 8 * len(data) // 2):
            sure = kind.endswith("png")
            found[f"bit-{bit}.{kind}"] = Case(flipped(data, bit), image if sure else ANY, mask if sure else ANY)
    return {**found, **_others(), **_arrays(), **_matlab()}


def _others() -> Dict[str, Case]:
    png, jpeg = by_pillow(PICTURE, "PNG"), by_pillow(PICTURE, "JPEG")
    mask, bomb = by_pillow(MASK, "PNG"), zlib.compress(bytes(50_000_000), 9)
    start = mask[:33]
    frames = [Image.fromarray(PICTURE), Image.fromarray(PICTURE[::-1])]

    def moving(kind: str, **options) -> bytes:
        file = io.BytesIO()
        frames[0].save(file, kind, save_all=True, append_images=frames[1:], **options)
        return file.getvalue()

    def with_chunk(name: bytes, content: bytes) -> Case:
        return Case(start + chunk(name, content) + mask[33:], GREY, MASK, must=True)

    alpha = np.dstack([PICTURE, 255 - MASK])
    deep = cv2.imencode(".png", (PICTURE.astype(np.uint16) * 257)[..., ::-1])[1].tobytes()
    deep_mask = cv2.imencode(".png", MASK.astype(np.uint16) + 1000)[1].tobytes()
    inverted = by_pillow(MASK, "TIFF", compression="tiff_adobe_deflate")
    strip = zlib.compress(MASK.tobytes())
    at = inverted.find(strip[:2])
    rows = b"".join(b"\0" + bytes(row[::2] << 4 | row[1::2]) for row in MASK)
    return {
        "png-inside.jpg": Case(png, PICTURE, ERROR, must=True),
        "jpeg-inside.png": Case(jpeg, ANY, ERROR),
        "page.png": Case(b"<!DOCTYPE html><html></html>", ERROR, ERROR),
        "archive.jpg": Case(b"PK\x03\x04" + bytes(60), ERROR, ERROR),
        "program.tif": Case(b"\x7fELF" + bytes(60), ERROR, ERROR),
        "zeros.png": Case(bytes(1000), ERROR, ERROR),
        "text.png": with_chunk(b"zTXt", b"Comment\0\0" + bomb),
        "unicode.png": with_chunk(b"iTXt", b"Comment\0\1\0\0\0" + bomb),
        "profile.png": with_chunk(b"iCCP", b"icc\0\0" + bomb),
        "unknown.png": with_chunk(b"abCd", bytes(1000)),
        "palette-of-1.png": Case(
            png_of(24, 20, 8, 3, chunk(b"PLTE", b"\1\2\3"), bytes(25 * 20)), ANY, np.zeros_like(MASK)
        ),
        "long.png": Case(png_of(4, 4, pixels=bytes(20_000_000)), ANY, ANY),
        "one-bit.png": Case(png_of(32000, 32000, 1, pixels=bytes(4001 * 100)), ERROR, ERROR),
        "twice.png": Case(mask[:33] + mask[8:], GREY, MASK),
        "endless.png": Case(start + struct.pack(">I4s", 0xFFFFFFF0, b"IDAT") + mask[41:], ERROR, ERROR),
        "headless.png": Case(mask[:8] + mask[33:], ERROR, ERROR),
        "four-bits.png": Case(png_of(24, 20, 4, pixels=rows), ANY, MASK, must=True),
        "deflated.tif": Case(inverted[:at] + bomb[: len(strip)] + inverted[at + len(strip) :], ANY, ANY),
        "moving.gif": Case(moving("GIF"), ERROR, ERROR),
        "moving.png": Case(moving("PNG"), ERROR, ERROR),
        "moving.webp": Case(moving("WEBP"), ERROR, ERROR),
        "pages.tif": Case(moving("TIFF"), ERROR, ERROR),
        "cmyk.jpg": Case(by_pillow(np.dstack([PICTURE, MASK]), "JPEG", "CMYK"), ANY, ERROR),
        "progressive.jpg": Case(by_pillow(PICTURE, "JPEG", progressive=True), ANY, ERROR),
        "two-sizes.jpg": Case(jpeg[:2] + jpeg[frame_of(jpeg) - 5 : frame_of(jpeg) + 14] + jpeg[2:], ERROR, ERROR),
        "lossy.webp": Case(by_pillow(PICTURE, "WEBP", quality=90), ANY, ERROR),
        "alpha.png": Case(by_pillow(alpha, "PNG"), PICTURE, ERROR, must=True),
        "alpha.webp": Case(by_pillow(alpha, "WEBP", lossless=True, exact=True), PICTURE, ERROR, must=True),
        "grey-alpha.png": Case(by_pillow(np.dstack([MASK, MASK]), "PNG", "LA"), GREY, MASK, must=True),
        "sixteen.png": Case(deep, ERROR, ERROR),
        "sixteen-mask.png": Case(deep_mask, ERROR, MASK.astype(np.int32) + 1000, must=True),
        "ragged.txt": Case(b"1 2\n3\n", ERROR, ERROR),
        "large.txt": Case(b"1 " + b"9" * 30, ERROR, ERROR),
        "letters.txt": Case("1 ä\n".encode(), ERROR, ERROR),
        "negative.txt": Case(b"0 -1\n2 3\n", ERROR, np.array([[0, 255], [2, 3]]), must=True),
    }


def _arrays() -> Dict[str, Case]:
    def head(shape: str, descr: str = "'|u1'") -> str:
        return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}"

    floats = MASK.astype(np.float32)
    holes = np.where(MASK > 2, np.float32("nan"), floats)
    return {
        "pickled.npy": Case(npy(np.array([[{}], [1]], object), pickled=True), ERROR, ERROR),
        "fields.npy": Case(npy(np.zeros((3, 4), [("a", "u1"), ("b", "u1")])), ERROR, ERROR),
        "negative.npy": Case(npy_of(head("(-4, -5)"), bytes(20)), ERROR, ERROR),
        "huge.npy": Case(npy_of(head("(1000000, 1000000)"), bytes(20)), ERROR, ERROR),
        "overflow.npy": Case(npy_of(head("(4294967296, 4294967296)"), b""), ERROR, ERROR),
        "true.npy": Case(npy_of(head("(True, 20)"), bytes(20)), ERROR, ERROR),
        "call.npy": Case(npy_of("__import__('os').abort()", bytes(20)), ERROR, ERROR),
        "nested.npy": Case(npy_of("(" * 9000, bytes(20)), ERROR, ERROR),
        "long.npy": Case(b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 31) + bytes(20), ERROR, ERROR),
        "deep.npy": Case(npy(np.zeros((1, 1, 1, 1, 1), np.uint8)), ERROR, ERROR),
        "none.npy": Case(npy(np.zeros((0, 5), np.uint8)), ERROR, ERROR),
        "nan.npy": Case(npy(holes), ERROR, ERROR),
        "infinite.npy": Case(npy(np.full((4, 4), np.inf)), ERROR, ERROR),
        "fractions.npy": Case(npy(floats / 2), ERROR, ERROR),
        "complex.npy": Case(npy(MASK.astype(np.complex64)), ERROR, ERROR),
        "words.npy": Case(npy(np.array([["a"]])), ERROR, ERROR),
        "whole.npy": Case(npy(floats), ERROR, MASK, must=True),
        "columns.npy": Case(npy(np.asfortranarray(MASK)), GREY, MASK, must=True),
        "big-endian.npy": Case(npy(MASK.astype(">u2")), ERROR, MASK, must=True),
    }


def _matlab() -> Dict[str, Case]:
    plain, packed = (mat({"x": MASK}, compressed) for compressed in (False, True))
    start = plain.index(struct.pack("<ii", HEIGHT, WIDTH))
    inflating = struct.pack("<II", 15, 50_000) + zlib.compress(
        struct.pack("<II", 14, 48_000_000) + bytes(48_000_000), 9
    )
    found = {
        "intact.mat": Case(plain, ERROR, MASK, must=True),
        "packed.mat": Case(packed, ERROR, MASK, must=True),
        "fields.mat": Case(mat({"x": {"y": MASK}}, True), ERROR, ERROR),
        "cells.mat": Case(mat({"x": np.array([[MASK]], object)}, True), ERROR, ERROR),
        "words.mat": Case(mat({"x": "words"}, True), ERROR, ERROR),
        "other.mat": Case(mat({"z": MASK}, True), ERROR, ERROR),
        "large.mat": Case(patched(plain, start, "<ii", 1 << 30, 1 << 30), ERROR, ERROR),
        "negative.mat": Case(patched(plain, start, "<ii", -HEIGHT, -WIDTH), ERROR, ERROR),
        "hdf.mat": Case(b"MATLAB 7.3 MAT-file" + bytes(200), ERROR, ERROR),
        "old.mat": Case(struct.pack("<5i", 0, 2, 2, 0, 2) + b"x\0" + bytes(200), ERROR, ERROR),
        "inflating.mat": Case(plain[:128] + inflating, ERROR, ERROR),
    }
    for bit in range(8 * 126, 8 * len(plain), 8 * 29 + 3):
        found[f"bit-{bit}.mat"] = Case(flipped(plain, bit), ERROR, ANY)
    for bit in range(8 * 136, 8 * len(packed), 8 * 7 + 3):  # a checksum is behind these
        found[f"packed-bit-{bit}.mat"] = Case(flipped(packed, bit), ERROR, MASK)
    return found
