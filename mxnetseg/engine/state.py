"""How far a run is."""

from typing import Any, Dict, List, Literal, Optional

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import Annotated

from ..metrics import Scores

__all__ = ["Count", "CsvMark", "RunState", "Scored"]

Count = Annotated[int, Field(ge=0, le=10**12)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class Scored(_Part):
    """Scores, and which weights they are of: at which iteration, the trained ones or their average."""

    iteration: Optional[Count] = None
    of: Literal["weights", "average", "unknown"] = "unknown"  # unknown: the file is of a time that did not say
    pa: Optional[float] = None  # none of the three where no pixel was labelled
    macc: Optional[float] = None
    miou: Optional[float] = None
    miou_classes: Literal["seen", "truth"] = "truth"  # as it was before files said so
    classes: Dict[str, Dict[str, Any]] = Field(default_factory=dict)
    absent: List[str] = Field(default_factory=list)
    only_predicted: List[str] = Field(default_factory=list)

    @classmethod
    def at(cls, iteration: int, of: str, scores: Scores) -> "Scored":
        """The scores of these weights, "weights" or "average", as they were after `iteration` steps."""
        return cls.model_validate({**scores.to_dict(), "iteration": iteration, "of": of})


class CsvMark(_Part):
    """Where metrics.csv stands: its rows, and the losses that the next row will be the mean of."""

    rows: Optional[Count] = 0  # None: unknown, of an older file
    losses: List[float] = Field(default_factory=list)


class RunState(_Part):
    """What a run's state file holds beside arrays and the recipe."""

    iteration: Count = 0  # steps made
    best: float = -1.0  # mIoU
    stale: Count = 0  # validations since the best
    unscored: bool = False  # a validation was due here and did not come to its end
    scored: Optional[Scored] = None  # the last validation that did
    csv: CsvMark = Field(default_factory=CsvMark)
