"""mxnetseg video"""

import os
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Optional

from ..errors import MXNetSegError
from ..names import counted
from . import options
from .demos import OPACITY, check_opacity, fresh_folder, output_file

HELP = "Predict a video, a camera or a stream, and draw it."
KINDS = ("overlay", "label", "side-by-side")
HEEDED = {"--opacity": ("overlay", "side-by-side"), "--no-legend": ("overlay",)}
TIMEOUT = 10.0


def add_arguments(parser) -> None:
    what = "video file, number of a camera (0), or address of a stream (rtsp://..., http://...)"
    parser.add_argument("source", metavar="SOURCE", help=what)
    options.add(parser, "--checkpoint", required=True)
    add_output(parser, "--out", "overlay")
    options.add(parser, "--ctx")
    options.add_inference(parser)
    options.add_dtype(parser)
    what = "folder of the data set it was trained on, for int8; datasets/<name> when left out"
    parser.add_argument("--root", metavar="DIR", help=what)


def add_output(parser, option: str, kind: str) -> None:
    """What `convert` reads; `option` names the file, `kind` is what --save is when left out."""
    what = "MP4 to write; a new folder below runs/ when left out, nothing when left out with --show"
    parser.add_argument(option, dest="out", metavar="FILE", help=what)
    parser.set_defaults(option=option)
    options.add(parser, "--overwrite")
    what = "overlay: colours on the frame, with a legend; label: class colours; side-by-side: both, with a legend"
    parser.add_argument("--save", type=str.lower, choices=KINDS, default=kind, metavar="KIND", help=f"{what} ({kind})")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every N-th frame (1)")
    what = f"seconds without a frame after which a camera or a stream counts as dead ({TIMEOUT:g})"
    parser.add_argument("--timeout", type=float, default=TIMEOUT, metavar="SECONDS", help=what)
    what = f"of the class colours, 0 (the image alone) to 1 (the colours alone) ({OPACITY})"
    parser.add_argument("--opacity", type=float, metavar="X", help=what)
    parser.add_argument("--no-legend", action="store_true", default=None, help="no legend below an overlay")
    parser.add_argument("--height", type=int, metavar="N", help="of the output; in proportion when left out")
    parser.add_argument("--width", type=int, metavar="N", help="of the output; in proportion when left out")
    parser.add_argument("--show", action="store_true", help="show it meanwhile; q or Esc ends it")
    options.add(parser, "--quiet")


def run(args) -> int:
    from ..config import Recipe, override_recipe
    from ..context import parse_contexts
    from ..engine import checkpoint
    from ..predictor import Predictor

    if len(args.ctx or ()) > 1:
        raise MXNetSegError(f"--ctx {' '.join(args.ctx)}: video runs on one context; name one")

    def open_predictor():
        found = checkpoint.read(options.find_checkpoint(args.checkpoint))
        recipe = override_recipe(found.record.recipe or Recipe(), options.inference_overrides(args))
        calibration = options.calibration(args, options.data_at(recipe, args.root))
        return Predictor(found, parse_contexts(args.ctx)[0], recipe.eval, args.dtype, calibration)

    return convert(args, args.source, open_predictor, fresh_folder("video"))


def convert(args, source: str, open_predictor, folder: Path) -> int:
    """Predict a source as `args`, of `add_output`, say; the result goes to `folder` where they name no file."""
    from ..engine.stop import StopSignal
    from ..live import LiveReader, is_live, shown_source
    from ..video import VideoReader, VideoWriter

    check(args)
    live = is_live(source)
    out = None
    if args.out or not args.show:
        stem = f"camera{source}" if source.isdigit() else Path(shown_source(source)).stem or "stream"
        out = output_file(args.out, folder / f"{stem}_{args.save}.mp4", ".mp4", args.overwrite, args.option)
        if not live and out.exists() and out.samefile(source):
            raise MXNetSegError(f"{args.option} {out}: is the video itself; name another file")
    video = None if live else VideoReader(source)
    predictor = open_predictor()
    problem: Optional[MXNetSegError] = None
    with ExitStack() as stack:
        stop = stack.enter_context(StopSignal("frame")) if live else None
        if live:
            video = stack.enter_context(closing(LiveReader(source, args.timeout)))
            frames = video.frames(args.every, stop)
        else:
            frames = ((frame, 1) for frame in video.frames(args.every))
        writer = stack.enter_context(VideoWriter(out, video.rate / args.every)) if out else None
        try:
            written, asked = _pump(args, frames, video.expected, predictor, writer)
        except _Ended as end:  # what came is a video all the same
            written, asked, problem = end.written, False, end.problem
        asked = asked or bool(stop)
    title = video.title if live else video.path
    expected = None if asked or problem else video.expected
    if expected and video.read < 0.95 * expected:  # containers count with some tolerance
        what = f"{video.read} of {expected} frames could be read; the file is cut short or damaged there"
        print(f"warning: {title}: {what}", file=sys.stderr)
    dropped = f", {counted(video.dropped, 'frame')} dropped" if live and not video.expected else ""
    print(f"{title}: {counted(written, 'frame')}" + (f", {args.save} in {out}" if out else " shown") + dropped)
    if problem:
        raise problem
    return 0


