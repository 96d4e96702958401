"""mxnetseg convert"""

from . import options

HELP = "Turn a checkpoint of another toolkit (.pth, or .params of MXNetSeg 2022 or GluonCV) into one of ours."


def add_arguments(parser) -> None:
    what = "the checkpoint: .pth, .pth.tar or .params"
    parser.add_argument("--from", dest="source", required=True, metavar="FILE", help=what)
    parser.add_argument("--to", dest="target", metavar="FILE", help="where to write; weights/<model>/<name>.params")
    parser.add_argument("--config", metavar="FILE", help="recipe of the network (configs/...)")
    parser.add_argument("--model", metavar="NAME", help="instead of --config: model, e.g. upernet")
    parser.add_argument("--backbone", metavar="NAME", help="backbone, e.g. moganet_small")
    parser.add_argument("--num-classes", type=int, metavar="N", help="read off the checkpoint when left out")
    options.add(parser, "--output-stride")
    what = "data set that gives class names and colours, e.g. ade20k; as in --config"
    parser.add_argument("--data", metavar="NAME", help=what)
    parser.add_argument("--ema", action="store_true", help="take the moving averages of the weights that the file has")
    options.add(parser, "--overwrite", "--quiet")


def run(args) -> int:
    from ..conversion import convert_checkpoint

    names = ("ema", "overwrite", "model", "backbone", "num_classes", "output_stride", "data")
    given = {name: getattr(args, name) for name in names}
    path = convert_checkpoint(args.config, args.source, args.target, **given)
    print(f"{args.source} -> {path}")
    return 0
