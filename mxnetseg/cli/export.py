"""mxnetseg export"""

from pathlib import Path

from ..commands import command
from ..errors import MXNetSegError
from ..saving import check_free
from . import options

HELP = "Write a checkpoint's network for use elsewhere: as ONNX, as files of plain MXNet, or optimized for this CPU."
FORMATS = ("onnx", "mxnet", "optimized")
DTYPES = {"onnx": ("float32", "int8"), "mxnet": ("float32",), "optimized": options.DTYPES}
# options that not every format has -> the formats
ONLY = {
    "argmax": ("onnx", "mxnet"),
    "probabilities": ("onnx", "mxnet"),
    "with_preprocessing": ("onnx", "mxnet"),
    "size": ("onnx", "optimized"),
    "batch": ("onnx",),
}


def add_arguments(parser) -> None:
    example = "export --checkpoint street.params --to onnx --out street.onnx --with-preprocessing --argmax"
    parser.epilog = f"example: {command(example)}"
    options.add(parser, "--checkpoint", required=True)
    what = (
        "onnx: one file, checked with ONNX Runtime; mxnet: files that MXNet runs without this toolkit, from Python and "
        "C++; optimized: the network as deploy.optimize makes it (docs/export.md)"
    )
    parser.add_argument("--to", required=True, type=str.lower, choices=FORMATS, metavar="FORMAT", help=what)
    what = (
        "NAME.onnx; NAME for mxnet, which makes NAME-symbol.json, NAME-0000.params and NAME-about.json; NAME.optimized"
    )
    parser.add_argument("--out", required=True, metavar="PATH", help=what)
    group = parser.add_argument_group("onnx and mxnet")
    group.add_argument("--argmax", action="store_true", help="put out class maps, (N, H, W) uint8, instead of logits")
    group.add_argument("--probabilities", action="store_true", help="put out softmax probabilities instead of logits")
    what = "take RGB images (N, H, W, 3) uint8, and normalize them inside, instead of (N, 3, H, W) float32"
    group.add_argument("--with-preprocessing", action="store_true", help=what)
    what = "height and width, or the side, that all images have (onnx; any when left out) or most (optimized; 512)"
    parser.add_argument("--size", type=int, nargs="+", metavar="N", help=what)
    parser.add_argument("--batch", type=int, metavar="N", help="images in every batch (onnx); any when left out")
    what = "float32; also int8 for onnx, bfloat16 and int8 for optimized (float32)"
    parser.add_argument("--dtype", type=str.lower, choices=options.DTYPES, default="float32", metavar="T", help=what)
    what = "images of the data set's train split that show int8 its ranges (32)"
    parser.add_argument("--calibration-images", type=int, default=32, metavar="N", help=what)
    parser.add_argument(
        "--data", metavar="NAME", help="data set of these images; the one it was trained on when left out"
    )
    parser.add_argument("--root", metavar="DIR", help="folder of the data set; datasets/<name> when left out")
    options.add_network(parser)
    options.add(parser, "--num-classes", "--overwrite", "--quiet")


def run(args) -> int:
    _check(args)
    from ..engine import checkpoint

    found = checkpoint.read(options.find_checkpoint(args.checkpoint, args.model))
    options.check_network(args, found)
    if found.record.optimized:
        raise MXNetSegError(f"checkpoint {found.path} is optimized already; export the one that it was made of")
    images = options.calibration(args, _data(args, found)) if args.dtype == "int8" else None
    write = {"onnx": _onnx, "mxnet": _mxnet, "optimized": _optimized}[args.to]
    for line in write(args, found, images):
        print(line)
    return 0


