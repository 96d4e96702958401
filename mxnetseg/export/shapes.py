"""Shapes of everything in a graph, and which sizes depend on the image: MXNet is asked at several sizes."""

import itertools
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import mxnet as mx

from ..errors import MXNetSegError
from ..graph import VARIABLE, Graph
from ..graph.onnx_step import Free, Shape

__all__ = ["name_apart", "probes", "shapes"]

# Sizes of feature maps that agree for all of these agree for all images: odd and even ones, multiples of 32 and others.
BATCHES = (2, 3, 5, 1, 7, 4)
SIZES = ((67, 131), (128, 96), (233, 65), (256, 320), (97, 161), (500, 375))


def probes(size: Optional[Tuple[int, int]], batch: Optional[int]) -> List[Tuple[int, int, int, int]]:
    """Shapes of images: of one size, or of a batch, where these are fixed."""
    return [(batch or count, 3, *(size or free)) for count, free in zip(BATCHES, SIZES)]


def name_apart(graph: Graph) -> None:
    """Give operators of the same name different ones, because ONNX and MXNet's look-ups go by names."""
    taken = set()
    for node in graph.nodes():
        name, number = node.name, 1
        while node.name in taken:
            number += 1
            node.name = f"{name}_{number}"
        taken.add(node.name)


def shapes(
    graph: Graph, arrays: Mapping[str, mx.nd.NDArray], images: Sequence[Tuple[int, int, int, int]]
) -> Dict[str, List[Shape]]:
    """Name of a node -> shapes of its outputs; the names must differ.

    Raises
    ------
    MXNetSegError
        The network takes no images of one of the sizes.
    """
    internals = graph.symbol().get_internals()
    names = internals.list_outputs()
    known = {name: arrays[name].shape for name in internals.list_inputs() if name in arrays}
    found: List[List[Tuple[int, ...]]] = []
    for image in images:
        try:
            found.append(internals.infer_shape(data=image, **known)[1])
        except mx.MXNetError as err:
            what = str(err).strip().splitlines()[-1]
            raise MXNetSegError(f"the network takes no images of shape {image}: {what}") from err
    merged = {name: _merged(each) for name, *each in zip(names, *found)}
    result: Dict[str, List[Shape]] = {}
    for node in graph.nodes():
        if node.op == VARIABLE:
            result[node.name] = [merged[node.name]]
        elif f"{node.name}_output" in merged:
            result[node.name] = [merged[f"{node.name}_output"]]
        else:
            numbered = (f"{node.name}_output{number}" for number in itertools.count())
            result[node.name] = [merged[name] for name in itertools.takewhile(merged.__contains__, numbered)]
    return result


def _merged(each: Sequence[Tuple[int, ...]]) -> Shape:
    return tuple(sizes[0] if len(set(sizes)) == 1 else Free(sizes) for sizes in zip(*each))
