"""Nodes of a symbol: read, changed and written back; users and shapes are always the present ones."""

import subprocess
import sys
from pathlib import Path

import mxnet as mx
import pytest

from mxnetseg import MXNetSegError
from mxnetseg.graph import Entry, Graph, Node, infer_shapes

VAR = mx.sym.var


def diamond():
    """relu(a) + sigmoid(a), with a = data * 2."""
    a = mx.sym.identity(VAR("data") * 2, name="a")
    return Graph(mx.sym.elemwise_add(mx.sym.relu(a, name="left"), mx.sym.sigmoid(a, name="right"), name="sum"))


def by_name(graph):
    return {node.name: node for node in graph.nodes()}


def test_a_graph_becomes_the_same_symbol_again():
    x = VAR("data", shape=(2, 6, 4, 4))
    parts = mx.sym.split(mx.sym.BatchNorm(x, name="norm"), num_outputs=3, name="cut")
    symbol = mx.sym.Group([parts[2], parts[0] + mx.sym.Convolution(parts[1], kernel=(1, 1), num_filter=2, name="c")])
    again = Graph(Graph(symbol).json()).symbol()
    assert again.list_outputs() == symbol.list_outputs() and again.list_inputs() == symbol.list_inputs()
    assert again.get_internals().list_outputs() == symbol.get_internals().list_outputs()
    assert again.attr_dict() == symbol.attr_dict()
    assert again.infer_shape()[1] == symbol.infer_shape()[1]


def test_what_fused_operators_are_made_of_is_kept():
    relu = mx.sym.Activation(mx.sym.Convolution(VAR("data"), kernel=(1, 1), num_filter=2), act_type="relu")
    fused = Graph(Graph(relu.get_backend_symbol("MKLDNN")).symbol())
    (conv,) = fused.operators()
    assert [[node.op for node in part.operators()] for part in conv.subgraphs] == [["Convolution", "Activation"]]


def test_reading_a_graph_needs_no_mxnet():
    code = "import sys, mxnetseg.graph; sys.exit('mxnet' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0


def test_names_that_two_operators_share():
    x = mx.sym.relu(mx.sym.relu(VAR("data"), name="x"), name="data")
    assert mx.sym.relu(x, name="x").list_inputs() == ["data"]
    graph = Graph(mx.sym.relu(x, name="x"))
    assert list(graph.names().values()) == ["data", "x", "data_2", "x_2"]
    assert list(infer_shapes(graph, {"data": (1, 2, 3, 4)}).values()) == [(1, 2, 3, 4)] * 4


def test_nodes_change_by_assignment_alone():
    node = Node("relu", "x", {"a": "1"}, [Entry(Node("null", "data"))])
    with pytest.raises(TypeError):
        node.attrs["a"] = "2"
    with pytest.raises(TypeError):
        node.inputs[0] = Entry(node)
    given = {"b": "1"}
    node.attrs = given
    given["b"] = "2"
    assert node.attrs == {"b": "1"}
    with pytest.raises(AttributeError):
        diamond().heads.append(Entry(node))


@pytest.mark.parametrize(
    "change, users",
    [
        (lambda graph, at: None, ["left", "right"]),
        (lambda graph, at: setattr(at["right"], "inputs", [Entry(by_name(graph)["data"])]), ["left"]),
        (lambda graph, at: setattr(at["sum"], "inputs", [Entry(at["left"])] * 2), ["left"]),
        (lambda graph, at: setattr(graph, "heads", [Entry(at["a"]), Entry(at["right"])]), ["right", None]),
        (lambda graph, at: at["left"].become(Node("elemwise_add", "twice", {}, [Entry(at["a"])] * 2)), 3),
        (lambda graph, at: graph.replace(Entry(at["a"]), Entry(at["data"])), []),
        (lambda graph, at: graph.replace(Entry(at["sum"]), Entry(at["a"])), [None]),
    ],
)
def test_users_are_the_present_ones(change, users):
    graph = diamond()
    at = by_name(graph)
    assert len(graph.users(at["a"])) == 2 and graph.single_user(at["a"]) is None
    change(graph, at)
    found = [user and user.name for user in graph.users(at["a"])]
    assert found == users if isinstance(users, list) else len(found) == users
    assert graph.single_user(at["a"]) is (at[users[0]] if users in (["left"], ["right"]) else None)


def test_shapes_of_every_output():
    parts = mx.sym.split(VAR("data"), num_outputs=2, axis=3, name="cut")
    graph = Graph(mx.sym.Group([parts[1], mx.sym.FullyConnected(parts[0], num_hidden=5, name="linear")]))
    shapes = infer_shapes(graph, {"data": (1, 3, 4, 8)})
    at = by_name(graph)
    assert shapes[Entry(at["cut"], 0)] == shapes[Entry(at["cut"], 1)] == (1, 3, 4, 4)
    assert shapes[Entry(at["linear_weight"])] == (5, 48) and shapes[Entry(at["linear"])] == (1, 5)
    with pytest.raises(MXNetSegError, match="height 4 and width 9: .*try another shape"):
        infer_shapes(graph, {"data": (1, 3, 4, 9)})
