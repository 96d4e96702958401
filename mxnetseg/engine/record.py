"""What a checkpoint says of its arrays: docs/checkpoints.md."""

import re
from typing import Any, Dict, List, Literal, Mapping, Optional, Tuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from typing_extensions import Annotated

from ..config import DataConfig, Recipe, recorded_recipe
from ..config.schema import FED, IMAGENET_MEAN, IMAGENET_STD, MOST_CHANNELS, Channel, Deviation, Side
from ..data import DatasetSpec
from ..errors import MXNetSegError
from ..network import channels_of
from ..plugins import TABLES
from .state import Count, RunState, Scored

__all__ = [
    "FORMAT",
    "Feeding",
    "NetworkSpec",
    "OptimizedFacts",
    "PluginFact",
    "Record",
    "RunFacts",
    "feeding_of",
    "plugin_facts",
]

FORMAT = 2

Byte = Annotated[int, Field(ge=0, le=255)]
Word = Annotated[str, Field(max_length=200, pattern=r"^[\w .+!-]*$")]  # that is fit to be printed


class _Part(BaseModel):
    # keys that a newer version has added don't keep this one from reading the rest
    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=(), allow_inf_nan=False)


class NetworkSpec(_Part):
    """Arguments of `mxnetseg.create_model`; keys that are not listed are options of the model's builder."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(..., pattern=r"^[\w-]+$")
    backbone: str = Field(..., pattern=r"^[\w-]+$")
    num_classes: int = Field(..., ge=1, le=255)
    aux: bool = False
    output_stride: Optional[int] = None
    norm: str = "bn"
    in_channels: int = Field(3, ge=1, le=MOST_CHANNELS)
    backbone_options: Dict[str, Any] = Field(default_factory=dict)
    reparameterized: bool = False
    config: None = None  # of `create_model`: a file here is no part of a record

    def arguments(self) -> Dict[str, Any]:
        """What the file says, as keyword arguments of `create_model`."""
        return self.model_dump(exclude_unset=True)


class Feeding(_Part):
    """How images come to the network, and what its classes are called."""

    name: Optional[str] = None  # of the data set
    classes: Optional[List[str]] = None
    palette: Optional[List[Tuple[Byte, Byte, Byte]]] = None
    channels: Optional[List[Channel]] = Field(None, min_length=1, max_length=MOST_CHANNELS)
    range: Optional[Tuple[float, float]] = None
    shown: Optional[List[Channel]] = None
    mean: Tuple[float, ...] = Field(IMAGENET_MEAN, validate_default=True)
    std: Tuple[Deviation, ...] = Field(IMAGENET_STD, validate_default=True)
    base: Optional[Side] = None
    fit: Optional[Tuple[Side, Side]] = None

    @field_validator("mean", "std")
    @classmethod
    def _one_each(cls, values: Tuple[float, ...], info: ValidationInfo) -> Tuple[float, ...]:
        channels = info.data.get("channels") or range(3)
        if len(values) != len(channels):
            raise ValueError(f"there are {len(channels)} channels")
        return values

    @field_validator("range")
    @classmethod
    def _in_order(cls, value: Optional[Tuple[float, float]]) -> Optional[Tuple[float, float]]:
        if value is not None and not value[0] < value[1]:
            raise ValueError("the lower value comes first")
        return value

    @field_validator("shown")
    @classmethod
    def _are_there(cls, value: Optional[List[int]], info: ValidationInfo) -> Optional[List[int]]:
        if value is not None and (len(value) not in (1, 3) or max(value) >= len(info.data.get("channels") or range(3))):
            raise ValueError("one or three of the channels")
        return value

    @classmethod
    def of(cls, data: DataConfig, spec: DatasetSpec) -> "Feeding":
        """As a recipe feeds a data set."""
        kept = {key: getattr(data, key) for key in FED}
        return cls(name=spec.name, classes=list(spec.classes), palette=list(spec.palette), **kept)


class RunFacts(_Part):
    """The run that a file is of."""

    name: str = Field(..., pattern=r"^\w[\w.+-]*$")  # what its checkpoints are called
    id: str = ""  # tells runs of one name apart; empty in files of format 1
    # hints, see `rundir`: where its state was written, and where its checkpoints
    folder: str = ""
    weights_dir: str = ""
    # a training transform that was given in Python: what it is called
    transform: str = Field("", max_length=300, pattern=r"^[\w.<>-]*$")
    teacher: str = Field("", pattern=r"^[0-9a-f]{0,64}$")  # digest of the file that it learns from
    data: Dict[str, str] = Field(default_factory=dict)  # split -> digest of its files' names and sizes


class PluginFact(_Part):
    """Something of a plugin that the network or its run was made with; facts, by which nothing is imported."""

    kind: Word
    name: Word
    module: Word = ""
    distribution: Word = ""  # the installed package, if it was one
    version: Word = ""


class OptimizedFacts(_Part):
    """What a graph that `deploy.optimize` made is, besides its operators."""

    format: int = Field(..., ge=1)  # of the arrays that hold it
    dtype: Literal["float32", "bfloat16", "int8"]
    align_corners: bool


class Record(_Part):
    """Everything but the arrays."""

    format: int = FORMAT
    # of a network, of a run's state, made from another toolkit's, or an optimized graph
    kind: Literal["weights", "training", "converted", "optimized"] = "weights"
    model: Optional[NetworkSpec] = None  # what builds the network; None in a file of a backbone alone
    backbone: Optional[str] = None  # its name, in a file of a backbone alone
    feeding: Feeding = Feeding()
    recipe: Annotated[Optional[Recipe], BeforeValidator(recorded_recipe)] = None
    iteration: Optional[Count] = None
    iterations: Optional[Count] = None
    scores: Optional[Scored] = None  # of exactly these weights; None where these were not scored
    run: Optional[RunFacts] = None
    state: Optional[RunState] = None  # of a run, in its state file only
    plugins: List[PluginFact] = Field(default_factory=list)  # what of it is not ours
    source: Optional[str] = None  # the file that was converted
    ema: bool = False  # whether its moving averages were taken
    optimized: Optional[OptimizedFacts] = None  # of an optimized graph, in its file only
    versions: Dict[str, str] = Field(default_factory=dict)

    def dump(self) -> bytes:
        """JSON, as `of_json` reads it. Raises MXNetSegError where a text in it is no Unicode.

        How images are fed is left out where nobody has said it.
        """
        unsaid = {"feeding"} - self.model_fields_set
        try:
            return self.model_dump_json(exclude_none=True, exclude=unsaid).encode()
        except ValueError as err:  # halves of characters, as in file names that are no UTF-8
            problem = f"the record can't be written as text ({err})"
            raise MXNetSegError(f"{problem}; name folders and files in UTF-8") from err


def plugin_facts(spec: Mapping[str, Any], recipe: Optional[Recipe] = None) -> List[PluginFact]:
    """What of a network, and of the recipe that trains it, comes from plugins."""
    used = [("model", spec["name"]), ("backbone", spec["backbone"])]
    if recipe is not None:
        used.append(("data set", recipe.data.name))
        used += [("loss", term.name) for term in (recipe.loss, *recipe.loss.also)]
        used += [("transform", transform.name) for transform in recipe.data.augment.transforms]
    facts = []
    for kind, name in used:
        origin = TABLES[kind].origin(name) if kind in TABLES else None
        if origin is not None:
            words = {key: re.sub(r"[^\w .+!-]", "_", value)[:200] for key, value in origin._asdict().items()}
            facts.append(PluginFact(kind=kind, name=name, **words))
    return facts


def of_json(content: Any, source: str) -> Record:
    """The record that parsed JSON holds, in this or an older format.

    Raises MXNetSegError for a newer format, a key that is missing, a value of the wrong type or out of range.
    """
    number = content.get("format", 1) if isinstance(content, dict) else 1
    if isinstance(number, int) and number > FORMAT:
        raise MXNetSegError(
            f"{source}: has a record of format {str(number)[:20]}, this version reads up to {FORMAT}; update it"
        )
    try:
        return Record.model_validate(_of_format_1(content) if number == 1 else content)
    except ValidationError as err:
        problem = err.errors()[0]
        place = ".".join(str(part) for part in problem["loc"]) or "the record"
        message = problem["msg"][:1].lower() + problem["msg"][1:]
        raise MXNetSegError(
            f"{source}: its record is wrong at {place}: {message}; got {str(problem['input'])[:60]!r}. "
            "Take another checkpoint"
        ) from None


def _of_format_1(content: Any) -> Any:
    """Format 1 (0.1.0) had other names, the path of the weights, and scores that did not say of what."""
    if not isinstance(content, Mapping):
        return content
    new = {**content, "format": FORMAT}
    for old, name in (("data", "feeding"), ("score", "scores")):
        if content.get(old) is not None:
            new[name] = content[old]
    if content.get("kind") == "training":
        keys = ("iteration", "best", "stale", "unscored")
        new["state"] = {**{key: content[key] for key in keys if key in content}, "csv": {"rows": None}}
        new["run"] = {"name": content.get("name")}
    return new


def feeding_of(network: Any) -> Feeding:
    """How images come to a network: as its record says.

    Without one, ImageNet's mean and std for three channels; for any other number, values from 0 to 1.
    """
    if network.record is not None:
        feeding: Feeding = network.record.feeding
        return feeding
    count = channels_of(network)
    if count == len(IMAGENET_MEAN):
        return Feeding()
    return Feeding(channels=list(range(count)), mean=(0.0,) * count, std=(255.0,) * count)
