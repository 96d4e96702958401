"""The benchmark suite, as far as it needs no peers: plans, statistics, tables, workers."""

import json
import sys
from collections import Counter

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import HybridBlock, nn

from mxnetseg import MXNetSegError
from mxnetseg.nn import bicubic_like, concat, resize_like, shrink, silu
from tools.bench import contenders, growth, networks, report, statistics
from tools.bench.__main__ import read
from tools.bench.plan import Plan
from tools.bench.process import Failed, Worker
from tools.bench.rounds import Case, Pythons, measure, take_turns
from tools.bench.trace import trace
from tools.bench.worker import timed

from . import interpreter


@pytest.fixture(autouse=True)
def plain_operators(monkeypatch):
    monkeypatch.setenv("MXNETSEG_OPS", "0")


class Function(HybridBlock):
    """A network of one function of (F, x)."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def hybrid_forward(self, F, x):
        return self.function(F, x)


def traced(function, shape=(1, 3, 8, 12)):
    return trace(Function(function), shape)


def operators(plan):
    return Counter(node.op for node in plan.nodes)


# -- plans


def check(name, size=64):
    image = np.random.RandomState(0).normal(size=(1, 3, size, size)).astype("float32")
    net = networks.build(networks.NETWORKS[name].arguments, image)
    logits = net(mx.nd.array(image)).asnumpy()
    net.reparameterize()
    found = interpreter.run(trace(net, image.shape), image)
    assert logits.std() > 0.05
    np.testing.assert_allclose(found, logits, atol=1e-3 * np.abs(logits).max())


@pytest.mark.parametrize("name", ["bisenet_resnet18", "setr_pup_dgmn2_tiny"])
def test_a_plan_computes_what_the_network_does(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(networks.NETWORKS) - {"bisenet_resnet18", "setr_pup_dgmn2_tiny"}))
def test_a_plan_computes_what_larger_networks_do(name):
    check(name)


def test_a_plan_is_read_as_it_was_written(tmp_path):
    net = nn.Conv2D(4, 3, in_channels=3)
    net.initialize()
    plan = trace(net, (2, 3, 9, 9))
    plan.save(tmp_path / "plan")
    read = Plan.load(tmp_path / "plan")
    assert read.nodes == plan.nodes
    assert read.nodes[-1].shape == (2, 4, 7, 7)
    np.testing.assert_array_equal(read.arrays[read.nodes[-1].arrays["weight"]], net.weight.data().asnumpy())


@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("factor", [1, 2])
def test_a_resize_has_its_size(corners, factor):
    def enlarged(F, x):
        small = F.Pooling(x, kernel=(2, 2), stride=(2, 2))
        return resize_like(F, small, x if factor == 1 else small, align_corners=corners, factor=factor)

    plan = traced(enlarged)
    assert operators(plan) == {"input": 1, "max_pool": 1, "resize": 1}
    assert plan.nodes[-1].attrs == {"size": [8, 12], "align_corners": corners}


def test_a_resize_to_the_same_size_is_left_out():
    plan = traced(lambda F, x: F.relu(resize_like(F, x, x, align_corners=False)))
    assert operators(plan) == {"input": 1, "relu": 1}


def test_spellings_for_mxnet_become_usual_operators():
    plan = traced(lambda F, x: concat(F, (silu(F, x), F.sigmoid(x) * x, x), (3, 3, 3)))
    assert operators(plan) == {"input": 1, "silu": 2, "concat": 1}
    assert plan.nodes[-1].attrs == {"axis": 1}


def test_what_only_sizes_decide_is_computed_beforehand():
    plan = traced(lambda F, x: F.broadcast_add(x, F.contrib.arange_like(x, axis=3) * 2 + 1))
    assert operators(plan) == {"input": 1, "constant": 1, "add": 1}
    (array,) = plan.arrays.values()
    np.testing.assert_array_equal(array, np.arange(12) * 2 + 1)


@pytest.mark.parametrize(
    "function, message",
    [
        (lambda F, x: F.erfinv(x), "can't convert operator erfinv"),
        (lambda F, x: bicubic_like(F, x, F.concat(x, x, dim=2)), "pad"),
        (lambda F, x: shrink(F, x, 2), "dot"),
        (lambda F, x: F.Pooling(x, kernel=(2, 2), pool_type="lp", p_value=2), "pooling"),
    ],
)
def test_what_has_no_counterpart_is_an_error(function, message):
    with pytest.raises(MXNetSegError, match=message):
        traced(function)


def test_tracing_wants_mxnets_own_operators(monkeypatch):
    monkeypatch.delenv("MXNETSEG_OPS")
    with pytest.raises(MXNetSegError, match="MXNETSEG_OPS=0"):
        traced(lambda F, x: x)


# -- figures


def test_median_and_quartiles():
    summary = statistics.summarize([4, 1, 2, 3, 100])
    assert summary[:3] == (3, 2, 4) and summary.spread == 1 and summary.rounds == 5


def test_agreement_of_logits():
    logits = np.zeros((1, 2, 2, 2))
    logits[:, 1] = -4
    other = logits.copy()
    other[0, 1, 0, 0] = 1
    assert statistics.agreement(other, logits) == (5 / 4, 3 / 4)
    other[0, 1, 0, 0] = np.nan
    assert statistics.agreement(other, logits)[0] == float("inf")
    assert statistics.agreement(other[:, :1], logits)[0] == float("inf")
    assert statistics.agreement(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == (0.5, None)


def test_contenders_of_a_type():
    names = [c.name for c in contenders.select("inference", ("bfloat16",), ["pytorch", "openvino"])]
    assert names == ["PyTorch eager bf16", "PyTorch compiled bf16", "OpenVINO bf16"]
    names = [c.name for c in contenders.select("training", ("float32",), without=["compiled"])]
    assert names == ["MXNetSeg", "MXNetSeg, train.checkpoint", "PyTorch eager"]
    assert {c.dtype for c in contenders.select("training", ("float32", "int8"))} == {"float32"}


def made_up(**contenders):
    times = {name.replace("_", " "): seconds for name, seconds in contenders.items()}
    results = {
        name: dict(seconds=seconds, detail="", memory=1000 * seconds[0], difference=1e-5, same=1.0)
        if seconds
        else dict(problem="it | broke\nbadly")
        for name, seconds in times.items()
    }
    return {
        "date": "2026-01-01",
        "machine": {
            "processor": "P",
            "flags": ["avx2"],
            "threads": 2,
            "memory_gb": 8,
            "versions": {"own": {"mxnet": "1.9.1", "numpy": "1"}, "peers": {"torch": "2", "openvino": None}},
        },
        "cases": [
            dict(network="n", size=[8, 8], batch=1, task="inference", title="n, 8x8", contenders=results),
        ],
        "sections": [{"title": "More", "text": "text"}],
    }


def test_tables_hold_ratios_of_medians_and_say_why_a_figure_is_missing():
    text = report.tables(
        made_up(
            MXNetSeg_f32=[0.1, 0.2, 0.3],
            PyTorch_eager_f32=[0.8, 0.8, 0.8],
            PyTorch_compiled_f32=[0.4, 0.4, 9.0],
            OpenVINO_f32=None,
        )
    )
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| n, 8x8")]
    times, memory = ([cell.strip() for cell in row] for row in rows)
    assert times == ["n, 8x8", "0.50"]  # of the faster PyTorch, not OpenVINO
    assert memory == ["n, 8x8", "0.25"]  # of 100 MB, of 400 and 800
    assert "200.0 ± 50.0" in text and "5.00" in text
    assert "Medians of 3 interleaved rounds" in text
    assert "Medians of 2 to 3 interleaved" in report.tables(made_up(MXNetSeg_f32=[0.1] * 3, OpenVINO_f32=[0.1] * 2))
    assert "it / broke badly" in text
    assert "MXNet 1.9.1, PyTorch 2." in text
    assert text.endswith("### More\n\ntext")


def test_only_what_is_between_the_markers_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    for text in ("new", "newer"):
        report.replace_between(page, text)
        assert page.read_text(encoding="utf-8") == f"before\n{report.BEGIN}\n\n{text}\n\n{report.END}\nafter\n"
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]


@pytest.mark.parametrize(
    "text", ["none", report.BEGIN, f"{report.END} {report.BEGIN}", 2 * (report.BEGIN + report.END)]
)
def test_a_page_without_its_markers_is_left_alone(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="once each"):
        report.replace_between(page, "new")
    assert page.read_text(encoding="utf-8") == text


def test_the_page_has_its_markers():
    from tools.bench.__main__ import PAGE

    page = PAGE.read_text(encoding="utf-8")
    assert page.count(report.BEGIN) == page.count(report.END) == 1


def test_figures_of_several_runs_are_read_together(tmp_path):
    def write(name, cores=2, **content):
        (tmp_path / name).write_text(json.dumps(dict(machine={"cores": cores}, quick=False, **content)))
        return str(tmp_path / name)

    first = write("first.json", cases=[{"task": "inference"}])
    second = write("second.json", cases=[{"task": "training"}], sections=[{"title": "evaluation"}])
    both = read([first, second])
    assert both["cases"] == [{"task": "inference"}, {"task": "training"}]
    assert both["sections"] == [{"title": "evaluation"}] and read([first])["sections"] == []
    with pytest.raises(SystemExit, match="not from the machine of"):
        read([first, write("third.json", cores=4, cases=[])])
    with pytest.raises(SystemExit, match="give a file that --json wrote"):
        read([first, str(tmp_path / "none.json")])


def test_a_plot_needs_pytorch(tmp_path):
    from tools.bench.plot import draw

    assert not draw(made_up(MXNetSeg_f32=[1.0]), tmp_path / "plot.png")
    assert draw(made_up(MXNetSeg_f32=[1.0], PyTorch_eager_f32=[2.0]), tmp_path / "plot.png")
    assert [path.name for path in tmp_path.iterdir()] == ["plot.png"]


# -- turns and processes


def test_only_short_calls_are_warmed_up():
    calls = []
    assert timed(lambda: calls.append(1), least=0) > 0 and len(calls) == 2
    timed(lambda: calls.append(1), least=0, last=10)
    assert len(calls) == 3


class Scripted:
    """A worker whose answers are known."""

    def __init__(self, name, log, fails_in=None):
        self.name, self.log, self.fails_in = name, log, fails_in
        self.turns = 0

    def ask(self, **request):
        if "memory" in request:
            return {"memory": 1.0}
        self.turns += 1
        self.log.append(self.name)
        if self.turns == self.fails_in:
            raise Failed("broke")
        return {"seconds": float(self.turns)}


def test_turns_rotate_and_go_on_without_those_that_fail():
    log, names = [], ["a", "b", "c"]
    workers = {name: Scripted(name, log, 2 if name == "b" else None) for name in names}
    results = {name: {"seconds": []} for name in names}
    take_turns(workers, results, 3, 0.0, lambda text: None)
    assert "".join(log) == "abc" + "bca" + "ac"
    assert results["a"] == results["c"] == {"seconds": [1, 2, 3], "memory": 1}
    assert results["b"] == {"seconds": [1], "problem": "broke"}


def test_a_worker_that_fails_says_why_and_lives_on():
    with Worker(sys.executable, "run_mxnet", [0]) as worker:
        for _ in range(2):
            with pytest.raises(Failed, match="no attribute 'nothing'"):
                worker.ask(prepare="nothing")
        assert worker.ask(memory=True)["memory"] > 1
    with Worker(sys.executable, "run_mxnet", []) as worker, pytest.raises(Failed, match="ended with status 1"):
        worker.ask(memory=True)


def test_growth_with_the_work(tmp_path):
    cases = growth.cases(512 * 512)
    assert [(case.batch, case.size) for case in cases] == [(1, (256, 256)), (4, (256, 256)), (1, (512, 512))]
    seconds = [dict(zip(growth.NAMES, times)) for times in ((0.1, 0.2, 0.4), (0.3, None, 0.2), (0.5, None, None))]
    results = [{"case": case, "threads": 1, "seconds": times} for case, times in zip(cases, seconds)]
    assert growth.rows(results) == [
        ["1", "1", "256x256", "100.0", "200.0", "400.0", "0.50"],
        ["1", "4", "256x256", "300.0", "", "200.0", "1.50"],
        ["1", "1", "512x512", "500.0", "", "", ""],
    ]
    pytest.importorskip("matplotlib")
    growth.draw([*results, {**results[0], "threads": 2}, {**results[1], "threads": 2}], tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 5000


@pytest.mark.slow
def test_files_that_are_timed():
    """Networks that are optimized and quantized in a process before; the same weights, so near the same logits."""
    names = ["mxnet f32", "mxnetseg"]
    chosen = contenders.select("inference", ("float32", "bfloat16", "int8"), names)
    result = measure(
        Case("bisenet_resnet18", (64, 64)), chosen, Pythons(sys.executable, None), [0], 2, 0.01, lambda text: None
    )
    assert [name for name, one in result.items() if one.get("problem")] == []
    assert result["MXNetSeg f32"]["difference"] < 1e-4 and result["MXNetSeg int8"]["difference"] < 0.3


@pytest.mark.slow
def test_a_run_without_peers():
    chosen = contenders.select("inference", ("float32",), ["mxnet f32", "eager"])
    told = []
    result = measure(
        Case("bisenet_resnet18", (64, 64)), chosen, Pythons(sys.executable, None), [0], 2, 0.01, told.append
    )
    mxnet, torch = result.values()
    assert len(mxnet["seconds"]) == 2 and min(mxnet["seconds"]) > 0
    assert mxnet["difference"] == 0 and mxnet["same"] == 1 and mxnet["memory"] > 50
    assert torch["problem"] == "no Python with the peers"
    assert len(told) == 1 + 2 + 2