class _Ended(Exception):
    """The source has failed after some frames."""

    def __init__(self, written: int, problem: MXNetSegError):
        super().__init__(str(problem))
        self.written, self.problem = written, problem


def _pump(args, frames, expected, predictor, writer):
    """Read, predict, draw and write, each while the others do so; how many frames, and whether a key ended it."""
    import cv2
    import numpy as np

    from ..ahead import ahead
    from ..progress import progress_bar
    from ..video import scaled_size

    draw, size, written, asked, failed = _drawing(args, predictor), None, 0, False, []

    def until_it_fails():
        try:
            yield from frames
        except MXNetSegError as err:
            failed.append(err)

    predicted = ((frame, repeats, predictor(frame)) for frame, repeats in ahead(until_it_fails()))
    total = expected and -(-expected // args.every)
    writing: deque = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="write") as pool, closing(ahead(predicted)) as predictions:
        for frame, repeats, class_map in progress_bar(predictions, total=total, unit="frame", shown=not args.quiet):
            picture = draw(frame, class_map)
            # a video may change its size on the way; what is written can't
            size = size or scaled_size(picture.shape[:2], args.height, args.width)
            if picture.shape[:2] != size:
                picture = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
            picture = np.pad(picture, [*((0, side % 2) for side in size), (0, 0)], "edge")  # as codecs need it
            if writer:
                # of what was dropped, the next picture stands for it: so the video lasts as long as it took
                writing.extend(pool.submit(writer.write, picture) for _ in range(repeats))
                while len(writing) > 2:
                    writing.popleft().result()
            written += repeats
            asked = args.show and not show(picture)
            if asked:
                break
        while writing:
            writing.popleft().result()
    if failed and not written:
        raise failed[0]
    if failed:
        raise _Ended(written, failed[0])
    return written, asked


def _drawing(args, predictor):
    """(frame, class map) -> picture."""
    from .. import visual

    classes, palette = predictor.classes, predictor.palette
    opacity = OPACITY if args.opacity is None else args.opacity

    def draw(frame, class_map):
        if args.save == "side-by-side":
            return visual.pair(frame, class_map, classes, palette, opacity)
        if args.save == "label":
            return visual.colorize(class_map, palette)
        picture = visual.overlay(frame, class_map, palette, opacity)
        return picture if args.no_legend else visual.with_legend(picture, classes, palette)

    return draw


def check(args) -> None:
    for option, kinds in HEEDED.items():
        if getattr(args, option[2:].replace("-", "_")) is not None and args.save not in kinds:
            raise MXNetSegError(f"{option} has no effect without --save {' or '.join(kinds)}; leave it out")
    if args.opacity is not None:
        check_opacity(args.opacity)
    for option in ("every", "height", "width"):
        value = getattr(args, option)
        if value is not None and not 1 <= value <= 16384:
            raise MXNetSegError(f"--{option} {value}: an integer from 1 to 16384 is needed")
    if not 0 < args.timeout <= 86400:
        raise MXNetSegError(f"--timeout {args.timeout:g}: seconds, more than 0")
    # without a display, OpenCV's windows end the whole process
    if args.show and sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        raise MXNetSegError("--show: there is no display here (DISPLAY is not set); leave it out, and look at the file")


def show(picture) -> bool:
    """Show one picture; False when q or Esc was pressed."""
    import cv2

    cv2.imshow("MXNetSeg", picture[:, :, ::-1])
    return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)
