"""Files whose pages are in memory only while someone reads them."""

import errno
import mmap
import os
from typing import List, Union

from ..errors import MXNetSegError

__all__ = ["MappedFile"]


class MappedFile:
    """A file as memory: its pages come from the file, or the system's cache of it, when they are read.

    Raises OSError where it can't be opened, and where the system can't map it.

    Attributes
    ----------
    content : memoryview
        Its bytes, read-only. Whoever holds a view of them keeps the file open.
    """

    def __init__(self, path: Union[str, "os.PathLike[str]"]):
        if not hasattr(mmap, "MADV_DONTNEED"):
            raise OSError(errno.ENOTSUP, "pages of files can't be given back on this system")
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._as_it_was = self._now()
            self._map = mmap.mmap(self._file, 0, access=mmap.ACCESS_READ)
        except ValueError as err:  # an empty file
            os.close(self._file)
            raise OSError(errno.EINVAL, "the file is empty") from err
        except OSError:
            os.close(self._file)
            raise
        self.path = path
        self.content = memoryview(self._map)

    def give_back(self) -> None:
        """Free the memory of all pages; who reads them again gets them from the file again."""
        self._map.madvise(mmap.MADV_DONTNEED)

    def check(self) -> None:
        """Raise MXNetSegError where the file was written to since it was opened, so that its pages would be others."""
        if self._now() != self._as_it_was:
            raise MXNetSegError(
                f"{self.path} was written to while the network that it holds was in use; load it again, and put new "
                "files in the place of old ones by renaming (mv), not by writing into them (cp)"
            )

    def __del__(self) -> None:
        if hasattr(self, "_map"):
            os.close(self._file)

    def _now(self) -> List[int]:
        about = os.fstat(self._file)
        return [about.st_size, about.st_mtime_ns]
