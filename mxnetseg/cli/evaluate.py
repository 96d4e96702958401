"""mxnetseg eval"""

import os
import time
from pathlib import Path

from ..errors import MXNetSegError
from ..names import counted
from . import options

HELP = "Score a checkpoint on a labelled split, or write its predictions."


def add_arguments(parser) -> None:
    options.add(parser, "--checkpoint", required=True)
    parser.add_argument(
        "--mode",
        default="val",
        type=str.lower,
        choices=("val", "testval", "test"),
        help="val: scores on the val split; testval, test: write predictions of the val or test split",
    )
    parser.add_argument("--data", metavar="NAME", help="data set; the one it was trained on when left out")
    parser.add_argument("--root", metavar="DIR", help="folder of the data set; datasets/<name> when left out")
    parser.add_argument("--split", metavar="NAME", help="another split than --mode says")
    options.add(parser, "--ctx", "--dist")
    options.add_inference(parser)
    what = "classes that mIoU averages: seen, those that are only predicted as well, as 0; truth, those of the truth"
    parser.add_argument("--miou-classes", choices=("seen", "truth"), help=what)
    options.add_dtype(parser)
    options.add_network(parser)
    options.add(parser, "--json", "--overwrite")
    what = "write a report there: a page to look at, and its numbers, tables and plots (docs/report.md)"
    parser.add_argument("--report", metavar="DIR", help=what)
    what = "with --out: leave out images whose predictions are there; for going on where a run was stopped"
    parser.add_argument("--skip-existing", action="store_true", help=what)
    what = "folder for predictions; runs/<checkpoint>_<split>_<time> when left out"
    parser.add_argument("--out", metavar="DIR", help=what)
    what = "write the data set's own label values, too (Cityscapes)"
    parser.add_argument("--label-ids", action="store_true", help=what)
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that read images; 0: none (1)")
    parser.add_argument("--config", metavar="FILE", help="take data and evaluation settings from this recipe")
    options.add(parser, "--set")
    what = "go on although the data set's class names are not those of the checkpoint: class i is class i"
    parser.add_argument("--other-classes", action="store_true", help=what)
    options.add(parser, "--force", "--quiet")


def run(args) -> int:
    with options.processes(args) as (contexts, peers):
        return _run(args, contexts, peers)


