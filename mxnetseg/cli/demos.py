"""What the demos in demo/ share: their arguments, the network they open, the samples of a checkout."""

import json
import sys
import time
from pathlib import Path
from typing import Any, Dict, Optional

from ..errors import MXNetSegError
from ..saving import check_free, explained, write_json
from ..shipped import CAMVID, shipped
from .options import find_checkpoint

CHECKOUT = Path(__file__).resolve().parents[2]
CONVERTED = Path("weights") / "converted"
PTH = (".pth", ".pth.tar", ".pt")
LEFT_OUT = "-"
OPACITY = 0.55  # that of visual.py, which takes time to import; a test compares


def add_network_arguments(parser) -> None:
    what = "recipe (YAML) of the network; - or left out: what the checkpoint's own record says"
    parser.add_argument("config", nargs="?", metavar="CONFIG", help=what)
    what = (
        "a .params file (bare names: below weights/) or an original .pth; left out: the CamVid network committed in "
        "weights/swiftnet"
    )
    parser.add_argument("checkpoint", nargs="?", metavar="CHECKPOINT", help=what)
    parser.add_argument("--ctx", metavar="C", help="GPU number or cpu; the first GPU, else the CPU, when left out")


def add_output_arguments(parser, out_help: str) -> None:
    parser.add_argument("--out-file", metavar="FILE", help=out_help)
    parser.add_argument("--overwrite", action="store_true", help="write over --out-file if it is there already")
    what = f"of the class colours, 0 (the image alone) to 1 (the colours alone) ({OPACITY})"
    parser.add_argument("--opacity", type=float, default=OPACITY, metavar="X", help=what)


def sort_positionals(source: Optional[str], config: Optional[str], checkpoint: Optional[str]):
    """The three with "-" as None; a checkpoint in CONFIG's place moved to its own."""
    source, config, checkpoint = (None if value in ("", LEFT_OUT) else value for value in (source, config, checkpoint))
    if config and not checkpoint and config.lower().endswith((".params", *PTH)):
        config, checkpoint = None, config
    return source, config, checkpoint


def check_opacity(opacity: float) -> None:
    if not 0 <= opacity <= 1:
        raise MXNetSegError(f"--opacity {opacity:g}: name a number from 0 (the image alone) to 1 (the colours alone)")


def output_file(given: Optional[str], default: Path, ending: str, overwrite: bool, option: str = "--out-file") -> Path:
    """Where the result goes: what the option names, checked, else `default`."""
    path = Path(given) if given else default
    if path.suffix.lower() != ending:
        raise MXNetSegError(f"{option} {path}: the name must end in {ending}")
    try:
        check_free([path], overwrite)
    except MXNetSegError as err:
        raise MXNetSegError(f"{option} {err}") from err
    return path


def fresh_folder(title: str) -> Path:
    """A folder below runs/ that is not there yet; not made."""
    folder = Path("runs") / f"{title}_{time.strftime('%Y%m%d_%H%M%S')}"
    names = (folder, *(folder.with_name(f"{folder.name}_{number}") for number in range(2, 1000)))
    return next(name for name in names if not name.exists())


def sample_image() -> Path:
    """The drawn street scene of the checkout."""
    path = CHECKOUT / "demo" / "images" / "street.png"
    if not path.is_file():
        raise MXNetSegError(f"{path}: the sample picture is only in a checkout of the repository; name a picture")
    return path


def camvid_checkpoint() -> Path:
    """The network for street scenes that ships."""
    path = shipped(CAMVID)
    if not path.is_file():
        raise MXNetSegError(f"{path} is not there; name CHECKPOINT, or take a whole checkout")
    return path


