"""mxnetseg predict"""

from pathlib import Path
from typing import Dict, List

from ..errors import MXNetSegError
from . import options

HELP = "Predict class maps of images, and draw them."
KINDS = ("label", "color", "overlay", "panel")


def add_arguments(parser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files, or folders of them")
    options.add(parser, "--checkpoint", required=True)
    parser.add_argument("--out", default="runs/predict", metavar="DIR", help="folder for the results (runs/predict)")
    parser.add_argument(
        "--save",
        nargs="+",
        type=str.lower,
        choices=KINDS,
        default=["label", "overlay"],
        metavar="KIND",
        help="label: class indices; color: class colours; overlay: colours on the image, with a legend; "
        "panel: image, prediction and overlay side by side (label overlay)",
    )
    options.add(parser, "--overwrite", "--ctx")
    what = "refuse files that declare more pixels (67 million: 8192x8192)"
    parser.add_argument("--max-pixels", type=int, metavar="N", help=what)
    options.add_inference(parser)
    options.add_dtype(parser)
    what = "folder of the data set it was trained on, for int8; datasets/<name> when left out"
    parser.add_argument("--root", metavar="DIR", help=what)
    options.add(parser, "--quiet")


def run(args) -> int:
    from tqdm import tqdm

    from ..config import Recipe, override_recipe
    from ..context import parse_contexts
    from ..engine import checkpoint
    from ..engine.predictions import check_free
    from ..predictor import Predictor
    from ..visual import save_png

    options.show_log(args.quiet)
    if len(args.ctx or ()) > 1:
        raise MXNetSegError(f"--ctx {' '.join(args.ctx)}: predict runs on one context; name one")
    images = _images(args.images)
    targets = {name: {kind: Path(args.out) / f"{name}_{kind}.png" for kind in args.save} for name in images}
    check_free([path for kinds in targets.values() for path in kinds.values()], args.overwrite)
    found = checkpoint.read(options.find_checkpoint(args.checkpoint))
    recipe = override_recipe(found.record.recipe or Recipe(), options.inference_overrides(args))
    data = options.calibration(args, _data(recipe, args))
    predictor = Predictor(found, parse_contexts(args.ctx)[0], recipe.eval, args.dtype, data, **_limit(args))
    for name, source in tqdm(images.items(), unit="img", disable=args.quiet, leave=False):
        image = predictor.read(source)
        prediction = predictor(image)
        for kind, path in targets[name].items():
            save_png(path, _picture(kind, predictor.picture(image), prediction, predictor))
    print(f"{len(images)} predictions in {args.out}: {', '.join(f'*_{kind}.png' for kind in args.save)}")
    return 0


def _limit(args):
    return {} if args.max_pixels is None else {"max_pixels": args.max_pixels}


def _data(recipe, args):
    """The data set a checkpoint was trained on, at --root."""
    data = recipe.data
    there = data.root and Path(data.root).is_dir()  # else that was another machine's folder
    return data.model_copy(update={"root": args.root or (data.root if there else "")})


def _picture(kind: str, image, prediction, predictor):
    from .. import visual

    if kind == "label":
        return prediction
    if kind == "color":
        return visual.colorize(prediction, predictor.palette)
    if kind == "overlay":
        picture = visual.overlay(image, prediction, predictor.palette)
        return visual.with_legend(picture, predictor.classes, predictor.palette)
    return visual.panel(image, None, prediction, predictor.classes, predictor.palette)


def _images(sources: List[str]) -> Dict[str, Path]:
    """Name of the results -> image file."""
    from ..data.spec import IMAGES

    found: Dict[str, Path] = {}
    for source in map(Path, sources):
        files = sorted(f for f in source.iterdir() if f.suffix.lower() in IMAGES) if source.is_dir() else [source]
        if not files:
            raise MXNetSegError(f"{source} holds no images ({', '.join(IMAGES)})")
        for file in files:
            if not file.is_file():
                raise MXNetSegError(f"{file}: no such image")
            if file.stem in found:
                raise MXNetSegError(
                    f"{found[file.stem]} and {file} would be written to the same files; predict them one at a time"
                )
            found[file.stem] = file
    return found
