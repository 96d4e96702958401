"""PyTorch checkpoints: where in a file the state dict lies."""

import numpy as np
import pytest

from mxnetseg.convert import read_pth
from mxnetseg.foreign import pth as module

from .pth import BOTH, STATE, ramp, refused, same
from .writer import tensor, write_object, write_pth


@BOTH
@pytest.mark.parametrize("wrap", [None, *module.PLAIN_KEYS, *module.EMA_KEYS, "model/state_dict", "ema/module"])
def test_wrapped(tmp_path, wrap, legacy):
    write_pth(tmp_path / "x.pth", STATE, wrap, legacy)
    same(read_pth(tmp_path / "x.pth"), STATE)
    if wrap and wrap.split("/")[0] in module.EMA_KEYS:
        same(read_pth(tmp_path / "x.pth", ema=True), STATE)
    else:
        refused(tmp_path / "x.pth", "no moving averages", ema=True)


def many(tmp_path, **values):
    """A file with one tensor `w` under each key, filled with the value."""
    content = {}
    for keys, value in values.items():
        node = content
        for key in keys.split("__"):
            node = node.setdefault(key, {})
        node["w"] = tensor(np.full(2, value, "float32"))
    write_object(tmp_path / "x.pth", content)
    return tmp_path / "x.pth"


def test_preference(tmp_path):
    path = many(tmp_path, ema=1, model_ema=2, net=3, model=4, state_dict=5, loss=6)
    assert read_pth(path)["w"][0] == 5
    assert read_pth(path, ema=True)["w"][0] == 2
    path = many(tmp_path, model__model_ema=1, model__module=2, state_dict_ema=3)
    assert read_pth(path)["w"][0] == 2
    assert read_pth(path, ema=True)["w"][0] == 1


def test_tensors_beside_the_wrapper_are_not_the_weights(tmp_path):
    write_pth(tmp_path / "x.pth", STATE, lambda state: {"best": tensor(np.ones(1)), "state_dict": state})
    same(read_pth(tmp_path / "x.pth"), STATE)


def test_a_dict_that_holds_itself(tmp_path):
    loop = {"w": tensor(np.ones(1))}
    for key in module.PLAIN_KEYS + module.EMA_KEYS:
        loop[key] = loop
    write_object(tmp_path / "x.pth", loop)
    assert list(read_pth(tmp_path / "x.pth")) == ["w"]


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "module.module."])
def test_prefix_of_all_names(tmp_path, prefix):
    write_pth(tmp_path / "x.pth", {prefix + name: array for name, array in STATE.items()})
    same(read_pth(tmp_path / "x.pth"), STATE)


def test_prefix_of_some_names(tmp_path):
    mixed = {"module.a": np.ones(1, "f4"), "b": np.ones(1, "f4")}
    write_pth(tmp_path / "x.pth", mixed)
    same(read_pth(tmp_path / "x.pth"), mixed)


def test_averaged_model_of_torch(tmp_path):
    write_pth(tmp_path / "x.pth", {"n_averaged": np.array(3), "module.a": np.ones(1, "f4")})
    assert list(read_pth(tmp_path / "x.pth")) == ["a"]


def test_averages_of_mmcv(tmp_path):
    plain = {"backbone.conv.weight": ramp(2, 3), "backbone.norm.mean": ramp(3), "ema_head.weight": ramp(4)}
    averages = {"ema_backbone_conv_weight": ramp(2, 3) * 2, "ema_ema_head_weight": ramp(4) * 2}
    for prefix in ("", "module."):
        state = {prefix + name: array for name, array in {**plain, **averages}.items()}
        write_pth(tmp_path / "x.pth", state, "state_dict")
        same(read_pth(tmp_path / "x.pth"), plain)
        expected = {name: array if "norm" in name else array * 2 for name, array in plain.items()}
        same(read_pth(tmp_path / "x.pth", ema=True), expected)


def test_averages_of_mmengine_are_the_state_dict(tmp_path):
    def wrap(state):
        raw = {"module.conv.weight": tensor(ramp(2, 3) * 9), "steps": tensor(np.array(5))}
        return {"meta": {}, "ema_state_dict": raw, "state_dict": state}

    write_pth(tmp_path / "x.pth", STATE, wrap)
    same(read_pth(tmp_path / "x.pth"), STATE)
    same(read_pth(tmp_path / "x.pth", ema=True), STATE)


def test_no_tensors(tmp_path):
    write_object(tmp_path / "x.pth", {"epoch": 3, "note\x1b[2J\n": "", 4: 5})
    message = refused(tmp_path / "x.pth", "no tensors", "epoch", r"note\x1b[2J\n")
    assert "\x1b" not in message and "\n" not in message
    write_object(tmp_path / "x.pth", tensor(np.ones(2)))
    refused(tmp_path / "x.pth", "one tensor")
    write_object(tmp_path / "x.pth", [tensor(np.ones(2))])
    refused(tmp_path / "x.pth", "a list")
