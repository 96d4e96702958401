"""Draw street scenes, train a small network on them, score it on scenes it never saw, draw what it sees.

`make demo` runs this; it takes about five minutes on two CPU cores and needs no download.
"""

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mxnetseg import preflight  # noqa: E402

TRAIN, VAL, SIZE = 320, 60, (128, 192)
RECIPE = ROOT / "configs" / "streets" / "bisenet_mobilenet_v2.yaml"
PANELS = 6


def main() -> None:
    from mxnetseg.cli.options import MULTI_SCALES, show_log
    from mxnetseg.commands import command
    from mxnetseg.config import load_recipe
    from mxnetseg.context import parse_contexts
    from mxnetseg.data import open_dataset
    from mxnetseg.data.streets import draw_streets
    from mxnetseg.engine.evaluator import evaluate
    from mxnetseg.engine.inference import Preprocess
    from mxnetseg.engine.trainer import train
    from mxnetseg.opening import open_network

    show_log(quiet=False)
    begin = time.time()
    out = Path("runs") / f"demo_{time.strftime('%Y%m%d_%H%M%S')}"
    print(f"1/4 drawing {TRAIN} street scenes to learn from and {VAL} to be asked about")
    draw_streets(out / "scenes", {"train": TRAIN, "val": VAL}, SIZE)
    print("2/4 training")
    recipe = load_recipe(RECIPE, [f"data.root={out / 'scenes'}"])
    result = train(recipe, parse_contexts(["cpu"]), run_dir=str(out), weights_dir=str(out / "weights"))

    print("3/4 scoring the best checkpoint, at one scale, then multi-scale and mirrored")
    contexts = parse_contexts(["cpu"])
    net = open_network(result.best_path, contexts)
    scenes = open_dataset(recipe.data, recipe.data.val_split)
    preprocess = Preprocess.of(recipe.data)
    single = evaluate(net, scenes, preprocess, recipe.eval, contexts)
    config = recipe.eval.model_copy(update={"scales": list(MULTI_SCALES), "flip": True})
    multi = evaluate(net, scenes, preprocess, config, contexts)
    table = f"one scale\n\n{single.table()}\n\nscales {MULTI_SCALES}, mirrored\n\n{multi.table()}\n"
    (out / "scores.txt").write_text(table, encoding="utf-8")
    print(single.table())

    print("\n4/4 drawing pictures")
    draw_panels(net, scenes, out / "pictures")
    minutes = (time.time() - begin) / 60
    checkpoint = result.best_path
    print(
        f"""
{minutes:.1f} minutes. In {out}:
  {checkpoint.relative_to(out)}  the network
  scores.txt, curves.png, metrics.csv, log.txt, recipe.yaml
  pictures/  image, truth, prediction and overlay of {PANELS} scenes

demo: mIoU {single.miou:.2f}, multi-scale {multi.miou:.2f}, results in {out}
next: {command(f"predict {out}/scenes/images/val --checkpoint {checkpoint} --out {out}/predictions")}
      {command("train --help")}      your own images: docs/data.md"""
    )


def draw_panels(net, scenes, out: Path) -> None:
    from mxnetseg import Predictor
    from mxnetseg.visual import panel, save_png

    predictor = Predictor(net)
    for index in range(PANELS):
        sample = scenes.load(index)
        picture = panel(sample.image, sample.label, predictor(sample.image), scenes.classes, scenes.palette)
        save_png(out / f"{sample.name}.png", picture)


if __name__ == "__main__":
    problems = preflight.problems()
    if problems:
        sys.exit("\n".join(f"error: {problem}" for problem in problems))
    main()
