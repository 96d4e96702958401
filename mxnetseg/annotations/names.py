"""Labels as annotators typed them -> class indices, by name."""

from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from ..config import load_recipe
from ..data import IGNORE, get_spec
from ..data.spec import named_palette
from ..errors import MXNetSegError
from ..names import near, same

__all__ = ["Target", "Wishes", "target"]

BACKGROUND = "background"
Colour = Tuple[int, int, int]


class Wishes(NamedTuple):
    """What a user says about names.

    Attributes
    ----------
    classes : sequence of str
        Names in label order; one that ends with .yaml or .txt is a recipe, or a list with a name per line.
    rename : mapping
        Label -> class; "ignore" makes it unlabelled. Several labels may become one class.
    drop : sequence of str
        Labels whose objects are left out, as if nobody had drawn them.
    rest : str, optional
        Class of what nothing covers; "ignore": it is unlabelled.
    """

    classes: Sequence[str] = ()
    rename: Dict[str, str] = {}
    drop: Sequence[str] = ()
    rest: Optional[str] = None


class Target(NamedTuple):
    """The classes of the masks.

    Attributes
    ----------
    classes : list of str
    palette : list of (int, int, int)
    places : dict
        Label -> class index or IGNORE; None: not drawn.
    rest : int
        Of what nothing covers.
    """

    classes: List[str]
    palette: List[Colour]
    places: Dict[str, Optional[int]]
    rest: int


def target(found: Sequence[str], wishes: Wishes) -> Target:
    """Fit the labels that were found, in the order of the files, to the classes that are wanted.

    Without `wishes.classes` the classes are the labels themselves, behind a first one, background, if `wishes.rest`
    does not say otherwise. LabelMe's own `_background_` and `__ignore__` are the rest, and unlabelled.

    Raises
    ------
    MXNetSegError
        Labels that are none of the classes (all are named), names that nothing has, more than 255 classes.
    """
    _check_known(found, wishes)
    new = {label: wishes.rename.get(label, label) for label in found if label not in wishes.drop}
    named = list(dict.fromkeys(name for name in new.values() if name not in ("ignore", "_background_", "__ignore__")))
    palette: Optional[List[Colour]] = None
    rest = wishes.rest
    if wishes.classes:
        classes, palette = _wanted(wishes.classes)
        if rest is None:
            rest = next((name for name in classes if same(name, BACKGROUND)), "ignore")
    else:
        if rest is None:
            rest = next((name for name in named if same(name, BACKGROUND)), BACKGROUND)
        classes = named if rest in ("ignore", *named) else [rest, *named]
    if not 1 <= len(classes) <= 255 or len(set(classes)) < len(classes):
        raise MXNetSegError(f"{len(classes)} classes, {len(set(classes))} of them different; 1 to 255 names are needed")
    if rest not in ("ignore", *classes):
        raise MXNetSegError(f"--rest {rest}: none of the classes {', '.join(classes)}; or ignore")
    rest_index = IGNORE if rest == "ignore" else classes.index(rest)
    places = {name: _place(name, classes) for name in named}
    strange = [name for name, place in places.items() if place is None]
    if strange:
        raise MXNetSegError(_strange(strange, classes))
    special = {"ignore": IGNORE, "__ignore__": IGNORE, "_background_": rest_index}
    labels = {label: places[name] if name in places else special[name] for label, name in new.items()}
    labels.update((label, None) for label in wishes.drop)
    return Target(classes, list(palette or named_palette(classes)), labels, rest_index)


def _check_known(found: Sequence[str], wishes: Wishes) -> None:
    for option, names in (("--rename", wishes.rename), ("--drop", wishes.drop)):
        for name in names:
            if name not in found:
                close = near(name, found)
                hint = (
                    f"did you mean {', '.join(close)}?" if close else f"there are {', '.join(sorted(found)) or 'none'}"
                )
                raise MXNetSegError(f"{option} {name}: no annotation has this label; {hint}")


def _wanted(classes: Sequence[str]) -> Tuple[List[str], Optional[List[Colour]]]:
    """Names as they were given, or those in a file, and their colours if it knows them."""
    only = Path(classes[0]) if len(classes) == 1 else Path()
    if only.suffix.lower() in (".yaml", ".yml"):
        spec = get_spec(load_recipe(only).data)
        return list(spec.classes), list(spec.palette)
    if only.suffix.lower() == ".txt":
        try:
            lines = only.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as err:
            raise MXNetSegError(f"--classes {only}: can't be read ({err})") from err
        return [line.strip() for line in lines if line.strip()], None
    return list(classes), None


def _place(name: str, classes: Sequence[str]) -> Optional[int]:
    if name in classes:
        return classes.index(name)
    alike = [place for place, other in enumerate(classes) if same(name, other)]
    return alike[0] if len(alike) == 1 else None


def _strange(names: Sequence[str], classes: Sequence[str]) -> str:
    told = []
    for name in names:
        close = near(name, classes)
        told.append(f"{name!r} (near: {', '.join(close)})" if close else repr(name))
    return (
        f"labels that are none of the classes {', '.join(classes)}: {', '.join(told)}; --rename {names[0]}=NAME says "
        f"which class it is, --rename {names[0]}=ignore makes it unlabelled, --drop {names[0]} leaves its objects out"
    )
