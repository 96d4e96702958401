"""Shapes of everything in a graph, and which sizes depend on the image: MXNet is asked at several sizes."""

from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from mxnet import nd

from ..graph import Entry, Graph, infer_shapes
from ..graph.onnx_step import Free, Shape

__all__ = ["MULTIPLES", "near", "probes", "shapes"]

# Sizes of feature maps that agree for all of these agree for all images: odd and even ones, multiples of 32 and others.
BATCHES = (2, 3, 5, 1, 7, 4)
SIZES = ((67, 131), (128, 96), (233, 65), (256, 320), (97, 161), (500, 375))
MULTIPLES = (1, 2, 4, 8, 16, 32, 64)  # of which the sides of images may have to be multiples, in this order


def probes(
    size: Optional[Tuple[int, int]], batch: Optional[int], multiple: int, channels: int = 3
) -> List[Tuple[int, int, int, int]]:
    """Shapes of images: of one size, or of a batch, where these are fixed; else with sides that are multiples."""
    return [(batch or count, channels, *(size or near(free, multiple))) for count, free in zip(BATCHES, SIZES)]


def near(size: Tuple[int, int], multiple: int) -> Tuple[int, int]:
    """Sides that are multiples: odd ones of odd sides, so that they are no multiples of twice the number."""
    height, width = ((side // multiple + (side // multiple - side) % 2) * multiple for side in size)
    return height, width


def shapes(
    graph: Graph, arrays: Mapping[str, nd.NDArray], images: Sequence[Tuple[int, int, int, int]]
) -> Dict[Entry, Shape]:
    """The shape of every output of every node, for all images (N, 3, H, W) at once.

    Raises
    ------
    MXNetSegError
        The network takes no images of one of the sizes.
    """
    known = {name: array.shape for name, array in arrays.items()}
    found = [infer_shapes(graph, {**known, "data": image}) for image in images]
    return {entry: _merged([each[entry] for each in found]) for entry in found[0]}


def _merged(each: Sequence[Tuple[int, ...]]) -> Shape:
    return tuple(sizes[0] if len(set(sizes)) == 1 else Free(sizes) for sizes in zip(*each))
