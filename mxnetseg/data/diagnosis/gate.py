"""What stands before a run and a score."""

import logging
from typing import List, Optional, Sequence

from ...commands import typed
from ...config.schema import DataConfig, LossConfig
from ..dataset import Dataset
from . import Diagnosis, diagnose

__all__ = ["examine", "weights_of"]

log = logging.getLogger(__name__)

REMEDY = "Mend this, or go on all the same with --force (in Python force=True)"


def examine(
    data: DataConfig,
    datasets: Sequence[Dataset],
    others: Sequence[Dataset] = (),
    *,
    loss: Optional[LossConfig] = None,
    validating: bool = False,
    force: bool = False,
) -> Diagnosis:
    """Diagnose what is about to be used, see `diagnose`, and log what is worth knowing; with `force` all of it.

    Raises
    ------
    MXNetSegError
        Grave findings, without `force`.
    """
    found = diagnose(data, datasets, others, weights=weights_of(loss), validating=validating)
    if not force:
        found.stop(REMEDY)
    for finding in found.findings:
        log.warning("%s", typed(str(finding)))
    if not all(tally.complete for tally in found.tallies.values()):
        log.info("looked at %s; %s", found.looked, typed("`mxnetseg data check` reads all"))
    return found


def weights_of(loss: Optional[LossConfig]) -> Optional[List[float]]:
    """Per class the most that a term of the loss gives it; None where a term gives all classes 1."""
    terms = [term.class_weights for term in (loss, *loss.also) if term.weight] if loss else []
    counted = [weights for weights in terms if weights is not None]
    if not counted or len(counted) < len(terms):
        return None
    return [max(column) for column in zip(*counted)]
