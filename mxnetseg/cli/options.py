"""Options that several commands share, and what they stand for."""

import contextlib
import logging
import sys
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

from .. import finding, saving
from ..dist import KINDS
from ..errors import MXNetSegError
from ..names import counted, same

DTYPES = ("float32", "bfloat16", "int8")  # deploy.DTYPES, which to import takes seconds
MULTI_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)

SHARED = {
    "--backbone": dict(metavar="NAME", help="backbone, e.g. resnet18; the model's usual one when left out"),
    "--checkpoint": dict(metavar="FILE", help="a .params file; bare names: below weights/"),
    "--ctx": dict(
        metavar="C",
        nargs="+",
        action="extend",
        help="GPU numbers (0 1 2 3), cpu, or cpu:0 cpu:1; the GPUs there are, else the CPU, when left out",
    ),
    "--dist": dict(
        type=str.lower,
        choices=KINDS,
        help="be one of many processes, as the environment says that their launcher has set (docs/distributed.md); "
        "what the command `launch` starts needs no word of it",
    ),
    "--force": dict(action="store_true", help="go on although the data have grave faults (docs/data.md)"),
    "--json": dict(metavar="FILE", help="write what is shown to this file, too, with all details"),
    "--model": dict(metavar="NAME", help="model, e.g. fcn"),
    "--norm": dict(metavar="NAME", help="bn, syncbn or gn"),
    "--num-classes": dict(metavar="N", type=int, help="the model's usual number when left out"),
    "--output-stride": dict(metavar="N", type=int, help="8, 16 or 32; the model's usual one when left out"),
    "--overwrite": dict(action="store_true", help="write over files that are there already"),
    "--quiet": dict(action="store_true", help="no progress bars, warnings and results only"),
    "--set": dict(metavar="KEY=VALUE", nargs="+", action="extend", default=[], help="change keys of the recipe"),
    "--shape": dict(metavar="N", type=int, nargs="+", default=[512], help="side, or height and width, in pixels (512)"),
}


def add(parser, *names: str, **more) -> None:
    """Shared options by name; `more` changes what they say."""
    for name in names:
        parser.add_argument(name, **{**SHARED[name], **more})


@contextlib.contextmanager
def processes(args):
    """A context in which this process is one of those of --dist; gives its contexts, and all of them (`Peers`)."""
    from .. import dist
    from ..context import parse_contexts

    with dist.join(args.dist) as role:
        contexts = parse_contexts(args.ctx)  # first: it prepares what MXNet reads when it is imported
        from ..engine import peers

        with peers.join(role, contexts) as joined:
            if not joined.leads:
                show_log(quiet=True)
            yield contexts, joined


def check_json(args) -> None:
    """Refuse --json FILE before the work begins, if there is such a file already."""
    saving.check_free([Path(args.json)] if args.json else [], args.overwrite)


def write_json(args, content) -> None:
    if args.json:
        saving.write_json(Path(args.json), content)


def tell_broken(problems: List[str], what: str) -> int:
    """List what could not be done while the rest was; the exit status, 1 if there is any."""
    if problems:
        print(f"{counted(len(problems), what)} left out:", *_once(problems), sep="\n  ", file=sys.stderr)
    return 1 if problems else 0


def _once(problems: List[str]) -> List[str]:
    """Messages "file: what is wrong with it", those that say the same of several files as one."""
    from ..data.hints import some

    files: Dict[str, List[str]] = {}
    for problem in problems:
        file, _, said = problem.partition(": ")
        files.setdefault(said or problem, []).append(file)
    return [
        f"{those[0]}: {said}" if len(those) == 1 else f"{said} ({counted(len(those), 'file')}: {some(those, 10)})"
        for said, those in files.items()
    ]


def add_dtype(parser) -> None:
    group = parser.add_argument_group("deployment", "CPUs only; docs/deploy.md")
    what = "run the network optimized, in this type; as it was trained when left out"
    group.add_argument("--dtype", type=str.lower, choices=DTYPES, help=what)
    what = "images of the data set's train split that show int8 its ranges (32)"
    group.add_argument("--calibration-images", type=int, default=32, metavar="N", help=what)


def calibration(args, data):
    """The images that int8 is calibrated on: of a recipe's `data`; None where --dtype needs none."""
    if args.dtype != "int8":
        return None
    from ..deploy import calibration_images

    return calibration_images(data, args.calibration_images)


