"""Which network made the files in a folder of predictions: predictions.jsonl, a line for every image."""

import hashlib
import json
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Optional

from ..config.schema import EvalConfig
from ..errors import MXNetSegError
from ..names import counted
from ..saving import append_line
from .checkpoint import Checkpoint

__all__ = ["Ledger", "Maker", "maker_of"]

NAME = "predictions.jsonl"


class Maker(NamedTuple):
    """A network and how it was used: `digest` is of its checkpoint, its type and the settings of the inference."""

    checkpoint: str
    digest: str


def maker_of(found: Checkpoint, config: EvalConfig, dtype: Optional[str] = None) -> Maker:
    """What predictions with this checkpoint will be of."""
    settings = config.model_dump_json(exclude={"batch_size", "miou_classes"})
    facts = f"{found.digest} {dtype} {settings}"
    return Maker(str(found.path), hashlib.sha256(facts.encode()).hexdigest()[:16])


class Ledger:
    """The lines of a folder, whose files' names are relative to it; lines that can't be read are passed over."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.makers: Dict[str, Maker] = {}
        path = folder / NAME
        for line in path.read_bytes().splitlines() if path.is_file() else []:
            try:
                entry = json.loads(line)
                maker = Maker(str(entry["checkpoint"]), str(entry["digest"]))
                self.makers.update((str(file), maker) for file in entry["files"])
            except (ValueError, KeyError, TypeError):  # the last one of a run that was killed
                continue

    def note(self, image: Path, files: Iterable[Path], maker: Maker) -> None:
        """Append who made these files."""
        names = [file.relative_to(self.folder).as_posix() for file in files]
        entry = {"image": str(image), "files": names, **maker._asdict()}
        append_line(self.folder / NAME, json.dumps(entry))

    def check(self, files: Iterable[Path], maker: Maker) -> List[Path]:
        """Those of these files, which are there, of which nothing is known.

        Raises
        ------
        MXNetSegError
            Another network made some, or the same in another way.
        """
        makers = {file: self.makers.get(file.relative_to(self.folder).as_posix()) for file in files}
        others = {file: other for file, other in makers.items() if other is not None and other.digest != maker.digest}
        if others:
            file, other = next(iter(others.items()))
            raise MXNetSegError(
                f"--skip-existing would keep {counted(len(others), 'file')} in {self.folder} that {maker.checkpoint} "
                f"did not make, or not with these settings: {file.name} is of {other.checkpoint}; name another place, "
                "or say --overwrite instead"
            )
        return [file for file, other in makers.items() if other is None]
