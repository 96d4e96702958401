"""mxnetseg new"""

import shlex
from pathlib import Path

from ..commands import command, typed
from ..errors import MXNetSegError
from ..names import counted
from . import options
from .data_source import add_workers

HELP = "Look at a folder of your own images and masks, and write a recipe for it."
RECIPE = "recipe.yaml"


def add_arguments(parser) -> None:
    parser.add_argument("folder", metavar="DIR", help=f"folder to write {RECIPE} into")
    parser.add_argument("--data", metavar="FOLDER", help="folder of the images and masks; DIR when left out")
    what = "go on from this checkpoint (model.from), of its network; a small one from the start when left out"
    parser.add_argument("--from", dest="origin", metavar="CHECKPOINT", help=what)
    what = "share of the images to validate on, where the folder is not split (0.2)"
    parser.add_argument("--val", type=float, default=0.2, metavar="SHARE", help=what)
    what = "then images of which this regular expression finds the same in their paths stay together (a video's)"
    parser.add_argument("--by", metavar="PATTERN", help=what)
    parser.add_argument("--max-pixels", type=int, metavar="N", help="larger files are refused (8192 x 8192)")
    add_workers(parser)
    options.add(parser, "--quiet")


def run(args) -> int:
    from ..config.schema import MAX_PIXELS
    from ..data.workers import check_workers
    from ..drafting import draft
    from ..saving import write_file

    workers = check_workers(args.workers, "--workers")
    target = Path(args.folder) / RECIPE
    if target.exists():
        raise MXNetSegError(f"{target} is there already; name another folder")
    if args.max_pixels is not None and args.max_pixels < 1:
        raise MXNetSegError(f"--max-pixels {args.max_pixels}: at least 1")
    folder, most = Path(args.data or args.folder), args.max_pixels or MAX_PIXELS
    made = draft(folder, target.parent, args.val, args.by, workers, not args.quiet, most, args.origin)
    write_file(target, made.text.encode())
    form = made.form
    print(f"{form.root}: {form.kind} ({', '.join(f'{key}: {value}' for key, value in form.keys.items())})")
    print(", ".join(f"{counted(count, 'pair')} in {split}" for split, count in made.splits.items()))
    print(f"{len(made.classes)} classes: {', '.join(made.classes)}")
    for note in made.notes:
        print(f"note: {typed(note)}")
    recipe = f"--config {shlex.quote(str(target))}"
    following = (f"data check {recipe}", f"train {recipe} --dry-run", f"train {recipe}")
    print(f"\n{target}\nnext: " + "\n      ".join(map(command, following)))
    return 0