def _run(args, contexts, peers) -> int:
    from ..data import num_classes_of, open_dataset
    from ..data.workers import check_workers
    from ..engine import checkpoint
    from ..engine.evaluator import evaluate
    from ..engine.inference import Preprocess
    from ..engine.ledger import maker_of
    from ..engine.predictions import write_predictions
    from ..opening import open_network
    from ..report import PAGE, check_report, make_report
    from ..scoring import check_classes, check_scored, learned_from

    check_workers(args.workers, "--workers")
    path = options.find_checkpoint(args.checkpoint, args.model)
    found = checkpoint.read(path)
    options.check_network(args, found)
    recipe = _recipe(args, found.record)
    split = args.split or (recipe.data.val_split if args.mode != "test" else "test")
    dataset = open_dataset(recipe.data, split, labelled=args.mode == "val")
    if args.json and args.mode != "val":
        raise MXNetSegError(f"--json holds scores, but --mode {args.mode} only predicts; say --mode val")
    if args.report and args.mode != "val":
        raise MXNetSegError(f"--report is about scores, but --mode {args.mode} only predicts; say --mode val")
    if args.skip_existing and (args.mode == "val" or args.overwrite or not args.out):
        raise MXNetSegError("--skip-existing goes on with predictions in --out DIR, of --mode test or testval; name it")
    if args.mode == "val" and (args.out or args.label_ids):
        option = "--out" if args.out else "--label-ids"
        raise MXNetSegError(f"{option} is about predictions, but --mode val only scores; say --mode testval or test")
    options.check_json(args)
    if args.report and peers.size > 1:
        raise MXNetSegError("--report is made by one process; leave it out, or say eval without `launch` and --dist")
    if args.report:
        check_report(Path(args.report), args.overwrite)
    count = found.record.model and found.record.model.num_classes
    trained, remedies = found.record.feeding.classes, ("--data NAME", "--other-classes")
    check_classes(f"checkpoint {path}", count, trained, dataset, args.other_classes, remedies=remedies)
    calibration = options.calibration(args, recipe.data)
    maker = maker_of(found, recipe.eval, args.dtype, calibration)
    if peers.size > 1:
        told = f"--mode {args.mode}\nsettings: {maker.digest}\nimages: {dataset.digest()}"
        peers.check_same("the checkpoint, the settings or the images", told)
    if args.mode == "val" and peers.leads:
        learned = args.config or learned_from(found.record, recipe.data)
        check_scored(recipe.data, dataset, named=bool(args.split), learned=learned, force=args.force)
    arguments = options.network_arguments(args, num_classes_of(recipe.data))
    net = open_network(found, contexts, args.dtype, arguments=arguments, calibration=calibration)
    preprocess = Preprocess.of(recipe.data)
    if args.mode == "val":
        progress = not args.quiet and peers.leads
        how = (preprocess, recipe.eval, contexts)
        if args.report:
            about = {"checkpoint": found, "dtype": args.dtype, "shown": recipe.data.shown}
            folder = Path(args.report)
            scores = make_report(net, dataset, *how, folder, **about, workers=args.workers, progress=progress).scores
            print(f"{folder / PAGE}\n")
        else:
            scores = evaluate(net, dataset, *how, args.workers, progress, peers.stopped, peers=peers)
        if not peers.leads:
            return 0
        print(scores.table())
        about = {"checkpoint": str(path), "data": dataset.spec.name, "split": split, "images": len(dataset)}
        about.update(dtype=args.dtype or "plain", eval=recipe.eval.model_dump(mode="json"))
        options.write_json(args, {**about, **scores.to_dict()})
        return 0
    out = args.out or Path("runs") / f"{path.stem}_{split}_{time.strftime('%Y%m%d_%H%M%S')}"
    out = Path(os.fsdecode(peers.broadcast(os.fsencode(out))))
    written = write_predictions(
        net,
        dataset.share(peers.rank, peers.size),
        preprocess,
        recipe.eval,
        contexts,
        out,
        label_ids=args.label_ids,
        overwrite=args.overwrite,
        skip_existing=args.skip_existing,
        maker=maker,
        workers=args.workers,
        progress=not args.quiet and peers.leads,
        ready=peers.barrier,  # all can write, or nobody does
    )
    import numpy as np

    done, there = map(int, peers.sum(np.array([written.done, written.there])))
    if peers.leads:
        print(
            f"{counted(done, 'prediction')} in {out}: color/ and label/"
            + (" and label_ids/" if args.label_ids else "")
            + (f"; {there} were there already" if there else "")
        )
    return options.tell_broken(written.broken, "image")


def _recipe(args, record):
    """The recipe the checkpoint was trained by (or --config), under the options."""
    from ..config import Recipe, load_recipe, override_recipe
    from ..scoring import other_data, require_data

    recipe = load_recipe(args.config) if args.config else record.recipe or Recipe()
    overrides = options.inference_overrides(args)
    if args.miou_classes:
        overrides.append(f"eval.miou_classes={args.miou_classes}")
    if args.data:
        recipe = recipe.model_copy(update={"data": other_data(recipe.data, args.data)})
    elif not args.config:
        if record.recipe is None:
            raise MXNetSegError(f"checkpoint {args.checkpoint} does not say what data it was trained on; name --data")
        require_data(record, f"checkpoint {args.checkpoint}")
    if args.root:
        overrides.append(f"data.root={args.root}")
    elif recipe.data.root and not Path(recipe.data.root).is_dir():
        recipe = override_recipe(recipe, ["data.root="])  # another machine's folder; datasets/<name> may be there
    return override_recipe(recipe, overrides + args.set)
