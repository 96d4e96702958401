"""mxnetseg demo"""

import shlex
import sys
import time
from pathlib import Path

from ..commands import command
from ..errors import MXNetSegError
from . import options

HELP = "Draw street scenes, train a small network on them, score it, draw what it sees: five minutes, no download."
RECIPE = "streets/bisenet_mobilenet_v2"
SCENES, SIZE = (320, 60), (128, 192)
PANELS = 6


def add_arguments(parser) -> None:
    parser.add_argument("--out", metavar="DIR", help="a new folder for all of it; runs/demo_<time> when left out")
    what = "scenes to train on, and scenes to validate on (320 60)"
    parser.add_argument("--scenes", type=int, nargs=2, default=SCENES, metavar="N", help=what)
    options.add(parser, "--ctx", "--set", "--quiet")


def run(args) -> int:
    from ..config import load_recipe
    from ..context import parse_contexts
    from ..data import open_dataset
    from ..data.streets import draw_streets
    from ..engine.evaluator import evaluate
    from ..engine.inference import Preprocess
    from ..engine.stop import Interrupted
    from ..engine.trainer import train
    from ..opening import open_network
    from ..saving import write_file

    if min(args.scenes) < 1:
        raise MXNetSegError(f"--scenes {' '.join(map(str, args.scenes))}: at least one of each kind is needed")
    begin = time.time()
    out = Path(args.out or f"runs/demo_{time.strftime('%Y%m%d_%H%M%S')}")
    if out.exists():
        raise MXNetSegError(f"--out {out}: is there already; name a new folder")
    recipe = load_recipe(RECIPE, [f"data.root={out / 'scenes'}", *args.set])
    contexts = parse_contexts(args.ctx or ["cpu"])
    learned, validated = args.scenes
    print(f"1/4 drawing {learned} street scenes to train on and {validated} to validate on")
    draw_streets(out / "scenes", {"train": learned, "val": validated}, SIZE, progress=not args.quiet)
    print("2/4 training")
    try:
        result = train(recipe, contexts, run_dir=str(out), weights_dir=str(out / "weights"), progress=not args.quiet)
    except Interrupted as stop:
        print(f"{stop}; go on with: {command(f'train --resume {shlex.quote(str(out))}')}", file=sys.stderr)
        return 128 + stop.signum

    print("3/4 scoring the best checkpoint, at one scale, then multi-scale and mirrored")
    net = open_network(result.best_path, contexts)
    scenes = open_dataset(recipe.data, recipe.data.val_split)
    preprocess = Preprocess.of(recipe.data)
    single = evaluate(net, scenes, preprocess, recipe.eval, contexts, progress=not args.quiet)
    many = recipe.eval.model_copy(update={"scales": list(options.MULTI_SCALES), "flip": True})
    multi = evaluate(net, scenes, preprocess, many, contexts, progress=not args.quiet)
    table = f"one scale\n\n{single.table()}\n\nscales {options.MULTI_SCALES}, mirrored\n\n{multi.table()}\n"
    write_file(out / "scores.txt", table.encode())
    print(single.table())

    print("\n4/4 drawing pictures")
    count = _draw_panels(net, scenes, out / "pictures")
    files = sorted(path.name for path in out.iterdir() if path.is_file() and path.suffix != ".ckpt")
    following = [f"{out}/scenes/images/val", "--checkpoint", str(result.best_path), "--out", f"{out}/predictions"]
    print(
        f"""
{(time.time() - begin) / 60:.1f} minutes. In {out}:
  {result.best_path.relative_to(out)}  the network
  {", ".join(files)}
  pictures/  image, truth, prediction and overlay of {count} scenes

demo: mIoU {single.miou:.2f}, multi-scale {multi.miou:.2f}, results in {out}
next: {command(shlex.join(["predict", *following]))}
      {command("train --help")}      your own images: docs/data.md"""
    )
    return 0


def _draw_panels(net, scenes, out: Path) -> int:
    from ..predictor import Predictor
    from ..visual import panel, save_png

    predictor, count = Predictor(net), min(PANELS, len(scenes))
    for sample in map(scenes.load, range(count)):
        picture = panel(sample.image, sample.label, predictor(sample.image), scenes.classes, scenes.palette)
        save_png(out / f"{sample.name}.png", picture)
    return count
