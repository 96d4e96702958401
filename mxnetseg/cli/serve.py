"""mxnetseg serve"""

import os
from pathlib import Path

from ..errors import MXNetSegError
from ..optional import check_installed
from . import options

HELP = "Answer pictures over HTTP: class maps, overlays, polygons; a page to try it on (docs/serve.md)."
CHECKPOINT, HOST = "MXNETSEG_CHECKPOINT", "MXNETSEG_HOST"
PACKAGES = "fastapi uvicorn python-multipart prometheus-client"
MEGABYTE = 1 << 20
BATCH = 8
GAIN = (
    100_000  # pixels of a batch on a CPU: larger ones leave its caches, and take longer than one by one (docs/serve.md)
)


def add_arguments(parser) -> None:
    what = (
        "a .params or .optimized file, or a folder with one; bare names: below weights/; what the environment variable "
    )
    options.add(parser, "--checkpoint", help=what + f"{CHECKPOINT} says when left out")
    group = parser.add_argument_group("address")
    what = f"address to listen at; 0.0.0.0: all of this machine (127.0.0.1, or what {HOST} says: this machine alone)"
    group.add_argument("--host", metavar="ADDRESS", help=what)
    group.add_argument("--port", type=int, default=8080, metavar="N", help="0: any that is free, which is told (8080)")
    what = "file with the token that clients must say; what the environment variable MXNETSEG_TOKEN says when left out"
    what += " (nothing: no token)"
    group.add_argument("--token-file", metavar="FILE", help=what)
    group = parser.add_argument_group("limits", "requests beyond them are refused")
    group.add_argument("--max-body", type=float, default=32, metavar="MB", help="megabytes of a request's body (32)")
    what = "pixels of a picture (16777216: 4096x4096)"
    group.add_argument("--max-pixels", type=int, default=1 << 24, metavar="N", help=what)
    what = "requests that are answered, or wait, at a time (64)"
    group.add_argument("--queue", type=int, default=64, metavar="N", help=what)
    what = "the same for one address; no limit of its own when left out"
    group.add_argument("--per-client", type=int, metavar="N", help=what)
    what = "seconds from a request's head to its answer (60)"
    group.add_argument("--timeout", type=float, default=60, metavar="S", help=what)
    group = parser.add_argument_group("batches", "pictures of one size that arrive together")
    what = "that go through the network at once at most (8; on a CPU fewer: 100000 pixels of them)"
    group.add_argument("--batch", type=int, metavar="N", help=what)
    what = "milliseconds that a picture waits for others, where a batch isn't full (0: those that are there)"
    group.add_argument("--wait-ms", type=float, default=0, metavar="N", help=what)
    what = "height and width of the picture that is tried at the start (what the network was trained on)"
    parser.add_argument("--warm-up", type=int, nargs="+", metavar="N", help=what)
    options.add(parser, "--ctx")
    options.add_inference(parser)
    options.add_dtype(parser)
    what = "for int8: folder of images like those to come, instead of the data set that it was trained on"
    parser.add_argument("--calibration", metavar="DIR", help=what)
    what = "for int8: folder of the data set that it was trained on; datasets/<name> when left out"
    parser.add_argument("--root", metavar="DIR", help=what)
    options.add(parser, "--quiet")


