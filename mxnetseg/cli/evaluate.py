"""mxnetseg eval"""

import time
from pathlib import Path

from ..errors import MXNetSegError
from ..saving import write_json
from .options import (
    add_context,
    add_dtype,
    add_inference,
    add_network,
    add_quiet,
    calibration,
    check_network,
    find_checkpoint,
    inference_overrides,
    network_arguments,
    show_log,
)

HELP = "Score a checkpoint on a labelled split, or write its predictions."


def add_arguments(parser) -> None:
    parser.add_argument(
        "--checkpoint", required=True, metavar="FILE", help="a .params file; bare names: below weights/"
    )
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
    add_context(parser)
    add_inference(parser)
    add_dtype(parser)
    add_network(parser)
    parser.add_argument("--json", metavar="FILE", help="write the scores to this file, too")
    parser.add_argument(
        "--out", metavar="DIR", help="folder for predictions; runs/<checkpoint>_<split>_<time> when left out"
    )
    parser.add_argument(
        "--label-ids", action="store_true", help="write the data set's own label values, too (Cityscapes)"
    )
    parser.add_argument("--overwrite", action="store_true", help="write over files that are there already")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that read images (1)")
    parser.add_argument("--config", metavar="FILE", help="take data and evaluation settings from this recipe")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change its keys")
    parser.add_argument(
        "--other-classes",
        action="store_true",
        help="go on although the data set's class names are not those of the checkpoint: class i is class i",
    )
    add_quiet(parser)


def run(args) -> int:
    from ..context import parse_contexts

    contexts = parse_contexts(args.ctx)  # first: it prepares what MXNet reads when it is imported
    from ..data import num_classes_of, open_dataset
    from ..engine import checkpoint
    from ..engine.evaluator import evaluate
    from ..engine.inference import Preprocess
    from ..engine.predictions import check_free, write_predictions
    from ..opening import open_network
    from ..scoring import check_classes

    show_log(args.quiet)
    path = find_checkpoint(args.checkpoint, args.model)
    found = checkpoint.read(path)
    check_network(args, found)
    recipe = _recipe(args, found.record)
    split = args.split or (recipe.data.val_split if args.mode != "test" else "test")
    dataset = open_dataset(recipe.data, split, labelled=args.mode == "val")
    if args.json:
        if args.mode != "val":
            raise MXNetSegError(f"--json holds scores, but --mode {args.mode} only predicts; say --mode val")
        check_free([Path(args.json)], args.overwrite)
    count = found.record.model and found.record.model.num_classes
    check_classes(f"checkpoint {path}", count, found.record.feeding.classes, dataset, args.other_classes)
    net = open_network(
        found,
        contexts,
        args.dtype,
        arguments=network_arguments(args, num_classes_of(recipe.data)),
        calibration=calibration(args, recipe.data),
    )
    preprocess = Preprocess.of(recipe.data)
    if args.mode == "val":
        scores = evaluate(net, dataset, preprocess, recipe.eval, contexts, args.workers, not args.quiet)
        print(scores.table())
        if args.json:
            about = {"checkpoint": str(path), "data": dataset.spec.name, "split": split, "images": len(dataset)}
            about["dtype"] = args.dtype or "plain"
            about["eval"] = recipe.eval.model_dump(mode="json")
            write_json(Path(args.json), dict(about, **scores.to_dict()))
        return 0
    stamp = time.strftime("%Y%m%d_%H%M%S")
    out = Path(args.out) if args.out else Path("runs") / f"{path.stem}_{split}_{stamp}"
    count = write_predictions(
        net,
        dataset,
        preprocess,
        recipe.eval,
        contexts,
        out,
        label_ids=args.label_ids,
        overwrite=args.overwrite,
        workers=args.workers,
        progress=not args.quiet,
    )
    print(f"{count} predictions in {out}: color/ and label/" + (" and label_ids/" if args.label_ids else ""))
    return 0


def _recipe(args, record):
    """The recipe the checkpoint was trained by (or --config), under the options."""
    from ..config import Recipe, load_recipe, override_recipe
    from ..scoring import other_data, require_data

    recipe = load_recipe(args.config) if args.config else record.recipe or Recipe()
    overrides = inference_overrides(args)
    if args.data:
        recipe = recipe.model_copy(update={"data": other_data(recipe.data, args.data)})
    elif not args.config:
        if record.recipe is None:
            raise MXNetSegError(f"checkpoint {args.checkpoint} does not say what data it was trained on; name --data")
        require_data(record, f"checkpoint {args.checkpoint}")
    if args.root:
        overrides.append(f"data.root={args.root}")
    elif recipe.data.root and not Path(recipe.data.root).is_dir():
        overrides.append("data.root=")  # that was another machine's folder; datasets/<name> may be there
    return override_recipe(recipe, overrides + args.set)
