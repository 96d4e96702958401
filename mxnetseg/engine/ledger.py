"""Which network made the files in a folder of predictions: predictions.jsonl, a line for every image."""

import hashlib
import json
from pathlib import Path
from typing import Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from ..config.schema import EvalConfig
from ..errors import MXNetSegError
from ..names import counted
from ..saving import append_line
from .checkpoint import Checkpoint

__all__ = ["Ledger", "Maker", "maker_of"]

NAME = "predictions.jsonl"
Looks = Mapping[
    Path, str
]  # file -> the options that it was drawn with, as one would type them; "" or none: the defaults

REMEDY = "name another place, or say --overwrite instead"


class Maker(NamedTuple):
    """A network and how it was used: `digest` is of its checkpoint, its type, what int8 was calibrated on, and the
    settings of the inference.
    """

    checkpoint: str
    digest: str


def maker_of(
    found: Checkpoint,
    config: EvalConfig,
    dtype: Optional[str] = None,
    calibration: Optional[Sequence[np.ndarray]] = None,
) -> Maker:
    """What predictions with this checkpoint will be of; `calibration` are the images that int8 is calibrated on."""
    settings = config.model_dump_json(exclude={"batch_size", "miou_classes"})
    facts = hashlib.sha256(f"{found.digest} {dtype} {settings}".encode())
    for image in calibration or ():
        facts.update(f"{image.dtype} {image.shape}".encode() + np.ascontiguousarray(image).tobytes())
    return Maker(str(found.path), facts.hexdigest()[:16])


class Ledger:
    """The lines of a folder, whose files' names are relative to it; lines that can't be read are passed over."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.makers: Dict[str, Maker] = {}
        self._looks: Dict[str, str] = {}
        path = folder / NAME
        for line in path.read_bytes().splitlines() if path.is_file() else []:
            try:
                entry = json.loads(line)
                maker = Maker(str(entry["checkpoint"]), str(entry["digest"]))
                looks = {str(file): str(look) for file, look in entry.get("options", {}).items()}
                self.makers.update((str(file), maker) for file in entry["files"])
                self._looks.update((str(file), looks.get(str(file), "")) for file in entry["files"])
            except (ValueError, KeyError, TypeError, AttributeError):  # the last one of a run that was killed
                continue

    def note(self, image: Path, files: Iterable[Path], maker: Maker, looks: Optional[Looks] = None) -> None:
        """Append who made these files."""
        names = [self._name(file) for file in files]
        options = {self._name(file): look for file, look in (looks or {}).items() if look}
        entry = {"image": str(image), "files": names, **maker._asdict(), **({"options": options} if options else {})}
        append_line(self.folder / NAME, json.dumps(entry))

    def check(self, files: Iterable[Path], maker: Maker, looks: Optional[Looks] = None) -> List[Path]:
        """Those of these files, which are there, of which nothing is known.

        Raises
        ------
        MXNetSegError
            Another network made some, or the same in another way, or they were drawn with other options.
        """
        makers = {file: self.makers.get(self._name(file)) for file in files}
        others = {file: other for file, other in makers.items() if other is not None and other.digest != maker.digest}
        if others:
            file, other = next(iter(others.items()))
            raise MXNetSegError(
                f"--skip-existing would keep {counted(len(others), 'file')} in {self.folder} that {maker.checkpoint} "
                f"did not make, or not with these settings: {file.name} is of {other.checkpoint}; {REMEDY}"
            )
        for file in (file for file, known in makers.items() if known is not None):
            now, then = (looks or {}).get(file, ""), self._looks[self._name(file)]
            if now != then:
                raise MXNetSegError(
                    f"--skip-existing would keep {file}, which was made with {then or 'the defaults'}, not with "
                    f"{now or 'the defaults'}; {REMEDY}"
                )
        return [file for file, known in makers.items() if known is None]

    def _name(self, file: Path) -> str:
        return file.relative_to(self.folder).as_posix()
