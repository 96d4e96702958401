"""What a run that goes on must have in common with the one that began."""

import logging
import shlex
from pathlib import Path
from typing import Dict, Optional, Sequence

from ..config import Recipe, override_recipe
from ..errors import MXNetSegError
from ..names import counted
from .checkpoint import Checkpoint
from .lengths import Lengths
from .overview import flat
from .run import patience_is_over
from .rundir import RunDir
from .state import RunState

__all__ = ["check_teacher", "check_transform", "checked_data", "continued", "state_of"]

log = logging.getLogger(__name__)

# what may differ between a run and its continuation
FREE = {
    f"train.{key}" for key in ("workers", "val_every", "save_every", "keep_every", "log_every", "pictures", "patience")
}
FREE |= {"data.root", "data.cache", "description", "distill.teacher"}  # of the last the digest must be the same


def continued(recipe: Optional[Recipe], changes: Sequence[str], state: Checkpoint) -> Recipe:
    """The recipe of a run that goes on: the recorded one under `changes`, or `recipe`.

    Raises MXNetSegError where it differs in what must not differ.
    """
    recorded = state.record.recipe
    assert recorded and state.record.run
    cache = recorded.data.cache
    if recipe is None and cache and not Path(cache).is_dir() and not any(c.startswith("data.cache") for c in changes):
        log.warning("data.cache %s is not there any more and left out; --set data.cache=DIR names one", cache)
        changes = [*changes, "data.cache="]
    if not state.record.run.id and recorded.optimizer.name.lower() in ("adam", "adamw"):
        log.warning("version 0.1.0 began this run, with another epsilon in Adam; it goes on by PyTorch's rule")
    recipe = override_recipe(recipe or recorded, changes) if changes else recipe or recorded
    now, then = flat(recipe.model_dump(mode="json")), flat(recorded.model_dump(mode="json"))
    changed = sorted(k for k in {**now, **then} if now.get(k) != then.get(k) and k not in FREE)
    if changed:
        listed = ", ".join(f"{k} ({then.get(k)} then, {now.get(k)} now)" for k in changed[:5])
        raise MXNetSegError(
            f"a run can't be resumed with another recipe: {listed}. Leave the changes out, or start a new run with "
            "--from CHECKPOINT"
        )
    scored = state.record.state.scored if state.record.state else None
    if scored and scored.absent and scored.miou_classes != recipe.eval.miou_classes:
        log.warning(
            "an older version began this run, whose mIoU left out classes that are only predicted; from here on they "
            "count as 0, so no validation may come up to the best until now (%s are not in the truth)",
            ", ".join(scored.absent),
        )
    return recipe


def check_transform(before: Checkpoint, named: str) -> None:
    """A run goes on with the transform, given in Python, that it began with; what it does can't be compared."""
    assert before.record.run
    then = before.record.run.transform
    if then != named:
        raise MXNetSegError(
            f"the run in {before.path.parent} was trained with transform={then or None}, not {named or None}; give "
            "mxnetseg.train(..., resume=..., transform=...) the same, or start a new run with "
            f"--from {shlex.quote(str(before.path))}"
        )


def check_teacher(before: Checkpoint, digest: str, recipe: Recipe) -> None:
    """A run goes on with the teacher that it began with."""
    assert before.record.run
    if before.record.run.teacher != digest:
        raise MXNetSegError(
            f"distill.teacher {recipe.distill.teacher}: is not the file that the run in {before.path.parent} began "
            f"with, whose digest is {before.record.run.teacher or 'not known: it had none'}; --set "
            "distill.teacher=FILE names where that is now"
        )


def state_of(before: Optional[Checkpoint], recipe: Recipe, lengths: Lengths, validate: bool) -> RunState:
    """Where a run starts."""
    if before is None:
        return RunState()
    assert before.record.state
    state = before.record.state.model_copy(deep=True)
    state.unscored = state.unscored and validate
    if state.iteration > lengths.total:
        raise MXNetSegError(
            f"{before.path}: is of iteration {state.iteration}, but the run has {lengths.total}; has its data changed?"
        )
    if (state.iteration == lengths.total or patience_is_over(recipe, state)) and not state.unscored:
        raise MXNetSegError(
            f"the run in {before.path.parent} is complete ({counted(state.iteration, 'iteration')}); to train its "
            f"network further start a new one with --from {shlex.quote(str(before.path))}"
        )
    return state


def checked_data(place: RunDir, digests: Dict[str, str], changed_data: bool) -> Dict[str, str]:
    """The digests of a run's data, by split."""
    changed = [split for split, digest in digests.items() if place.facts.data.get(split, digest) != digest]
    if changed and not changed_data:
        raise MXNetSegError(
            f"the images of {' and '.join(changed)} are not those that the run in {place.folder} began with (other "
            "names, number or sizes), so it would not be the same run. Bring them back (data.root), or go on all the "
            "same with --changed-data"
        )
    return {**place.facts.data, **digests}