def run(args) -> int:
    for module, package in (("fastapi", None), ("uvicorn", None), ("prometheus_client", "prometheus-client")):
        check_installed(module, "serve", package and PACKAGES)
    if not _has_multipart():
        raise MXNetSegError("serve needs python-multipart, which is not installed: pip install python-multipart")

    from ..serve import running, tokens
    from ..serve.limits import Limits

    if len(args.ctx or ()) > 1:
        raise MXNetSegError(f"--ctx {' '.join(args.ctx)}: serve runs on one context; name one")
    _check_numbers(args)
    limits = Limits(int(args.max_body * MEGABYTE), args.max_pixels, args.queue, args.per_client, args.timeout)
    token = tokens.read_token(args.token_file)
    checkpoint = _checkpoint(args.checkpoint)
    bound = running.bind(args.host or os.environ.get(HOST) or "127.0.0.1", args.port)
    try:
        app = _app(args, checkpoint, limits, token)
    except BaseException:
        bound.close()
        raise
    host, port = running.address_of(bound)
    if token is None and not running.is_loopback(bound):
        _warn(f"{host} can be reached from other machines, and there is no token: whoever reaches it may ask")
    with options.lasting_output():
        print(f"serving {checkpoint.name} at http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
        running.serve(app, bound, limits)
        print("all requests are answered", flush=True)
    return 0


def _check_numbers(args) -> None:
    """Raise MXNetSegError for what is beyond any use: not a number, or without an end."""
    bounds = {"max_body": (1e-3, 1e6), "timeout": (1e-3, 86400), "wait_ms": (0, 60_000), "batch": (1, 4096)}
    for name, (least, most) in bounds.items():
        value = getattr(args, name)
        if value is not None and not least <= value <= most:
            raise MXNetSegError(f"--{name.replace('_', '-')} {value:g}: a number from {least:g} to {most:g}")


def _has_multipart() -> bool:
    from ..optional import installed

    return installed("python_multipart") or installed("multipart")


def _warn(text: str) -> None:
    import logging

    logging.getLogger(__name__).warning(text)


def _checkpoint(name) -> Path:
    """The file that is meant, or the only one in the folder."""
    option = "--checkpoint" if name else CHECKPOINT
    name = name or os.environ.get(CHECKPOINT)
    if not name:
        raise MXNetSegError(f"--checkpoint FILE: name the network, here or in the environment variable {CHECKPOINT}")
    if not Path(name).is_dir():
        return options.find_checkpoint(name, option=option)
    found = sorted(path for path in Path(name).iterdir() if path.suffix in (".params", ".optimized"))
    if len(found) != 1:
        raise MXNetSegError(f"{option} {name}: {len(found)} checkpoints in this folder; name one file")
    return found[0]


def _app(args, path: Path, limits, token):
    import numpy as np

    from ..config import Recipe, override_recipe
    from ..context import parse_contexts
    from ..engine import checkpoint
    from ..models import Segmentor
    from ..predictor import Predictor
    from ..serve.app import make_app
    from ..serve.worker import predict_together

    found = checkpoint.read(path)
    recipe = override_recipe(found.record.recipe or Recipe(), options.inference_overrides(args))
    images = _calibration(args, found.record, recipe) if args.dtype == "int8" else None
    context = parse_contexts(args.ctx)[0]
    predictor = Predictor(found, context, recipe.eval, args.dtype, images, limits.pixels)
    batch = args.batch or BATCH
    large = args.batch is not None or predictor.context.device_type != "cpu"
    together = limits.pixels if large else min(GAIN, limits.pixels)
    height, width = _warm_up_size(args, found.record)
    if height * width > limits.pixels:
        raise MXNetSegError(
            f"the picture that is tried at the start, {height}x{width}, has more pixels than --max-pixels "
            f"{limits.pixels}; name a smaller one, --warm-up HEIGHT WIDTH"
        )

    def warm_up() -> None:
        kind = np.uint8 if predictor.reading.range is None else np.float32
        image = np.zeros((height, width, len(predictor.preprocess.mean)), kind)
        for count in range(1, 1 + max(1, min(batch, together // (height * width)))):
            predict_together(predictor, [image] * count, confident=count == 1)
        if args.warm_up is None and isinstance(predictor.net, Segmentor):
            predictor.net.forget_sizes()  # those to come may have another

    facts = {"checkpoint": path.name, "digest": found.digest, "dtype": _dtype(args, found.record)}
    return make_app(
        predictor,
        limits=limits,
        token=token,
        batch=batch,
        together=together,
        wait=args.wait_ms / 1000,
        warm_up=warm_up,
        facts=facts,
    )


def _dtype(args, record):
    return args.dtype or (record.optimized.dtype if record.optimized else None)


def _warm_up_size(args, record):
    trained = record.recipe.data.augment.crop if record.recipe else None
    size = args.warm_up or trained or 512
    return options.sides("--warm-up", [size] if isinstance(size, int) else list(size))


def _calibration(args, record, recipe):
    if args.calibration is None:
        return options.calibration(args, options.data_at(recipe, args.root))
    from ..data.files import Reading, read_image
    from ..data.spec import IMAGES

    folder, feeding = Path(args.calibration), record.feeding
    if not folder.is_dir():
        raise MXNetSegError(f"--calibration {folder}: no such folder")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES and path.is_file())
    if not files or args.calibration_images < 1:
        raise MXNetSegError(f"--calibration {folder}: holds no images, or --calibration-images is 0")
    channels = None if feeding.channels is None else tuple(feeding.channels)
    reading = Reading(channels=channels, range=feeding.range)
    step = max(1, len(files) // args.calibration_images)
    return [read_image(path, reading) for path in files[::step][: args.calibration_images]]
