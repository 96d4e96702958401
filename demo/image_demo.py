"""python demo/image_demo.py IMAGE CONFIG CHECKPOINT --out-file pred.png

Draws image, class map and overlay side by side, with a legend. Everything may be left out: then it is the drawn
street scene demo/images/street.png and the CamVid network in weights/swiftnet.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mxnetseg.cli import run_script


def add_arguments(parser) -> None:
    from mxnetseg.cli.demos import add_network_arguments, add_output_arguments

    parser.add_argument("image", nargs="?", metavar="IMAGE", help="image file; - or left out: a drawn street scene")
    add_network_arguments(parser)
    add_output_arguments(parser, "PNG to write; a new folder below runs/ when left out")


def run(args) -> int:
    from mxnetseg.cli import demos
    from mxnetseg.visual import panel, save_png

    source, config, checkpoint = demos.sort_positionals(args.image, args.config, args.checkpoint)
    source = source or demos.sample_image()
    demos.check_opacity(args.opacity)
    default = demos.fresh_folder("image_demo") / f"{Path(source).stem}.png"
    out = demos.output_file(args.out_file, default, ".png", args.overwrite)
    predictor = demos.open_predictor(config, checkpoint, args.ctx)
    image = predictor.read(source)
    picture = panel(
        predictor.picture(image), None, predictor(image), predictor.classes, predictor.palette, args.opacity
    )
    save_png(out, picture)
    print(f"{source}: image, class map and overlay in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(run_script("python demo/image_demo.py", __doc__.split("\n\n")[1], add_arguments, run))
