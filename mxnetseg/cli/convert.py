"""mxnetseg convert"""

from .options import add_quiet, show_log

HELP = "Turn a checkpoint of another toolkit (.pth, or .params of MXNetSeg 2022 or GluonCV) into one of ours."


def add_arguments(parser) -> None:
    parser.add_argument(
        "--from", dest="source", required=True, metavar="FILE", help="the checkpoint: .pth, .pth.tar or .params"
    )
    parser.add_argument("--to", dest="target", metavar="FILE", help="where to write; weights/<model>/<name>.params")
    parser.add_argument("--config", metavar="FILE", help="recipe of the network (configs/...)")
    parser.add_argument("--model", metavar="NAME", help="instead of --config: model, e.g. upernet")
    parser.add_argument("--backbone", metavar="NAME", help="backbone, e.g. moganet_small")
    parser.add_argument("--num-classes", type=int, metavar="N", help="read off the checkpoint when left out")
    parser.add_argument("--output-stride", type=int, metavar="N", help="8, 16 or 32; the model's usual one")
    parser.add_argument(
        "--data", metavar="NAME", help="data set that gives class names and colours, e.g. ade20k; as in --config"
    )
    parser.add_argument("--ema", action="store_true", help="take the moving averages of the weights that the file has")
    parser.add_argument("--overwrite", action="store_true", help="write over a file that is there already")
    add_quiet(parser)


def run(args) -> int:
    from ..conversion import convert_checkpoint

    show_log(args.quiet)
    path = convert_checkpoint(
        args.config,
        args.source,
        args.target,
        ema=args.ema,
        overwrite=args.overwrite,
        model=args.model,
        backbone=args.backbone,
        num_classes=args.num_classes,
        output_stride=args.output_stride,
        data=args.data,
    )
    print(f"{args.source} -> {path}")
    return 0