def data_at(recipe, root):
    """The data set a checkpoint was trained on, at `root`, or where the recipe or its name say."""
    data = recipe.data
    there = data.root and Path(data.root).is_dir()  # else that was another machine's folder
    return data.model_copy(update={"root": root or (data.root if there else "")})


def add_network(parser) -> None:
    """What a checkpoint without a record (another toolkit's .params) does not tell."""
    group = parser.add_argument_group("network", "only needed for a checkpoint without a record")
    add(group, "--model", "--backbone", "--output-stride", "--norm")


def add_inference(parser) -> None:
    group = parser.add_argument_group("inference")
    group.add_argument("--crop", type=int, nargs="+", metavar="N", help="sliding window: side, or height and width")
    what = "step of the window; two thirds when left out"
    group.add_argument("--stride", type=int, nargs="+", metavar="N", help=what)
    group.add_argument("--base", type=int, metavar="N", help="resize images to this long side first")
    scales = " ".join(map(str, MULTI_SCALES))
    group.add_argument("--ms", action="store_true", help=f"average over the scales {scales} and the mirror image")
    group.add_argument("--scales", type=float, nargs="+", metavar="S", help="average over these scales")
    group.add_argument("--flip", action="store_true", help="average with the mirror image")


def inference_overrides(args) -> List[str]:
    """The options of `add_inference` as recipe overrides."""
    if args.ms and args.scales:
        raise MXNetSegError("--ms names its scales itself; for others say --scales and --flip")
    pairs = {
        "eval.crop": _size("--crop", args.crop),
        "eval.stride": _size("--stride", args.stride),
        "eval.base": args.base,
        "eval.scales": args.scales or (list(MULTI_SCALES) if args.ms else None),
        "eval.flip": True if args.flip or args.ms else None,
    }
    return [f"{key}={value}" for key, value in pairs.items() if value is not None]


def _size(option: str, values: Optional[List[int]]):
    if values:
        sides(option, values)  # raises where they are wrong
    return values[0] if values and len(values) == 1 else values


def check_tolerance(pixels: float) -> None:
    if not 0 <= pixels <= 100:
        raise MXNetSegError(f"--tolerance {pixels:g}: 0 to 100 pixels")


def sides(option: str, values: List[int]) -> Tuple[int, int]:
    """Height and width, of which an option may name one for both."""
    if len(values) > 2 or min(values) < 1:
        raise MXNetSegError(f"{option} {' '.join(map(str, values))}: give the side, or height and width, in pixels")
    return values[0], values[-1]


def find_checkpoint(name: str, model: Optional[str] = None, option: str = "--checkpoint") -> Path:
    """As `finding.find_checkpoint`; messages name the option."""
    return finding.find_checkpoint(name, model, option)


def network_arguments(args, num_classes: Optional[int] = None) -> dict:
    """The options of `add_network` as arguments of `create_model`."""
    return {
        "name": args.model,
        "backbone": args.backbone,
        "num_classes": num_classes,
        "output_stride": args.output_stride,
        "norm": args.norm,
    }


def check_network(args, found) -> None:
    """Raise MXNetSegError for an option that contradicts the checkpoint's own record."""
    for key, given in network_arguments(args, getattr(args, "num_classes", None)).items():
        recorded = getattr(found.record.model, key, None)
        if given is not None and recorded is not None and not same(str(given), str(recorded)):
            option = "--model" if key == "name" else f"--{key.replace('_', '-')}"
            raise MXNetSegError(f"{option} {given}: checkpoint {found.path} holds {recorded}; leave {option} out")


def show_log(quiet: bool) -> None:
    """Show the toolkit's log on standard error, without tearing progress bars."""
    logger = logging.getLogger("mxnetseg")
    console = _Console(logging.WARNING if quiet else logging.INFO)
    logger.handlers = [h for h in logger.handlers if not isinstance(h, _Console)] + [console]
    logger.setLevel(logging.INFO)
    logger.propagate = False


@contextlib.contextmanager
def lasting_output() -> Iterator[None]:
    """A context in which a closed terminal, or a pipe that nobody reads, does not end the work."""
    with contextlib.redirect_stdout(_Lasting(sys.stdout)), contextlib.redirect_stderr(_Lasting(sys.stderr)):
        yield


class _Lasting:
    """A text stream whose writes may get lost, but never fail."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


class _Console(logging.Handler):
    def emit(self, record) -> None:
        from tqdm import tqdm

        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        tqdm.write(prefix + self.format(record), file=sys.stderr)  # with the traceback, if it has one
