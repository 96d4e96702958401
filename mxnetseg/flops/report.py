"""What a count found, as numbers, as a table and as published tables print it."""

import dataclasses
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ..errors import MXNetSegError
from ..graph import Shape

__all__ = ["Complexity", "Row", "short"]


class Row(NamedTuple):
    """One operator of the graph, or the parameters of a layer that inference does not run.

    `layer` is the structural name, as in `save_parameters` ("" is the network itself); `output` the shape of
    the first output for a batch of one, None for what is not run; `flops` are multiply-accumulates.
    """

    layer: str
    operator: str
    output: Optional[Shape]
    parameters: int
    flops: int


@dataclasses.dataclass(frozen=True)
class Complexity:
    """What `count` found.

    Attributes
    ----------
    rows : list of Row
        In the order of the graph; every learnable number and every FLOP is in exactly one of them.
    statistics : int
        Numbers that are stored but not learned: running means and variances, frozen parameters, constants.
    shape : (int, int)
        Height and width of the image, in pixels.
    everything : bool
        Whether all operators were counted, or those that mmcv counts.
    unknown : tuple of str
        Operators that nobody has said the cost of. They count one for each element of what they give where all are
        counted, and nothing else.
    parameters : int
        Learnable numbers, auxiliary heads included.
    flops : int
        Multiply-accumulates of one image in inference; `macs` is the same number under its exact name.
    """

    rows: List[Row] = dataclasses.field(repr=False)
    statistics: int
    shape: Tuple[int, int]
    everything: bool = False
    unknown: Tuple[str, ...] = ()
    parameters: int = dataclasses.field(init=False)
    flops: int = dataclasses.field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "parameters", sum(row.parameters for row in self.rows))
        object.__setattr__(self, "flops", sum(row.flops for row in self.rows))

    @property
    def macs(self) -> int:
        """Multiply-accumulates: another name for `flops`."""
        return self.flops

    def by_depth(self, depth: int) -> List[Row]:
        """The rows added up over the first `depth` parts of their structural names (1: backbone, head, ...)."""
        if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
            raise MXNetSegError(f"depth={depth!r}: must be an integer from 1 on; 1 shows backbone and heads")
        sums: Dict[str, List[int]] = {}
        for row in self.rows:
            total = sums.setdefault(".".join(row.layer.split(".")[:depth]), [0, 0])
            total[0] += row.parameters
            total[1] += row.flops
        return [Row(layer, "", None, *total) for layer, total in sums.items()]

    def table(self, depth: Optional[int] = None) -> str:
        """A text table: one line per row, or per layer at `depth`."""
        from tabulate import tabulate

        rows = self.rows if depth is None else self.by_depth(depth)
        lines = []
        for row in rows:
            output = "x".join(map(str, row.output)) if row.output else ""
            share = f"{100 * row.flops / self.flops:.1f}" if self.flops else ""
            numbers = [f"{row.parameters:,}", f"{row.flops:,}", share]
            lines.append([row.layer or "(network)", *([row.operator, output] if depth is None else []), *numbers])
        headers = ["layer", *(["operator", "output"] if depth is None else []), "parameters", "FLOPs", "%"]
        aligned = ["left"] * (len(headers) - 3) + ["right"] * 3
        return tabulate(lines, headers=headers, disable_numparse=True, colalign=aligned)

    def to_dict(self) -> Dict[str, Any]:
        """For JSON; shapes are lists."""
        return {
            "shape": list(self.shape),
            "counted": "everything" if self.everything else "as mmcv does",
            "parameters": self.parameters,
            "statistics": self.statistics,
            "flops": self.flops,
            "unknown": list(self.unknown),
            "layers": [dict(row._asdict(), output=row.output and list(row.output)) for row in self.rows],
        }


def short(number: int, unit: str) -> str:
    """As published tables write it: short(55_300_000, "M") is "55.3 M", and "G" counts billions.

    They round what mmcv prints, which has two decimals: 86.148 is 86.15, and that is 86.2.
    """
    value = Decimal(number) / {"M": 10**6, "G": 10**9}[unit]
    if value < 1:
        return f"{value:.3f} {unit}"
    for step in ("0.01", "0.1"):
        value = value.quantize(Decimal(step), ROUND_HALF_UP)
    return f"{value} {unit}"
