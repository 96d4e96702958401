"""mxnetseg config"""

from . import options

HELP = "Show every key of a recipe, or a recipe with everything it inherits."


def add_arguments(parser) -> None:
    what = "show this recipe (a file, or a name below configs/) as it is after its bases and --set; else all keys"
    parser.add_argument("recipe", nargs="?", metavar="FILE", help=what)
    options.add(parser, "--set")


def run(args) -> int:
    from ..config import dump_recipe, load_recipe
    from ..config.reference import reference
    from ..errors import MXNetSegError

    if args.set and not args.recipe:
        raise MXNetSegError("--set changes a recipe; name its FILE")
    print(dump_recipe(load_recipe(args.recipe, args.set)) if args.recipe else reference(), end="")
    return 0
