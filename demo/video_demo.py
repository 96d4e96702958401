"""python demo/video_demo.py VIDEO CONFIG CHECKPOINT --out-file out.mp4

Writes a video of overlay and class map side by side, with a legend, as `mxnetseg video --save side-by-side` does.
Everything may be left out: then a short clip is drawn first, a camera that swings over demo/images/street.png, and the
network is the CamVid one in weights/swiftnet.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mxnetseg.cli import run_script

CLIP_FRAMES, CLIP_RATE = 48, 12


def add_arguments(parser) -> None:
    from mxnetseg.cli.demos import add_network_arguments
    from mxnetseg.cli.video import add_output

    what = "as SOURCE of `mxnetseg video`; - or left out: a clip is drawn"
    parser.add_argument("video", nargs="?", metavar="VIDEO", help=what)
    add_network_arguments(parser)
    add_output(parser, "--out-file", "side-by-side")


def run(args) -> int:
    from mxnetseg.cli import demos, video

    source, config, checkpoint = demos.sort_positionals(args.video, args.config, args.checkpoint)
    video.check(args)
    folder = demos.fresh_folder("video_demo")
    source = source or str(draw_clip(folder / "street.mp4"))
    return video.convert(args, source, lambda: demos.open_predictor(config, checkpoint, args.ctx), folder)


def draw_clip(path: Path) -> Path:
    from mxnetseg.cli.demos import sample_image
    from mxnetseg.data.files import read_image
    from mxnetseg.video import VideoWriter, pan

    with VideoWriter(path, CLIP_RATE) as clip:
        for frame in pan(read_image(sample_image()), CLIP_FRAMES):
            clip.write(frame)
    return path


if __name__ == "__main__":
    sys.exit(run_script("python demo/video_demo.py", __doc__.split("\n\n")[1], add_arguments, run))
