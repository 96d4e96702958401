"""Linear layers whose output is cut into a few equal pieces become one layer per piece, so nothing is left to cut."""

from ..graph import Entry, Node
from .plan import Plan

__all__ = ["split_linear_layers"]

MOST = 4  # pieces: many narrow products take longer than the cut


def split_linear_layers(plan: Plan) -> None:
    """Give the layers their piece of the weights each."""
    cuts = [node for node in plan.graph.operators() if node.op == "SliceChannel" and _cuts_channels(node, plan)]
    for cut in cuts:
        layer = cut.inputs[0].node
        if _is_linear(layer, plan) and plan.graph.single_user(layer) is cut:
            count = int(cut.attrs["num_outputs"])
            for i in range(count):
                plan.graph.replace(Entry(cut, i), _piece(layer, i, count, plan))


def _cuts_channels(cut: Node, plan: Plan) -> bool:
    """Along the last axis, into few pieces."""
    if int(cut.attrs["num_outputs"]) > MOST or cut.flag("squeeze_axis"):
        return False
    return int(cut.attrs.get("axis", "1")) in (-1, len(plan.shape(cut.inputs[0])) - 1)


def _is_linear(node: Node, plan: Plan) -> bool:
    return node.op == "FullyConnected" and not node.flag("flatten", default=True) and plan.has_weights(node)


def _piece(layer: Node, i: int, count: int, plan: Plan) -> Entry:
    channels = int(layer.attrs["num_hidden"]) // count
    variables = []
    for entry in layer.inputs[1:]:
        rows = plan.arrays[entry.node.name][i * channels : (i + 1) * channels]
        variables.append(plan.constant(f"{entry.node.name}_{i}of{count}", rows.asnumpy))
    attrs = {**layer.attrs, "num_hidden": str(channels)}
    return Entry(Node("FullyConnected", f"{layer.name}_{i}of{count}", attrs, [layer.inputs[0], *variables]))
