"""Decoded images and labels in files that are mapped into memory, so that each is decoded once and not every epoch."""

import errno
import hashlib
import io
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Union

import numpy as np

from ..errors import MXNetSegError
from ..saving import SaveError, write_file

if TYPE_CHECKING:
    from .dataset import Dataset

__all__ = ["Cache", "announce"]

FULL = (errno.ENOSPC, errno.EDQUOT)

log = logging.getLogger(__name__)


class Cache:
    """A folder of arrays, each under a name made of its source's path, size and time of change.

    Any number of processes may share it: a file appears whole or not at all, and all would make the same one.
    """

    def __init__(self, folder: Union[str, Path]):
        self.folder = Path(folder).expanduser().absolute()

    def file(self, path: Union[str, Path], facts: str = "") -> Path:
        """Where the array of source `path` belongs; `facts`: what else it depends on.

        Raises
        ------
        MXNetSegError
            The source can't be read.
        """
        path = Path(path).absolute()
        try:
            state = path.stat()
        except OSError as err:
            raise MXNetSegError(f"{path}: can't be read ({err.strerror or err})") from err
        key = "\0".join([str(path), str(state.st_size), str(state.st_mtime_ns), facts])
        name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:40]
        return self.folder / name[:2] / f"{name}.npy"

    def get(self, path: Union[str, Path], make: Callable[[], np.ndarray], facts: str = "") -> np.ndarray:
        """The array of source `path`, mapped and read-only; the first time it is what `make()` gives.

        Raises
        ------
        MXNetSegError
            The disk is full or can't be written; or `make` raised it.
        """
        file = self.file(path, facts)
        try:
            return _mapped(file)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, EOFError):
            log.warning("%s is damaged; it is made anew", file)
        self._write(file, make())
        return _mapped(file)

    def _write(self, file: Path, array: np.ndarray) -> None:
        array = np.ascontiguousarray(array)
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
        try:
            write_file(file, header.getvalue(), array.data)
        except SaveError as err:
            what = (
                f"the disk of {self.folder} is full" if err.errno in FULL else f"can't write into {self.folder} ({err})"
            )
            raise MXNetSegError(f"data.cache: {what}; name another folder, or leave data.cache out") from err


def announce(cache: Cache, *datasets: "Dataset") -> None:
    """Say how much the arrays of `datasets` will take, judged by the first of each.

    Raises
    ------
    MXNetSegError
        What is not there yet takes more than the disk has free.
    """
    needed = missing = 0
    for dataset in datasets:
        sample = dataset.load(0)
        size = sum(array.nbytes + 128 for array in sample[:2] if array is not None)  # 128: the header
        needed += size * len(dataset)
        missing += size * sum(not cache.file(path, dataset.image_facts()).exists() for path in dataset.image_paths)
    try:
        cache.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(cache.folder).free
    except OSError as err:
        raise MXNetSegError(f"data.cache: can't make the folder {cache.folder} ({err.strerror or err})") from err
    words = (
        f"{_gb(needed)} of decoded images and labels in {cache.folder}, {_gb(missing)} of it new; {_gb(free)} are free"
    )
    if missing > free:
        raise MXNetSegError(f"data.cache: about {words}. Name a folder on another disk, or leave data.cache out")
    log.info("data.cache: about %s", words)


def _mapped(file: Path) -> np.ndarray:
    values: np.ndarray = np.asarray(np.load(file, mmap_mode="r"))
    return values


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
