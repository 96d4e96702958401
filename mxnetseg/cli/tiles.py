"""mxnetseg predict --tiles"""

from pathlib import Path

from ..errors import MXNetSegError
from ..names import counted
from ..saving import SaveError, check_free
from . import options, predict
from .pictures import find_pictures

KINDS = ("label", "overlay", "confidence")


def run(args) -> int:
    from .. import visual
    from ..config import Recipe, override_recipe
    from ..context import parse_contexts
    from ..engine import checkpoint
    from ..engine.ledger import Ledger, maker_of
    from ..predictor import Predictor
    from ..tiles import predict_tiles

    kinds = list(dict.fromkeys(args.save or predict.DEFAULT))
    _check(args, kinds)
    out = Path(args.out)
    pictures = find_pictures(args.images, out, args.recursive)
    targets = {name: {kind: out / f"{name}_{kind}.tif" for kind in kinds} for name in pictures}
    paths = (path for files in targets.values() for path in files.values())
    check_free(paths, args.overwrite or args.skip_existing, predict.REMEDIES)
    found = checkpoint.read(options.find_checkpoint(args.checkpoint))
    recipe = override_recipe(found.record.recipe or Recipe(), options.inference_overrides(args))
    calibration = options.calibration(args, options.data_at(recipe, args.root))
    maker, ledger = maker_of(found, recipe.eval, args.dtype, calibration), Ledger(out)
    there = predict._there(targets) if args.skip_existing else []
    looks = predict._looks(args, targets)
    ledger.check(there, maker, looks)
    targets = predict._without(targets, there)
    if not targets:
        print(f"nothing to do: what {counted(len(pictures), 'picture')} would give is in {out} already")
        return 0
    predictor = Predictor(found, parse_contexts(args.ctx)[0], recipe.eval, args.dtype, calibration)
    made_with = {"checkpoint": found.digest, "dtype": args.dtype}
    if args.dtype == "int8":
        made_with["calibration images and settings"] = maker.digest
    look, failed = predict._look(args, found, predictor), []
    palette = look.shown()[1]
    for name, files in targets.items():
        try:
            if not pictures[name].is_file():
                raise MXNetSegError(f"{pictures[name]}: is no file, nor a link to one")
            predict_tiles(
                pictures[name],
                files,
                predictor,
                made_with,
                overlay=lambda image, class_map: visual.overlay(image, look.drawn(class_map), palette, look.opacity),
                anew=args.overwrite,
                progress=not args.quiet,
            )
        except SaveError:  # the disk is full, say: so it is for the others
            raise
        except MXNetSegError as err:
            said = str(err)
            failed.append(said if said.startswith((str(pictures[name]), str(out))) else f"{pictures[name]}: {said}")
            continue
        ledger.note(pictures[name], files.values(), maker, {path: looks[path] for path in files.values()})
    done = counted(len(targets) - len(failed), "prediction")
    print(f"{done} in {out}: " + ", ".join(f"*_{kind}.tif" for kind in kinds))
    return options.tell_broken(failed, "picture")


def _check(args, kinds) -> None:
    wrong = [kind for kind in kinds if kind not in KINDS]
    if wrong:
        raise MXNetSegError(f"--tiles writes {', '.join(KINDS)}, not {wrong[0]}; leave it out of --save")
    for option in ("--max-pixels", "--base", "--no-legend", "--labels-as"):
        if getattr(args, option[2:].replace("-", "_")) is not None:
            raise MXNetSegError(f"{option} has no effect with --tiles; leave it out")
