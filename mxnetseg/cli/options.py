"""Options that several commands share, and what they stand for."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import List, Optional

from ..errors import MXNetSegError
from ..names import near

__all__ = [
    "MULTI_SCALES",
    "DTYPES",
    "add_context",
    "add_dtype",
    "add_inference",
    "add_network",
    "add_quiet",
    "find_checkpoint",
    "inference_overrides",
    "open_network",
    "optimized",
    "show_log",
    "write_json",
]

DTYPES = ("float32", "bfloat16", "int8")  # deploy.DTYPES, which to import takes seconds
MULTI_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


def add_context(parser) -> None:
    parser.add_argument(
        "--ctx",
        nargs="+",
        metavar="C",
        help="GPU numbers (0 1 2 3), cpu, or cpu:0 cpu:1; the GPUs there are, else the CPU, when left out",
    )


def add_dtype(parser) -> None:
    group = parser.add_argument_group("deployment", "CPUs only; docs/deploy.md")
    group.add_argument(
        "--dtype",
        type=str.lower,
        choices=DTYPES,
        help="run the network optimized, in this type; as it was trained when left out",
    )
    group.add_argument(
        "--calibration-images",
        type=int,
        default=32,
        metavar="N",
        help="images of the data set's train split that show int8 its ranges (32)",
    )


def optimized(net, args, data):
    """The network as --dtype says; `data` (a recipe's) is where int8 finds its images."""
    if args.dtype is None:
        return net
    from .. import deploy

    images = deploy.calibration_images(data, args.calibration_images) if args.dtype == "int8" else None
    return deploy.optimize(net, args.dtype, images)


def add_quiet(parser) -> None:
    parser.add_argument("--quiet", action="store_true", help="no progress bars, warnings and results only")


def add_network(parser) -> None:
    """What a checkpoint without a record (another toolkit's .params) does not tell."""
    group = parser.add_argument_group("network", "only needed for a checkpoint without a record")
    group.add_argument("--model", metavar="NAME", help="model, e.g. fcn")
    group.add_argument("--backbone", metavar="NAME", help="backbone, e.g. resnet18")
    group.add_argument(
        "--output-stride", type=int, metavar="N", help="8, 16 or 32; the model's usual one when left out"
    )
    group.add_argument("--norm", metavar="NAME", help="bn, syncbn or gn")


def add_inference(parser) -> None:
    group = parser.add_argument_group("inference")
    group.add_argument("--crop", type=int, nargs="+", metavar="N", help="sliding window: side, or height and width")
    group.add_argument(
        "--stride", type=int, nargs="+", metavar="N", help="step of the window; two thirds when left out"
    )
    group.add_argument("--base", type=int, metavar="N", help="resize images to this long side first")
    scales = " ".join(map(str, MULTI_SCALES))
    group.add_argument("--ms", action="store_true", help=f"average over the scales {scales} and the mirror image")
    group.add_argument("--scales", type=float, nargs="+", metavar="S", help="average over these scales")
    group.add_argument("--flip", action="store_true", help="average with the mirror image")


def inference_overrides(args) -> List[str]:
    """The options of `add_inference` as recipe overrides."""
    pairs = {
        "eval.crop": _size("--crop", args.crop),
        "eval.stride": _size("--stride", args.stride),
        "eval.base": args.base,
        "eval.scales": args.scales or (list(MULTI_SCALES) if args.ms else None),
        "eval.flip": True if args.flip or args.ms else None,
    }
    return [f"{key}={value}" for key, value in pairs.items() if value is not None]


def _size(option: str, values: Optional[List[int]]):
    if not values:
        return None
    if len(values) > 2:
        raise MXNetSegError(f"{option} {' '.join(map(str, values))}: give the side, or height and width")
    return values[0] if len(values) == 1 else values


def find_checkpoint(name: str, model: Optional[str] = None, option: str = "--checkpoint") -> Path:
    """A file, or the name of one below weights/ or weights/<model>/; `option` is how messages name it."""
    path = Path(name)
    if path.is_file():
        return path
    known = sorted(Path("weights").glob("*/*.params")) + sorted(Path("weights").glob("*.params"))
    matches = [file for file in known if file.name == path.name] if path.parent == Path(".") else []
    if model and len(matches) > 1:
        matches = [file for file in matches if file.parent.name == model.lower()]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise MXNetSegError(f"{option} {name}: there are {', '.join(map(str, matches))}; give the whole path")
    names = {file.name: file for file in known}
    close = [str(names[n]) for n in near(path.name, names)]
    hint = f"did you mean {', '.join(close)}?" if close else "weights/ holds none that is near"
    raise MXNetSegError(f"{option} {name}: no such file, nor below weights/; {hint}")


def open_network(args, contexts, num_classes: Optional[int] = None):
    """The network of --checkpoint on its contexts, and its record ({} for another toolkit's file).

    `num_classes` is needed for a file without a record.
    """
    from ..convert import has_auxiliary, load_state
    from ..engine import checkpoint
    from ..zoo import create_model

    path = find_checkpoint(args.checkpoint, args.model)
    arrays, record = checkpoint.read(path)
    if "model" in record:
        net = checkpoint.rebuild(arrays, record, path, contexts)
        _check_given(args, net.spec, path)
    else:
        if not args.model or num_classes is None:
            raise MXNetSegError(
                f"checkpoint {path} has no record of its model (another toolkit wrote it); "
                "name --model, --backbone and --data"
            )
        aux = has_auxiliary(arrays)
        net = create_model(args.model, args.backbone, num_classes, aux, args.output_stride, args.norm)
        net.initialize(ctx=contexts)
        if any(name.startswith("backbone.") for name in arrays):
            checkpoint.load_weights(net, arrays, f"checkpoint {path}")
        else:
            load_state(net, arrays)
    net.hybridize(static_alloc=True)
    return net, record


def _check_given(args, spec, path) -> None:
    """Options that contradict the record are a mistake, not a wish."""
    from ..names import same

    for key in ("model", "backbone", "output_stride", "norm"):
        given = getattr(args, key)
        recorded = spec["name" if key == "model" else key]
        if given is not None and not same(str(given), str(recorded)):
            option = "--" + key.replace("_", "-")
            raise MXNetSegError(f"{option} {given}: checkpoint {path} holds {recorded}; leave {option} out")


def show_log(quiet: bool) -> None:
    """Show the toolkit's log on standard error, without tearing progress bars."""
    logger = logging.getLogger("mxnetseg")
    console = _Console(logging.WARNING if quiet else logging.INFO)
    logger.handlers = [h for h in logger.handlers if not isinstance(h, _Console)] + [console]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def write_json(path: Path, content) -> None:
    """Write `content` to `path` at once: a reader never sees half of it."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)


class _Console(logging.Handler):
    def emit(self, record) -> None:
        from tqdm import tqdm

        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        tqdm.write(prefix + record.getMessage(), file=sys.stderr)
