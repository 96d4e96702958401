"""`mxnetseg.train`: a training run, from Python."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping, Optional, Sequence, Union

from .config import Recipe, as_recipe, check_overrides
from .context import Contexts, as_contexts
from .dist.roles import launched
from .errors import MXNetSegError

if TYPE_CHECKING:  # MXNet must not be imported before contexts are prepared for
    from .data.foreign import Function
    from .engine.callbacks import OnStep, OnValidation
    from .engine.peers import Peers
    from .engine.trainer import Result

__all__ = ["train"]


def train(
    recipe: Union[Recipe, str, Path, Mapping[str, Any], None] = None,
    contexts: Contexts = None,
    *,
    overrides: Sequence[str] = (),
    resume: Union[str, Path, None] = None,
    run_dir: Union[str, Path, None] = None,
    weights_dir: Union[str, Path, None] = None,
    validate: bool = True,
    transform: "Optional[Function]" = None,
    on_step: "Optional[OnStep]" = None,
    on_validation: "Optional[OnValidation]" = None,
    wandb: Optional[str] = None,
    tensorboard: bool = False,
    progress: bool = False,
    changed_data: bool = False,
    force: bool = False,
    peers: "Optional[Peers]" = None,
) -> "Result":
    """Train a network as a recipe says.

    Parameters
    ----------
    recipe : Recipe, path, name or mapping
        A `Recipe`, the path of a YAML file, the name of a recipe below configs/ ("fcn"), or its keys as nested
        mappings. With `resume` it may be left out: the run's own.
    contexts : int, str, mxnet.Context or list of these, optional
        0 or [0, 1] are GPUs, "cpu" is the CPU; the GPUs there are, else the CPU, when left out. Every batch is split
        over them. Those of `peers` when left out with these.
    overrides : sequence of str
        Keys to change in the recipe, "optimizer.lr=0.02"; few may change with `resume`.
    resume : path, optional
        The folder of a run to go on with.
    run_dir : path, optional
        Folder for the log, curves and the state that `resume` takes; runs/<model>_<backbone>_<data>_<time> when left
        out. It must not hold another run.
    weights_dir : path, optional
        Checkpoints go to <weights_dir>/<model>/; weights/, or where the resumed run's are, when left out.
    validate : bool
        Score the validation split meanwhile, and keep the best weights.
    transform : callable, optional
        f(image=..., mask=...) -> {"image": ..., "mask": ...}, albumentations' for example: the last step of the
        augmentation, on crops before they are padded. Not part of the recipe, so `resume` wants it again.
    on_step, on_validation : callable, optional
        Called with a `Step` (iteration, total, loss, lr, net) and a `Validation` (iteration, total, scores, best, net)
        at the end of their iteration. `.stop("reason")` of either ends the run.
    wandb : str, optional
        Log to this Weights & Biases project.
    tensorboard : bool
        Write event files for TensorBoard to tensorboard/ in the run's folder.
    progress : bool
        Show a progress bar.
    changed_data : bool
        With `resume`: go on although the images are others than before.
    force : bool
        Train although the data have grave faults: validation images that are trained on, masks of 0 and 255 (see
        docs/data.md).
    peers : Peers, optional
        What `mxnetseg.processes` gave: train together with these processes, each on its share of every batch. All say
        the same, and have the same `Result`; rank 0 alone writes and tells, but every process calls its callbacks.

    Returns
    -------
    Result

    Raises
    ------
    MXNetSegError
        The recipe has a mistake, data are missing or broken, a folder is in use, the loss is not finite, a resume does
        not fit, a callback can't be called.
    SaveError
        A file could not be written; what was saved before is whole.
    Interrupted
        SIGINT (Ctrl-C), SIGTERM or SIGHUP came; everything is saved. Only in the main thread.
    BaseException
        What a callback raises, SystemExit too; the run is saved before, and `resume` goes on with the next iteration.
        Only a KeyboardInterrupt ends it without saving.
    """
    check_overrides(overrides)
    if peers is None and launched(os.environ):
        raise MXNetSegError(
            "this process is one of many (MXNETSEG_RANK is set), and all would train the same: "
            "with mxnetseg.processes() as peers: mxnetseg.train(..., peers=peers)"
        )
    chosen = peers.contexts if peers and contexts is None else as_contexts(contexts)
    from .engine import trainer

    return trainer.train(
        None if recipe is None else as_recipe(recipe, () if resume else overrides),
        chosen,
        run_dir=None if run_dir is None else str(run_dir),
        resume=None if resume is None else str(resume),
        changes=overrides if resume else (),
        wandb_project=wandb,
        tensorboard=tensorboard,
        weights_dir=None if weights_dir is None else str(weights_dir),
        validate=validate,
        progress=progress,
        changed_data=changed_data,
        transform=transform,
        force=force,
        on_step=on_step,
        on_validation=on_validation,
        peers=peers,
    )
