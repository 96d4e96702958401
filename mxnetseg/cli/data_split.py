"""mxnetseg data split"""

import shlex

from ..commands import command
from ..errors import MXNetSegError
from ..names import counted
from . import add_import, options

HELP = "share the images of your own folder out to train, val and test, as list files"


def add_arguments(parser) -> None:
    parser.add_argument("--config", required=True, metavar="FILE", help="the data set of this recipe (your own folder)")
    parser.add_argument("--root", metavar="DIR", help="its folder; data.root when left out")
    what = "what is shared out, for example train, or train+val; all when left out"
    parser.add_argument("--split", default="all", metavar="NAME", help=what)
    parser.add_argument("--val", type=float, default=0.2, metavar="SHARE", help="of the images, to validate on (0.2)")
    parser.add_argument(
        "--test", type=float, default=0.0, metavar="SHARE", help="of the images, to test on (0: no list)"
    )
    what = (
        "images that belong together (a video's, a patient's): what this regular expression finds in their paths, or "
    )
    parser.add_argument("--by", metavar="PATTERN", help=what + "its first (...)")
    what = "read the masks, and share every class out alike, so that rare ones are in every list"
    parser.add_argument("--stratify", action="store_true", help=what)
    parser.add_argument("--seed", type=int, default=0, help="other seeds, other lists (0)")
    add_import(parser)
    options.add(parser, "--quiet")


def run(args) -> int:
    from ..config import load_recipe
    from ..data import count_pixels, open_dataset
    from ..data.layout import root_of
    from ..data.split import below, groups_by, list_files, split_groups, write_lists
    from ..names import same

    shares = _shares(args)
    data = load_recipe(args.config).data
    data = data.model_copy(update={"root": args.root}) if args.root else data
    if not same(data.name, "folder"):
        raise MXNetSegError(f"data.name is {data.name}, which comes with splits of its own; data split is for a folder")
    try:
        dataset = open_dataset(data, args.split)
    except MXNetSegError as err:
        if args.split != "all" or not data.lists:
            raise
        shared = f"{data.train_split}+{data.val_split}"
        raise MXNetSegError(f"{err} If the images are shared out already: --split {shared}") from err
    root = root_of(data, dataset.spec)
    pattern = data.lists or "{split}.txt"
    if "{split}" not in pattern:
        raise MXNetSegError(f"data.lists: {pattern} has no {{split}} in it, so it can't be the name of several lists")
    files = list_files(pattern, root, list(shares))
    groups = groups_by([below(path, root) for path in dataset.image_paths], args.by)
    shown = None
    if args.stratify:
        shown = count_pixels(dataset, progress=not args.quiet) > 0
    found = split_groups(groups, shares, args.seed, shown)
    write_lists(dataset, found.parts, files, root)
    for part, numbers in found.parts.items():
        count = len({groups[number] for number in numbers})
        told = f" in {counted(count, 'group')}" if args.by else ""
        print(f"{files[part]}: {counted(len(numbers), 'image')} ({100 * len(numbers) / len(groups):.1f} %){told}")
        if found.missing[part]:
            names = ", ".join(dataset.classes[index] for index in found.missing[part])
            print(
                f"note: too few {'groups' if args.by else 'images'} show these classes for {part} to have any: {names}"
            )
    changes = [f'lists: "{pattern}"'] if not data.lists else []
    changes += [f"{key}: null" for key in ("images", "masks") if "{split}" in (getattr(data, key) or "")]
    if changes:
        print("for the recipe:\n\ndata:", *changes, sep="\n  ")
    else:
        print(f"next: {command(f'data check --config {shlex.quote(args.config)}')}")
    return 0


def _shares(args) -> dict:
    for option, share in (("--val", args.val), ("--test", args.test)):
        if not 0 <= share < 1:
            raise MXNetSegError(f"{option} {share:g}: a share of the images, from 0 to 1")
    parts = {part: share for part, share in (("val", args.val), ("test", args.test)) if share}
    if not parts or sum(parts.values()) >= 1:
        raise MXNetSegError(f"--val {args.val:g} --test {args.test:g}: one above 0, and together less than 1")
    return {"train": 1 - sum(parts.values()), **parts}