def _check(args) -> None:
    """Tell mistakes that need no look into the checkpoint."""
    for name, formats in ONLY.items():
        if getattr(args, name) and args.to not in formats:
            option = f"--{name.replace('_', '-')}"
            raise MXNetSegError(f"{option} is for --to {' and '.join(formats)}, not for {args.to}; leave it out")
    if args.argmax and args.probabilities:
        raise MXNetSegError("--argmax and --probabilities: a network has one output; say which of the two")
    if args.dtype not in DTYPES[args.to]:
        formats = [name for name in FORMATS if args.dtype in DTYPES[name]]
        raise MXNetSegError(
            f"--dtype {args.dtype} is for --to {' and '.join(formats)}, not for {args.to}; leave it out"
        )
    if args.size:
        options.sides("--size", args.size)  # tells a mistake
    if args.batch is not None and args.batch < 1:
        raise MXNetSegError(f"--batch {args.batch}: must be 1 or more")
    out = Path(args.out)
    if args.to == "mxnet":
        if out.suffix in (".json", ".params", ".onnx", ".optimized"):
            raise MXNetSegError(
                f"--out {out}: --to mxnet makes several files and gives them their endings; say {out.with_suffix('')}"
            )
        from ..export.to_mxnet import PARTS

        check_free([Path(f"{out}{part}") for part in PARTS], args.overwrite)
        return
    if out.suffix != f".{args.to}":
        raise MXNetSegError(f"--out {out}: --to {args.to} makes a file that ends with .{args.to}")
    check_free([out], args.overwrite)
    if args.to == "onnx":
        from ..optional import check_installed

        for module in ("onnx", "onnxruntime"):
            check_installed(module, "--to onnx", "onnx onnxruntime")


def _data(args, found):
    """The data set that the network was trained on, or --data, at --root."""
    from ..scoring import other_data, require_data

    source = f"checkpoint {found.path}"
    trained = found.record.recipe.data if found.record.recipe else None
    if args.data:
        data = other_data(trained, args.data)
    elif trained is None:
        raise MXNetSegError(f"{source} does not say what data it was trained on; name --data, for int8 to learn from")
    else:
        require_data(found.record, source)
        data = trained
    there = data.root and Path(data.root).is_dir()  # else that was another machine's folder
    return data.model_copy(update={"root": args.root or (data.root if there else "")})


def _onnx(args, found, images):
    from ..export import to_onnx

    size = options.sides("--size", args.size) if args.size else None
    report = to_onnx(
        _network(args, found),
        args.out,
        size=size,
        batch=args.batch,
        dtype=args.dtype,
        calibration=images,
        progress=not args.quiet,
        **_common(args),
    )
    yield f"{args.out}: {_megabytes(report.bytes)}, {args.dtype}"
    yield from _tried(report, size, args.batch)


def _mxnet(args, found, images):
    from ..export import to_mxnet
    from ..export.to_mxnet import PARTS

    report = to_mxnet(_network(args, found), args.out, **_common(args))
    yield f"{', '.join(f'{args.out}{part}' for part in PARTS)}: {_megabytes(report.bytes)}"
    yield from _tried(report)


def _optimized(args, found, images):
    from .. import deploy
    from ..deploy.calibration import calibration_batches
    from ..engine.inference import Preprocess
    from ..export.check import pictures
    from ..opening import open_network

    net = open_network(found, "cpu", arguments=options.network_arguments(args, args.num_classes))
    fast = deploy.optimize(net, args.dtype, images, options.sides("--size", args.size or [512]))
    tried = images or list(pictures(2, (256, 320)))
    same = deploy.agreement(net, fast, calibration_batches(tried, Preprocess.of(net.record.feeding)))
    fast.save(args.out, overwrite=args.overwrite)
    yield f"{args.out}: {_megabytes(Path(args.out).stat().st_size)}, {args.dtype}"
    what = "calibration images" if images else "drawn scenes"
    yield f"{same:.2%} of the pixels of {len(tried)} {what} keep their class"


def _network(args, found):
    """A path where that says everything: the file's digest is noted, then."""
    from ..opening import open_network

    if found.record.model:
        return found.path
    return open_network(found, "cpu", arguments=options.network_arguments(args, args.num_classes))


def _common(args) -> dict:
    output = "class_map" if args.argmax else "probabilities" if args.probabilities else "logits"
    return dict(output=output, with_preprocessing=args.with_preprocessing, overwrite=args.overwrite)


def _tried(report, size=None, batch=None):
    kinds = ["x".join(map(str, one)) for one in dict.fromkeys(report.checked)]
    sizes = ", ".join(kinds[:3]) + (" ..." if kinds[3:] else "")
    yield (
        f"tried with batches of {sizes}: it differs by {report.difference:.1g} of the greatest value at most, "
        f"{report.same:.2%} of the pixels keep their class"
    )
    any_size = "any size" if report.multiple == 1 else f"sizes that are multiples of {report.multiple}"
    yield f"takes images of {'x'.join(map(str, size)) if size else any_size}, {batch or 'any number'} at a time"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
