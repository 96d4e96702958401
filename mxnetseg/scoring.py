"""`mxnetseg.evaluate`: the scores of a network, from Python; and which data a checkpoint is scored on."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping, Optional, Tuple, Union

from .config import DataConfig, EvalConfig, as_recipe
from .config.schema import FED
from .context import Contexts, as_contexts
from .errors import MXNetSegError
from .metrics import Scores
from .names import same
from .plugins import require

if TYPE_CHECKING:  # MXNet must not be imported before contexts are prepared for
    from .data import Dataset
    from .engine.checkpoint import Checkpoint
    from .engine.peers import Peers
    from .engine.record import Record
    from .network import Network

__all__ = ["check_classes", "check_scored", "evaluate", "learned_from", "other_data", "require_data"]


def evaluate(
    net: "Union[Network, Checkpoint, str, Path]",
    data: Union[str, DataConfig, Mapping[str, Any], None] = None,
    split: Optional[str] = None,
    *,
    root: Union[str, Path, None] = None,
    settings: Union[EvalConfig, Mapping[str, Any], None] = None,
    contexts: Contexts = None,
    dtype: Optional[str] = None,
    workers: int = 1,
    progress: bool = False,
    other_classes: bool = False,
    force: bool = False,
    report: Union[str, Path, None] = None,
    overwrite: bool = False,
    peers: "Optional[Peers]" = None,
) -> Scores:
    """PA, mAcc, mIoU and IoU per class of a network on a labelled split.

    Parameters
    ----------
    net : network, Checkpoint or path
        What `load`, `create_model` or `deploy.optimize` gave, or a checkpoint with a record.
    data : str, DataConfig or mapping, optional
        A data set's name, or the keys of a recipe's `data`; the one that the network was trained on when left out.
    split : str, optional
        `data.val_split` when left out.
    root : path, optional
        Folder of the data set; `data.root`, if that is there, else datasets/<name>, when left out.
    settings : EvalConfig or mapping, optional
        Sliding window, scales, mirror image: the keys of a recipe's `eval`; those of the network's recipe when left
        out, else whole images at one scale.
    contexts : int, str, mxnet.Context or list of these, optional
        As in `train`, for a checkpoint; a network is used where it is.
    dtype : str, optional
        For a checkpoint: optimize it, "float32" or "bfloat16".
    workers : int
        Processes that read images, 0 or more.
    progress : bool
        Show a progress bar.
    other_classes : bool
        Go on although the data set's class names are not those of the network: class i is class i.
    force : bool
        Go on although the data have grave faults: images that were trained on, masks of 0 and 255 (see docs/data.md).
    report : path, optional
        Folder for a report: a page to look at, and its numbers, tables and plots (see docs/report.md).
    overwrite : bool
        Write over a report that is there.
    peers : Peers, optional
        What `mxnetseg.processes` gave: each of these processes takes its share of the images, and all have the scores.

    Returns
    -------
    Scores

    Raises
    ------
    MXNetSegError
        The file can't be read, the network does not say what it was trained on and `data` is left out, the data set
        has other classes, or no labels, a function gives no logits, the report can't be written.
    """
    _check_types(data, split, root, settings, report)
    if report is not None and peers is not None:
        raise MXNetSegError("a report is made by one process; leave out peers, or report")
    chosen = peers.contexts if peers and contexts is None else as_contexts(contexts)
    from .data import open_dataset
    from .data.workers import check_workers
    from .engine import checkpoint, evaluator
    from .engine.inference import Preprocess
    from .engine.record import Record
    from .finding import find_checkpoint
    from .network import ForeignNetwork, as_network
    from .opening import open_network
    from .report import check_report, make_report

    check_workers(workers)
    folder = None if report is None else Path(report)
    if folder is not None:
        check_report(folder, overwrite)
    elif overwrite:
        raise MXNetSegError("overwrite=True is about a report; say report=DIR, or leave it out")
    found = checkpoint.read(find_checkpoint(net)) if isinstance(net, (str, Path)) else net
    if isinstance(found, checkpoint.Checkpoint):
        opened: Network = open_network(found, chosen, dtype)
    elif contexts is not None or dtype is not None:
        raise MXNetSegError("contexts and dtype are for checkpoints; a network is where, and what, it is")
    else:
        opened = as_network(found)
        chosen = opened.contexts
    record: Record = opened.record or Record()
    source = f"checkpoint {found.path}" if isinstance(found, checkpoint.Checkpoint) else "the network"
    used = _data_of(record, data, root, source)
    dataset = open_dataset(used, split or used.val_split)
    check_classes(source, opened.spec.get("num_classes"), record.feeding.classes, dataset, other_classes)
    how = _settings_of(record, settings)
    if peers:
        digest = found.digest if isinstance(found, checkpoint.Checkpoint) else ""
        told = f"checkpoint: {digest} {dtype or ''}\nsettings: {how.model_dump_json()}\nimages: {dataset.digest()}"
        peers.check_same("the checkpoint, the settings or the images", told)
    if peers is None or peers.leads:
        check_scored(used, dataset, named=split is not None, learned=learned_from(record, used), force=force)
    if "num_classes" not in opened.spec:  # its logits alone say how many it has
        opened = ForeignNetwork(opened, opened.align_corners, dataset.num_classes)
    if folder is not None:
        about: Any = {"checkpoint": found if isinstance(found, checkpoint.Checkpoint) else None, "dtype": dtype}
        made = (opened, dataset, Preprocess.of(used), how, chosen, folder)
        return make_report(*made, **about, shown=used.shown, workers=workers, progress=progress).scores
    shown = progress and (peers is None or peers.leads)
    scores = evaluator.evaluate(opened, dataset, Preprocess.of(used), how, chosen, workers, shown, peers=peers)
    assert scores is not None  # nothing stops it
    return scores


def _check_types(data: object, split: object, root: object, settings: object, report: object) -> None:
    for name, value, kinds, what in (
        ("data", data, (str, DataConfig, Mapping), "a data set's name, or the keys of a recipe's `data`"),
        ("split", split, (str,), "a split's name"),
        ("root", root, (str, Path), "a folder"),
        ("settings", settings, (EvalConfig, Mapping), "the keys of a recipe's `eval`"),
        ("report", report, (str, Path), "a folder"),
    ):
        if value is not None and not isinstance(value, kinds):
            raise MXNetSegError(f"{name}={value!r}: give {what}")


def _data_of(
    record: "Record", data: Union[str, DataConfig, Mapping[str, Any], None], root: Union[str, Path, None], source: str
) -> DataConfig:
    trained = record.recipe.data if record.recipe else None
    if isinstance(data, DataConfig):
        chosen = data
    elif isinstance(data, Mapping):
        chosen = as_recipe({"data": data}).data
    elif data is not None:
        chosen = other_data(trained, data)
    elif trained is None:
        raise MXNetSegError(f"{source} does not say what data it was trained on; give data=NAME")
    else:
        require_data(record, source)
        chosen = trained
    if root is None and (not chosen.root or Path(chosen.root).is_dir()):
        return chosen
    # left out: that was another machine's folder; datasets/<name> may be there
    return chosen.model_copy(update={"root": None if root is None else str(root)})


def _settings_of(record: "Record", settings: Union[EvalConfig, Mapping[str, Any], None]) -> EvalConfig:
    if isinstance(settings, EvalConfig):
        return settings
    if settings is not None:
        return as_recipe({"eval": settings}).eval
    return record.recipe.eval if record.recipe else EvalConfig()


def other_data(trained: Optional[DataConfig], name: str) -> DataConfig:
    """A data set by its name, fed as the network was in training; `trained` itself where it has that name."""
    if trained is None:
        return DataConfig(name=name)
    if same(name, trained.name):
        return trained
    return DataConfig(name=name, **{key: getattr(trained, key) for key in FED})


def require_data(record: "Record", source: str) -> None:
    """Raise PluginError where the data set that a checkpoint was trained on is of a plugin that is not here."""
    require((fact for fact in record.plugins if fact.kind == "data set"), source)


def learned_from(record: "Record", data: DataConfig) -> bool:
    """Whether a network was trained on a split of this data set."""
    return record.recipe is not None and same(record.recipe.data.name, data.name)


def check_scored(
    data: DataConfig, dataset: "Dataset", *, named: bool = False, learned: bool = True, force: bool = False
) -> None:
    """Look at a split before it is scored.

    Parameters
    ----------
    named : bool
        The user named the split: that of training may be meant.
    learned : bool
        The network was trained on `data.train_split`.
    force : bool
        Grave findings are warnings.

    Raises
    ------
    MXNetSegError
        Grave findings, without `force`.
    """
    from .data import open_dataset
    from .data.diagnosis.gate import examine

    trained = []
    if learned and dataset.split not in (data.train_split, *data.train_split.split("+")):
        with contextlib.suppress(MXNetSegError):  # it need not be on this machine
            trained = [open_dataset(data, data.train_split, labelled=False)]
    examine(data, [dataset], trained, validating=learned and not named, force=force)


def check_classes(
    source: str,
    count: Any,
    trained: Any,
    dataset: "Dataset",
    other_classes: bool = False,
    *,
    remedies: Tuple[str, str] = ("data=NAME", "other_classes=True"),
) -> None:
    """Index 3 of the network must be index 3 of the labels.

    Parameters
    ----------
    source : str
        What messages call the network.
    count, trained : int, list of str
        How many classes it has, and their names; None where that is not known.
    remedies : (str, str)
        How the data set is named, and how the check is left out, where messages are read: in Python or a shell.

    Raises
    ------
    MXNetSegError
        They are not those of the data set.
    """
    name = dataset.spec.name
    if count and count != dataset.num_classes:
        raise MXNetSegError(
            f"{source} predicts {count} classes, data set {name} has {dataset.num_classes}; say {remedies[0]}, the "
            "one that it was trained on"
        )
    differing = [(i, *pair) for i, pair in enumerate(zip(trained or (), dataset.classes)) if pair[0] != pair[1]]
    if differing and not other_classes:
        index, ours, theirs = differing[0]
        more = f", and {len(differing) - 1} more" if differing[1:] else ""
        raise MXNetSegError(
            f"{source} was trained on other classes than data set {name} has: {index} is {ours!r} there and {theirs!r} "
            f"here{more}; say {remedies[0]}, the one that it was trained on, or {remedies[1]} if they mean the same"
        )
