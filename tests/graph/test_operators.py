"""The table of operators: it knows all that our networks have, and what passes ask of it."""

import mxnet as mx
import pytest

from mxnetseg import create_model, list_backbones, list_models
from mxnetseg.graph import OPERATORS, Graph, Node, is_relu, known, sees
from mxnetseg.graph.onnx_rules import RULES
from mxnetseg.nn import inference_graph

from ..small import SMALL


def operators(name, **options):
    """Those of the graphs that inference and training have."""
    net = create_model(name, num_classes=5, **options)
    if "ffnet" in f"{name} {options}":
        net.initialize()  # branches are folded with their values
    with inference_graph():
        graph = Graph(net.coarse_logits(mx.sym.var("data")))
    return {node.op for node in [*graph.operators(), *Graph(net(mx.sym.var("data"))).operators()]}


def test_it_knows_every_model():
    for name in list_models():
        assert operators(name, **{"backbone": "mobilenet_v2_0_25", **SMALL.get(name, {})}) <= set(OPERATORS), name


@pytest.mark.parametrize(
    "backbone", ["densenet121", "dgmn2_tiny", "efficientnet_lite0", "eprnet_light", "moganet_xtiny", "resnest14"]
)
def test_it_knows_a_backbone_of_every_family(backbone):
    assert operators("fcn", backbone=backbone) <= set(OPERATORS)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", list_backbones())
def test_it_knows_every_backbone(backbone):
    assert operators("fcn", backbone=backbone, norm="gn") <= set(OPERATORS)


def test_every_rule_for_onnx_stands_in_the_table():
    assert {name: facts.onnx for name, facts in OPERATORS.items() if facts.onnx} == RULES


def test_what_sees_the_image_and_what_only_its_size():
    x, weight = mx.sym.var("data"), mx.sym.var("weight")
    steps = mx.sym.contrib.arange_like(x, axis=3)
    matrix = mx.sym.broadcast_like(mx.sym.dot(steps, weight), x)
    table = mx.sym.contrib.BilinearResize2D(weight, x, mode="like")
    product = mx.sym.dot(x, matrix)
    for symbol, expected in [(x, 1), (weight, 0), (steps, 0), (matrix, 0), (table, 0), (product, 1), (table + x, 1)]:
        graph = Graph(symbol)
        assert sees(graph)[graph.heads[0].node] == expected, symbol


def test_facts_depend_on_attributes():
    gelu, prelu = (Node("LeakyReLU", "x", {"act_type": kind}) for kind in ("gelu", "prelu"))
    assert known(gelu).bfloat16(gelu, [True]) and not known(prelu).bfloat16(prelu, [True])
    assert not known(gelu).bfloat16(gelu, [False])
    channels, rows = (Node("Concat", "x", {"dim": axis}) for axis in "12")
    assert known(channels).int8(channels) and not known(rows).int8(rows)
    custom = Node("Custom", "x", {"op_type": "mxnetseg_deform_unfold"})
    assert known(custom) is OPERATORS["mxnetseg_deform_unfold"]
    assert is_relu(Node("Activation", "x", {"act_type": "relu"})) and not is_relu(Node("Activation", "x"))
