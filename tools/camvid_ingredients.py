"""Train short runs on CamVid that differ in one ingredient each, and tell what each gains.

    python tools/camvid_ingredients.py --root DIR --out DIR [--epochs 8] [--jobs 2] [--only NAME ...]

Every row is configs/camvid/bisenet_mobilenet_v2.yaml with some keys changed, trained from scratch for the same
number of epochs on one thread, validated once at its end. Runs that are in --out already are not repeated, so an
interrupted session goes on where it was. Prints a Markdown table for docs/training.md.
"""

import argparse
import csv
import os
import shutil
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tabulate import tabulate
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "configs" / "camvid" / "bisenet_mobilenet_v2.yaml"
# 1 / log(1.05 + share of the class in the training pixels), mean 1: ENet's rule, milder
BY_SHARE = "[0.91, 0.72, 3.17, 0.58, 2.01, 1.32, 3.07, 3.10, 1.76, 3.37, 3.59]"
THIN = "[1, 1, 3, 1, 1, 1, 3, 1, 1, 1, 4]"

# name -> what is said of it, the seeds, the keys that differ from the recipe
FIRST = ("train.ema=null", f"loss.class_weights={BY_SHARE}")
ROWS = {
    "first": ("weights by share, no average (the first checkpoint's)", 3, FIRST),
    "weights": ("weights for thin and rare classes only", 3, ("train.ema=null",)),
    "ema": ("the same and an average of the weights: **the recipe**", 3, ()),
    "unweighted": ("the recipe without class weights", 1, ("loss.class_weights=null",)),
    "rare": ("with rare classes drawn more often", 1, ("data.rare_class.temperature=0.1",)),
    "dice": (
        "with Dice, weight 0.5",
        1,
        (f"loss=[{{name: ce, class_weights: {THIN}}}, {{name: dice, weight: 0.5}}]",),
    ),
    "scales": ("with scales 0.5 to 1.75 instead of 0.75 to 1.5", 1, ("data.augment.scale=[0.5, 1.75]",)),
    "colours": ("without changes of colour", 1, ("data.augment.photometric=false",)),
    "small_batch": ("with batches of 4, learning rate 0.002", 1, ("train.batch_size=4", "optimizer.lr=0.002")),
    "swiftnet": (
        "SwiftNet (64 channels) instead of BiSeNet",
        1,
        ("model.name=swiftnet", "model.options={width: 64}"),
    ),
}
EMA = 0.99  # the recipe's average is longer than so short a run


def score(folder: Path):
    """mIoU at the end of a finished run, else None."""
    try:
        with open(folder / "metrics.csv", newline="") as file:
            scores = [row["val_miou"] for row in csv.DictReader(file) if row["val_miou"]]
    except FileNotFoundError:
        return None
    return float(scores[-1]) if scores else None


def train(name: str, seed: int, args) -> None:
    folder = args.out / f"{name}_{args.epochs}_{seed}"
    if score(folder / "run") is not None:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    changes = [f"train.epochs={args.epochs}", "train.val_every=1000000", f"train.seed={seed}", f"train.ema={EMA}"]
    command = [sys.executable, str(ROOT / "train.py"), "--config", str(RECIPE), "--root", str(args.root)]
    command += ["--ctx", "cpu", "--quiet", "--run-dir", str(folder / "run"), "--weights-dir", str(folder / "weights")]
    command += ["--set", *changes, "train.workers=0", *ROWS[name][2]]
    environment = dict(os.environ, OMP_NUM_THREADS="1", WANDB_MODE="offline")
    with open(folder / "output.txt", "w") as output:
        subprocess.run(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, check=True)


def table(args) -> str:
    rows = []
    for name, (title, seeds, _) in ROWS.items():
        scores = [score(args.out / f"{name}_{args.epochs}_{seed}" / "run") for seed in range(seeds)]
        scores = [100 * value for value in scores if value is not None]
        if scores:
            each = ", ".join(f"{value:.1f}" for value in scores)
            rows.append([title, f"{statistics.mean(scores):.1f}", each])
    return tabulate(rows, headers=["run", "mIoU, mean", "by seed"], tablefmt="github", disable_numparse=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="folder of CamVid")
    parser.add_argument("--out", required=True, type=Path, help="folder for the runs")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--only", nargs="+", choices=tuple(ROWS), default=tuple(ROWS))
    args = parser.parse_args()
    args.out, args.root = args.out.resolve(), args.root.resolve()
    work = [(name, seed) for name in args.only for seed in range(ROWS[name][1])]
    with ThreadPoolExecutor(args.jobs) as pool, tqdm(total=len(work), unit="run") as bar:
        for task in [pool.submit(train, *item, args) for item in work]:
            task.result()
            bar.update()
    print(table(args))
    return 0


if __name__ == "__main__":
    sys.exit(main())
