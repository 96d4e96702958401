"""Transforms from elsewhere: `f(image=..., mask=...) -> {"image": ..., "mask": ...}`, as albumentations' are."""

import contextlib
import inspect
import random
import re
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple, TypeVar

import cv2
import numpy as np

from ..config.schema import DataConfig
from ..errors import MXNetSegError
from ..plugins import PluginError, Table, caller, named, reason
from .catalog import num_classes_of

__all__ = ["TRANSFORMS", "ForeignTransform", "Function", "foreign_transforms", "register_transform"]

Function = Callable[..., Mapping[str, Any]]
Build = TypeVar("Build", bound=Callable[..., Function])

IGNORE = 255
TRANSFORMS: Table[Callable[..., Function]] = Table("transform", "mxnetseg.transforms")


@named
def register_transform(name: str) -> Callable[[Build], Build]:
    """Register `build(**options) -> f`, where f(image=..., mask=...) gives a mapping with both, changed.

    `options` are those of a recipe's `data.augment.transforms`. The image is (H, W, 3) uint8 RGB, the mask (H, W)
    uint8, class indices and 255; f may change their size. It is pickled for data workers, so its module should not
    import MXNet. See `ForeignTransform` for random numbers.

    Raises
    ------
    PluginError
        Another module has registered this name.
    """
    module = caller(3)

    def add(build: Build) -> Build:
        TRANSFORMS.add(name, build, module)
        return build

    return add


def foreign_transforms(data: DataConfig, given: Optional[Function] = None) -> Dict[bool, "List[ForeignTransform]"]:
    """A recipe's transforms, then one given in Python: those before the crop (True), and those after it (False).

    Raises
    ------
    MXNetSegError
        A name that nobody has registered, or options that its builder does not take.
    """
    found: Dict[bool, List[ForeignTransform]] = {True: [], False: []}
    if given is None and not data.augment.transforms:
        return found
    classes = num_classes_of(data)
    for config in data.augment.transforms:
        title = f"transform {config.name}"
        build = TRANSFORMS.find(config.name)
        try:
            function = build(**config.options)
        except Exception as err:  # a builder fails in as many ways as there are wrong values
            raise PluginError(
                f"{title} can't be built with the options {config.options} ({reason(err)}); see data.augment.transforms"
            ) from err
        found[config.before_crop].append(ForeignTransform(function, title, classes))
    if given is not None:
        found[False].append(ForeignTransform(given, f"transform {name_of(given)}", classes))
    return found


def name_of(function: Function) -> str:
    """How messages and records call a function or an object: module and name."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return re.sub(r"[^\w.<>-]", "_", f"{named.__module__}.{named.__qualname__}")[:300]


class ForeignTransform:
    """A callable from elsewhere. Its random numbers are fixed by the sample, and its results are checked.

    Random numbers: a function with a parameter `rng` is given the sample's own generator. For all others Python's,
    NumPy's and OpenCV's global generators are seeded by the sample for the call (the first two go on as before after
    it), and so is an object with the method `set_random_seed`, as albumentations' since 1.4.19. Random
    numbers from any other source differ from run to run.
    """

    def __init__(self, function: Function, title: str, classes: int):
        if not callable(function):
            raise PluginError(f"{title}: is of type {type(function).__name__}, which can't be called")
        self.function = function
        self.title = title
        self.classes = classes
        self._takes_rng = _takes_rng(function)

    def __call__(self, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> Tuple[np.ndarray, np.ndarray]:
        """(H, W, channels) uint8 or float32 and (H, W) uint8 -> the same kinds, of any one size.

        Raises
        ------
        MXNetSegError
            The callable fails, or gives something else; it is named.
        """
        # copies, which it may change: what was decoded may be a view, or a file mapped into memory
        given: Dict[str, Any] = {"image": np.array(image), "mask": np.array(mask)}
        with _seeded(int(rng.integers(2**32)), self.function):
            try:
                found = self.function(**given, **({"rng": rng} if self._takes_rng else {}))
            except Exception as err:
                raise MXNetSegError(f"{self.title} fails: {reason(err)}") from err
        if not isinstance(found, Mapping) or not {"image", "mask"} <= set(found):
            raise MXNetSegError(f"{self.title} has to give a mapping with image and mask; it gave {_what(found)}")
        before, image, mask = image, found["image"], found["mask"]
        self._check(image, mask, before)
        return image, mask

    def _check(self, image: Any, mask: Any, before: np.ndarray) -> None:
        channels, dtype = before.shape[2], before.dtype
        if (
            not isinstance(image, np.ndarray)
            or image.dtype != dtype
            or image.shape[2:] != (channels,)
            or not image.size
        ):
            raise MXNetSegError(
                f"{self.title}: the image has to stay (H, W, {channels}) {dtype}; it is {_what(image)}. Leave "
                "normalising, and tensors, to the toolkit"
            )
        if not isinstance(mask, np.ndarray) or mask.dtype != np.uint8 or mask.shape != image.shape[:2]:
            raise MXNetSegError(
                f"{self.title}: the mask has to stay uint8 and of the image's size, {image.shape[:2]}; it is "
                f"{_what(mask)}"
            )
        wrong = np.setdiff1d(mask[mask >= self.classes], [IGNORE])
        if wrong.size:
            raise MXNetSegError(
                f"{self.title}: the mask holds {', '.join(map(str, wrong[:5]))}, neither one of the {self.classes} "
                f"classes nor {IGNORE} (ignored). Masks must not be interpolated; fill new pixels with {IGNORE}"
            )


def _takes_rng(function: Function) -> bool:
    try:
        return "rng" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # it is not written in Python
        return False


@contextlib.contextmanager
def _seeded(seed: int, function: Function) -> Iterator[None]:
    """A context in which the global generators depend on `seed` alone; afterwards they go on as before."""
    ours, numpys = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    cv2.setRNGSeed(seed % 2**31)
    set_seed = getattr(function, "set_random_seed", None)
    if set_seed is not None:
        set_seed(seed)
    try:
        yield
    finally:
        random.setstate(ours)
        np.random.set_state(numpys)


def _what(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array {value.shape} of {value.dtype}"
    if isinstance(value, Mapping):
        return f"one of {', '.join(map(str, value)) or 'nothing'}"
    return f"a {type(value).__name__}"