def open_predictor(config: Optional[str] = None, checkpoint_file: Optional[str] = None, ctx: Optional[str] = None):
    """A Predictor from a recipe and a checkpoint, either of which may be left out where the other tells enough.

    Checkpoints without a record need a recipe; with one it must name the same network, and its `eval` part says how
    to predict. A PyTorch file (.pth, .pth.tar, .pt) is converted into weights/converted first. Without a checkpoint
    it is the committed CamVid network. `ctx` is as on the command line.

    Raises
    ------
    MXNetSegError
        A file is missing, damaged, or the two don't belong together.
    """
    from ..config import load_recipe
    from ..context import parse_contexts
    from ..data import get_spec
    from ..engine import checkpoint
    from ..engine.record import Feeding, Record
    from ..opening import open_network
    from ..predictor import Predictor
    from ..zoo import recipe_arguments

    context = parse_contexts([ctx] if ctx else None)[0]
    recipe = load_recipe(config) if config else None
    path = find_checkpoint(checkpoint_file, option="CHECKPOINT") if checkpoint_file else camvid_checkpoint()
    if path.name.lower().endswith(PTH):
        path = _converted(config, path)
    found = checkpoint.read(path)
    if recipe is None and not found.record.model:
        raise MXNetSegError(f"CHECKPOINT {path}: has no record of its network; name its recipe as CONFIG")
    if recipe is None:
        return Predictor(open_network(found, context))
    _check_same(recipe, found, config)
    spec = get_spec(recipe.data)
    arguments = recipe_arguments(recipe.model)
    arguments["num_classes"] = arguments["num_classes"] or spec.num_classes
    arguments["in_channels"] = arguments["in_channels"] or recipe.data.num_channels
    feeding = Feeding.of(recipe.data, spec)
    if arguments["num_classes"] != spec.num_classes:  # their names are not known
        feeding = feeding.model_copy(update={"classes": None, "palette": None})
    net = open_network(found, context, arguments=arguments, record=Record(feeding=feeding, recipe=recipe))
    return Predictor(net, config=recipe.eval)


def _check_same(recipe, found, config: str) -> None:
    from ..names import same

    for key in ("name", "backbone"):
        wanted, recorded = getattr(recipe.model, key), getattr(found.record.model, key, None)
        if wanted is not None and recorded is not None and not same(str(wanted), str(recorded)):
            raise MXNetSegError(
                f"CONFIG {config}: its model.{key} is {wanted}, but checkpoint {found.path} holds {recorded}; "
                "name the recipe it was trained with, or - for the checkpoint's own record"
            )


def _converted(config: Optional[str], source: Path) -> Path:
    """The .params file that a PyTorch file becomes, converted unless that was done already."""
    if config is None:
        raise MXNetSegError(f"CHECKPOINT {source}: a PyTorch file does not tell its network; name its recipe as CONFIG")
    from .. import conversion

    stem = source.name[: -len(next(ending for ending in PTH if source.name.lower().endswith(ending)))]
    target, fresh = CONVERTED / f"{stem}.params", CONVERTED / f".{stem}.new.params"
    # two files of one name, or one file under two recipes, must not pass for each other
    origin, now = CONVERTED / f".{stem}.origin.json", _origin(config, source)
    if target.exists() and not origin.exists():
        problem = f"is in the way, {source} would be converted to it"
        raise MXNetSegError(f"{target}: {problem}; move it, or name it as CHECKPOINT")
    if target.exists() and _read(origin) == now:
        print(f"{source} was converted already: {target}", file=sys.stderr)
        return target
    with explained(target):
        CONVERTED.mkdir(parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)  # of a process that was killed here
    try:
        conversion.convert_checkpoint(config, str(source), str(fresh))
        write_json(origin, now)
        with explained(target):
            fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
    print(f"{source} converted to {target}", file=sys.stderr)
    return target


def _origin(config: str, source: Path) -> Dict[str, Any]:
    facts = {"source": str(source.resolve()), "config": str(Path(config).resolve())}
    for name, path in (("source", source), ("config", Path(config))):
        facts[f"{name}_bytes"], facts[f"{name}_time"] = path.stat().st_size, path.stat().st_mtime_ns
    return facts


def _read(origin: Path) -> Any:
    try:
        return json.loads(origin.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
