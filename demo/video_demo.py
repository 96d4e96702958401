"""python demo/video_demo.py VIDEO CONFIG CHECKPOINT --out-file out.mp4

Writes a video of overlay and class map side by side, with a legend. Everything may be left out: then a short clip is
drawn first, a camera that swings over demo/images/street.png, and the network is the CamVid one in weights/bisenet.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mxnetseg.cli import run_script

CLIP_FRAMES, CLIP_RATE = 48, 12


def add_arguments(parser) -> None:
    from mxnetseg.cli.demos import add_network_arguments, add_output_arguments

    parser.add_argument("video", nargs="?", metavar="VIDEO", help="video file; - or left out: a clip is drawn")
    add_network_arguments(parser)
    add_output_arguments(
        parser, "MP4 to write; a new folder below runs/ when left out, nothing when left out with --show"
    )
    parser.add_argument("--show", action="store_true", help="show it meanwhile; q or Esc ends it")
    parser.add_argument("--stride", type=int, default=1, metavar="N", help="take every N-th frame (1)")
    parser.add_argument("--height", type=int, metavar="N", help="of the output; in proportion when left out")
    parser.add_argument("--width", type=int, metavar="N", help="of the output; in proportion when left out")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args) -> int:
    from contextlib import ExitStack

    import cv2

    from mxnetseg.cli import demos
    from mxnetseg.errors import MXNetSegError
    from mxnetseg.progress import progress_bar
    from mxnetseg.video import VideoReader, VideoWriter, scaled_size
    from mxnetseg.visual import pair

    source, config, checkpoint = demos.sort_positionals(args.video, args.config, args.checkpoint)
    check(args)
    folder = demos.fresh_folder("video_demo")
    out = None
    if args.out_file or not args.show:
        default = folder / f"{Path(source).stem if source else 'street'}_classes.mp4"
        out = demos.output_file(args.out_file, default, ".mp4", args.overwrite)
        if source and out.exists() and out.samefile(source):
            raise MXNetSegError(f"--out-file {out}: is the video itself; name another file")
    video = VideoReader(source or draw_clip(folder / "street.mp4"))
    predictor = demos.open_predictor(config, checkpoint, args.ctx)
    count = video.expected and -(-video.expected // args.stride)
    written, size = 0, None
    with ExitStack() as stack:
        writer = stack.enter_context(VideoWriter(out, video.rate / args.stride)) if out else None
        for frame in progress_bar(video.frames(args.stride), total=count, unit="frame", shown=not args.quiet):
            picture = pair(frame, predictor(frame), predictor.classes, predictor.palette, args.opacity)
            # a video may change its size on the way; what is written can't
            size = size or scaled_size(picture.shape[:2], args.height, args.width)
            if picture.shape[:2] != size:
                picture = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
            if writer:
                writer.write(picture)
            written += 1
            if args.show and not show(picture):
                break
        else:
            if video.expected and video.read < 0.95 * video.expected:  # containers count with some tolerance
                print(
                    f"warning: {video.path}: {video.read} of {video.expected} frames could be read; the file is cut "
                    "short or damaged there",
                    file=sys.stderr,
                )
    print(f"{video.path}: {written} frames" + (f", overlay and class map in {out}" if out else " shown"))
    return 0


def check(args) -> None:
    from mxnetseg.cli.demos import check_opacity
    from mxnetseg.errors import MXNetSegError

    check_opacity(args.opacity)
    for option in ("stride", "height", "width"):
        value = getattr(args, option)
        if value is not None and not 1 <= value <= 16384:
            raise MXNetSegError(f"--{option} {value}: an integer from 1 to 16384 is needed")
    # without a display, OpenCV's windows end the whole process
    if args.show and sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        raise MXNetSegError(
            "--show: there is no display here (DISPLAY is not set); leave it out, and look at --out-file"
        )


def draw_clip(path: Path) -> Path:
    from mxnetseg.cli.demos import sample_image
    from mxnetseg.data.files import read_image
    from mxnetseg.video import VideoWriter, pan

    with VideoWriter(path, CLIP_RATE) as clip:
        for frame in pan(read_image(sample_image()), CLIP_FRAMES):
            clip.write(frame)
    return path


def show(picture) -> bool:
    """Show one picture; False when q or Esc was pressed."""
    import cv2

    cv2.imshow("MXNetSeg", picture[:, :, ::-1])
    return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)


if __name__ == "__main__":
    sys.exit(run_script("python demo/video_demo.py", __doc__.split("\n\n")[1], add_arguments, run))
