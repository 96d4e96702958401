"""mxnetseg flops"""

from ..errors import MXNetSegError
from . import options

HELP = "Count the parameters and FLOPs of a model, as published tables do."


def add_arguments(parser) -> None:
    options.add(parser, "--model", "--backbone", "--shape", "--num-classes", "--output-stride")
    parser.add_argument("--config", metavar="FILE", help="the model of this recipe; options given as well win")
    heads = parser.add_mutually_exclusive_group()
    heads.add_argument(
        "--aux",
        action="store_const",
        const=True,
        help="with auxiliary heads: their parameters count, their FLOPs don't (inference does not run them)",
    )
    heads.add_argument("--no-aux", dest="aux", action="store_const", const=False, help="without auxiliary heads")
    parser.add_argument(
        "--norm",
        metavar="NAME",
        help="bn, syncbn or gn; syncbn when neither this nor the recipe says, because published figures come from "
        "networks with synchronised norms, which their counter leaves out; with bn the norms count, too",
    )
    what = "count every operator: matrix products, softmax, resizing, all norms and activations"
    parser.add_argument("--all", action="store_true", help=what)
    parser.add_argument("--layers", action="store_true", help="show a table of all layers")
    parser.add_argument("--depth", type=int, metavar="N", help="add the table up over N parts of the layers' names")
    options.add(parser, "--json", "--overwrite")


def run(args) -> int:
    from ..flops import count, short
    from ..zoo import create_model

    height, width = options.sides("--shape", args.shape)
    if args.depth is not None and args.depth < 1:
        raise MXNetSegError(f"--depth {args.depth}: must be 1 or more; 1 shows backbone and heads")
    if not args.model and not args.config:
        raise MXNetSegError("name what to count: --model NAME or --config FILE; README.md lists the models")
    options.check_json(args)
    norm = args.norm or _recipe_norm(args.config) or "syncbn"
    net = create_model(
        args.model, args.backbone, args.num_classes, args.aux, args.output_stride, norm, config=args.config
    )
    found = count(net, (height, width), everything=args.all)
    if args.layers or args.depth:
        print(found.table(args.depth), "\n")
    spec = net.spec
    network = f"{spec['name']} on {spec['backbone']}, {spec['num_classes']} classes, {spec['norm']}"
    print(f"{network}, {height}x{width} pixels")
    stored = f", and {found.statistics:,} numbers that are not learned" if found.statistics else ""
    print(f"parameters  {short(found.parameters, 'M'):>9}   ({found.parameters:,}{stored})")
    counted = "multiply-accumulates of all operators" if args.all else "multiply-accumulates, counted as mmcv does"
    print(f"FLOPs       {short(found.flops, 'G'):>9}   ({found.flops:,} {counted})")
    if found.unknown:
        how = "one for each number they give" if args.all else "nothing"
        print(f"not known is what these operators cost, counted as {how}: {', '.join(found.unknown)}")
    options.write_json(args, {"model": spec, **found.to_dict()})
    return 0


def _recipe_norm(path):
    """The norm that a recipe itself names; its default is for training, not for comparing figures."""
    if path is None:
        return None
    from ..config import load_recipe

    model = load_recipe(path).model
    return model.norm if "norm" in model.model_fields_set else None
