"""What preparations share: finding downloads, converting in parallel, linking images, writing lists."""

import contextlib
import os
from pathlib import Path
from typing import Callable, Iterable, List, Optional, Sequence, Tuple

import numpy as np

from ...errors import MXNetSegError
from ...progress import progress_bar
from ...saving import bring, write_file
from ...visual import save_png
from ..masks import write_mask
from ..spec import DatasetSpec
from ..workers import check_workers, in_order

__all__ = ["Bench", "read_names"]

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz")
DEPTH = 5  # folders below --from that are looked through


class Bench:
    """Where a preparation works.

    Attributes
    ----------
    spec : DatasetSpec
    target : Path
    written, kept : int
        Files made, and files that were there already.
    """

    def __init__(self, spec: DatasetSpec, source, target, workers: int = 0, progress: bool = True):
        self.spec = spec
        self.source = Path(source)
        self.target = Path(target)
        self.workers = check_workers(workers)
        self.progress = progress
        self.written = self.kept = 0
        if not self.source.is_dir():
            raise MXNetSegError(f"--from {source}: no such folder; name the one with the downloads of {spec.name}")

    def folder(self, name: str, pattern: str, download: str, avoid: str = "") -> Path:
        """The folder `name` ("a/b": b in a) below the source that holds files like `pattern`; not in one `avoid`."""
        for folder in self.folders():
            fits = f"/{folder.as_posix()}".endswith(f"/{name}") and folder.parent.name != (avoid or None)
            if fits and next(folder.glob(pattern), None) is not None:
                return folder
        raise MXNetSegError(self._missing(f"folder {name} with files like {pattern}", download))

    def file(self, name: str, download: str) -> Path:
        """The file `name` below the source; "a/b": b in a folder a."""
        for folder in self.folders():
            path = folder / name
            if path.is_file():
                return path
        raise MXNetSegError(self._missing(f"file {name}", download))

    def convert(self, read: Callable[..., Optional[np.ndarray]], tasks: Iterable[Tuple[str, tuple]], what: str) -> None:
        """Write `read(*arguments)` to the path of every task (path below the target, arguments).

        (H, W) label values become PNGs with the palette of the data set, (H, W, 3) images plain PNGs; None is left
        out. `read` has to be a function of a module, for the workers.
        """
        todo = []
        for path, arguments in tasks:
            if (self.target / path).exists():
                self.kept += 1
            else:
                todo.append((self.target / path, arguments))
        job = _Convert(read, self._palette())
        bar = progress_bar(total=len(todo), desc=what, unit="file", shown=self.progress)
        with bar, contextlib.closing(in_order(job, todo, self.workers if len(todo) > 32 else 0)) as results:
            for result in results:
                self.written += result
                bar.update()

    def bring(self, files: Iterable[Tuple[Path, str]], what: str) -> None:
        """Bring files to paths below the target: as hard links where the file system can, else as copies."""
        files = list(files)
        for path, place in progress_bar(files, desc=what, unit="file", shown=self.progress):
            target = self.target / place
            if target.exists():
                self.kept += 1
                continue
            if not path.is_file():
                raise MXNetSegError(f"{path}: no such file, but a list names it; is the download complete?")
            bring(path, target)
            self.written += 1

    def list(self, name: str, lines: Sequence[str]) -> None:
        """Write a split's list."""
        path = self.target / name
        text = "\n".join(lines) + "\n"
        if path.exists():
            if path.read_text(encoding="utf-8").split() != text.split():
                raise MXNetSegError(
                    f"{path} is there already and names other files; move it away, or name another --to"
                )
            self.kept += 1
            return
        write_file(path, text.encode())
        self.written += 1

    def _palette(self) -> np.ndarray:
        """Colour of every value in the masks."""
        palette = np.zeros((256, 3), np.uint8)
        for value, index in self.spec.raw_values().items():
            palette[value] = self.spec.palette[index]
        return palette

    def folders(self) -> Iterable[Path]:
        """The source and what is below it, level by level."""
        level = [self.source]
        for _ in range(DEPTH):
            yield from level
            level = [child for folder in level for child in _children(folder)]

    def _missing(self, what: str, download: str) -> str:
        home = f" ({self.spec.homepage})" if self.spec.homepage else ""
        text = f"{self.spec.name}: no {what} below {self.source}; it comes with {download}{home}"
        packed = [path.name for path in sorted(self.source.iterdir()) if path.name.lower().endswith(ARCHIVES)]
        return text + (f". There are archives: {', '.join(packed[:5])}; unpack them first" if packed else "")


class _Convert:
    """Task of a worker."""

    def __init__(self, read, palette):
        self.read = read
        self.palette = palette

    def name(self, task) -> str:
        return str(task[0])

    def __call__(self, task) -> int:
        path, arguments = task
        values = self.read(*arguments)
        if values is None:
            return 0
        if values.ndim == 2:
            write_mask(path, values, self.palette)
        else:
            save_png(path, values)
        return 1


def read_names(path: Path) -> List[str]:
    """The names in a list, one per line, without blank lines."""
    try:
        return [line.split()[0] for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as err:
        raise MXNetSegError(f"{path}: not a list that can be read ({err})") from err


def _children(folder: Path) -> List[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []
