"""mxnetseg train"""

import shlex
import sys
from pathlib import Path

from ..commands import command
from ..errors import MXNetSegError
from . import options

HELP = "Train a network as a recipe (YAML) says."

FINETUNE = "configs/_base_/finetune.yaml"


def add_arguments(parser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--model", metavar="NAME", help="take the recipe configs/NAME.yaml: a model, or a published run")
    which.add_argument("--config", metavar="FILE", help="take this recipe: a file, or the name of one below configs/")
    which.add_argument("--resume", metavar="DIR", help="go on with the run in this folder (runs/...)")
    what = (
        "go on from this checkpoint, as another run (model.from): of its network and sizes, but for your own classes; "
        "without --model or --config as configs/_base_/finetune.yaml says"
    )
    parser.add_argument("--from", dest="origin", metavar="CHECKPOINT", help=what)
    options.add(parser, "--set", help="change keys of the recipe, e.g. optimizer.lr=0.02 train.epochs=50")
    parser.add_argument("--root", metavar="DIR", help="folder of the data set (data.root)")
    options.add(parser, "--ctx", "--dist")
    what = "log to this Weights & Biases project; offline without network"
    parser.add_argument("--wandb", metavar="PROJECT", help=what)
    what = "write event files for TensorBoard to tensorboard/ in the run's folder"
    parser.add_argument("--tensorboard", action="store_true", help=what)
    parser.add_argument("--run-dir", metavar="DIR", help="folder for log and curves; runs/<name> when left out")
    what = "checkpoints go to DIR/<model>/; weights, or where those of the resumed run are, when left out"
    parser.add_argument("--weights-dir", metavar="DIR", help=what)
    what = "resume although the images of the data set are not those that the run began with"
    parser.add_argument("--changed-data", action="store_true", help=what)
    parser.add_argument("--no-val", action="store_true", help="do not validate while training")
    parser.add_argument(
        "--dry-run",
        nargs="?",
        type=int,
        const=64,
        metavar="PIXELS",
        help="train nothing: build everything, print what would happen, take one step on made-up crops of this side "
        "(64); neither data nor initial weights are needed",
    )
    what = (
        "train nothing for good: take 100 steps at rates from 1e-6 to 1, write the losses to this .csv and draw them "
        "beside it, and say at which rate the loss falls fastest"
    )
    parser.add_argument("--find-lr", metavar="FILE", help=what)
    options.add(parser, "--force", "--quiet")


def run(args) -> int:
    with options.processes(args) as (contexts, peers):
        return _run(args, contexts, peers)


def _run(args, contexts, peers) -> int:
    from ..config import load_recipe, recipe_for
    from ..engine.stop import Interrupted
    from ..engine.trainer import train

    changes = [*args.set, *([f"data.root={args.root}"] if args.root else [])]
    if args.origin:
        if args.resume:
            raise MXNetSegError("--from begins a new run, --resume goes on with one; give one of the two")
        changes.append(f"model.from={options.find_checkpoint(args.origin, option='--from')}")
    recipe = None
    if args.config:
        recipe = load_recipe(args.config, changes)
    elif args.model:
        recipe = recipe_for(args.model, changes)
    elif args.origin:
        recipe = load_recipe(FINETUNE, changes)
    elif not args.resume:
        raise MXNetSegError(
            "name what to train: --model NAME (configs/NAME.yaml), --config FILE, --from CHECKPOINT or --resume DIR"
        )
    if args.resume and args.run_dir:
        raise MXNetSegError("--run-dir: a run that is resumed stays in its folder; leave it out")
    if args.dry_run is not None and args.find_lr:
        raise MXNetSegError("--dry-run takes one step, --find-lr a hundred; give one of the two")
    if peers.size > 1 and (args.dry_run is not None or args.find_lr):
        raise MXNetSegError("--dry-run and --find-lr are for one process")
    if args.dry_run is not None:
        return _dry_run(args, recipe, contexts)
    if args.find_lr:
        return _find_lr(args, recipe, contexts)
    with options.lasting_output():
        try:
            result = train(
                recipe,
                contexts,
                run_dir=args.run_dir,
                resume=args.resume,
                changes=changes if args.resume else (),
                wandb_project=args.wandb,
                tensorboard=args.tensorboard,
                weights_dir=args.weights_dir,
                validate=not args.no_val,
                progress=not args.quiet,
                changed_data=args.changed_data,
                force=args.force,
                peers=peers,
            )
        except Interrupted as stop:
            again = [f"--resume {shlex.quote(str(stop.run_dir))}"]
            again += [f"--ctx {' '.join(args.ctx)}"] if args.ctx else []
            again += [f"--wandb {shlex.quote(args.wandb)}"] if args.wandb else []
            again += ["--tensorboard"] if args.tensorboard else []
            again += ["--no-val"] if args.no_val else []
            again += _imports(args)
            if peers.leads:
                where = ", behind the same launcher" if peers.size > 1 else ""
                print(f"{stop}; go on with: {command(' '.join(['train', *again]))}{where}", file=sys.stderr)
            return 128 + stop.signum
        if peers.leads:
            _tell(result, args)
    return 0


def _imports(args):
    return [f"--import {shlex.quote(module)}" for module in args.imports]


def _tell(result, args) -> None:
    if result.scores:
        print(result.scores.table())
    if result.best_path:
        print(f"\nbest   {result.best_path}  (mIoU {100 * result.best:.2f})")
    if result.average_path:
        print(f"{result.average_path.stem[-3:]}    {result.average_path}")
    names = ("log.txt", "metrics.csv", "curves.png", "pictures.png")
    files = ", ".join(name for name in names if Path(result.run_dir, name).exists())
    print(f"last   {result.last_path}\nrun    {result.run_dir}  ({files})")
    root = f" --root {shlex.quote(result.recipe.data.root)}" if result.recipe.data.root else ""
    path = shlex.quote(str(result.best_path or result.last_path))
    print(f"next   {command(f'eval --checkpoint {path}{root} --mode val --ms')}", *_imports(args))


def _dry_run(args, recipe, contexts) -> int:
    from ..engine.dryrun import dry_run

    if args.resume:
        raise MXNetSegError("--dry-run describes a new run; leave --resume out and name the recipe")
    if args.dry_run < 32:
        raise MXNetSegError(f"--dry-run {args.dry_run}: crops of less than 32 pixels vanish in the network")
    print(dry_run(recipe, contexts, args.dry_run, validate=not args.no_val, force=args.force).report)
    return 0


def _find_lr(args, recipe, contexts) -> int:
    from ..engine.find_lr import find_lr, suggested

    if args.resume or args.run_dir or args.weights_dir or args.wandb or args.tensorboard or len(args.ctx or ()) > 1:
        where = "--resume, --run-dir, --weights-dir, --wandb, --tensorboard"
        raise MXNetSegError(f"--find-lr begins no run, and takes one context; leave out {where} and further ones")
    tried = find_lr(recipe, contexts[0], Path(args.find_lr), progress=not args.quiet, force=args.force)
    best = suggested(tried)
    if best is None:
        print(f"{len(tried)} steps in {args.find_lr}: the loss falls at none of their rates; look at data and recipe")
        return 1
    said = f"the loss falls fastest at {best:.2g}; try --set optimizer.lr={best:.1g}"
    print(f"{len(tried)} steps in {args.find_lr}: {said}")
    return 0
