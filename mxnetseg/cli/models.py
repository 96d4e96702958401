"""mxnetseg models"""

import sys
from typing import Dict, List, Optional, Sequence, Tuple

from . import options

HELP = "List the models of the zoo: usual backbone, parameters, FLOPs, paper."


def add_arguments(parser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="models to list; all when left out")
    options.add(parser, "--shape", "--json", "--overwrite", "--quiet")
    parser.add_argument("--backbones", action="store_true", help="list the backbones instead")


def run(args) -> int:
    from tabulate import tabulate

    options.check_json(args)
    rows = _backbones() if args.backbones else _models(args)
    print(tabulate(rows, headers="keys", disable_numparse=True))
    options.write_json(args, rows)
    return 0


def _known(table):
    """The names of a table whose plugins work; each that does not gets a warning."""
    for problem in table.load_all():
        print(f"warning: {problem}", file=sys.stderr)
    return [name for name in table.names() if name in table]


def _backbones():
    from ..pretrained import weights_for
    from ..registry import BACKBONES
    from ..zoo import list_backbones  # noqa: F401  (fills the table)

    entries = [BACKBONES[name] for name in _known(BACKBONES)]
    return [
        {
            "backbone": entry.name,
            "output strides": ", ".join(map(str, entry.output_strides)),
            "classes": entry.num_classes,
            "ImageNet weights": ", ".join(one.name for one in weights_for(entry.name)[:1]) or "none known",
        }
        for entry in entries
    ]


def _models(args):
    from ..plugins import PluginError, registered_first
    from ..progress import progress_bar
    from ..registry import MODELS
    from ..zoo import list_models  # noqa: F401  (fills the table)

    shape = options.sides("--shape", args.shape)
    if args.names:
        return zoo([MODELS.find(name).name for name in args.names], shape, args.quiet)
    names, rows = _known(MODELS), []
    with registered_first():
        for name in progress_bar(names, unit="model", shown=not args.quiet):
            try:
                rows += zoo([name], shape)
            except PluginError as err:
                print(f"warning: {err}", file=sys.stderr)
    return rows


def zoo(names: Optional[Sequence[str]] = None, shape: Tuple[int, int] = (512, 512), quiet: bool = True) -> List[Dict]:
    """A row of facts for each of the models, each on its usual backbone; all models when `names` is left out."""
    from ..flops import count, short
    from ..progress import progress_bar
    from ..registry import MODELS
    from ..zoo import create_model, list_models

    rows = []
    for name in progress_bar(names or list_models(), unit="model", shown=not quiet):
        entry = MODELS[name]
        net = create_model(name, norm="syncbn")  # as published tables count: synchronised norms are free
        found = count(net, shape)
        rows.append(
            {
                "model": name,
                "usual backbone": net.spec["backbone"],
                "others": ", ".join(entry.backbones[1:]) if entry.backbones else "any",
                "output stride": net.spec["output_stride"],
                "classes": net.spec["num_classes"],
                "parameters": short(found.parameters, "M"),
                "FLOPs": short(found.flops, "G"),
                "paper": entry.paper,
            }
        )
    return rows
