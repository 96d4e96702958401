"""The commands end to end, in process: train, then eval and predict with what it left."""

import json
import re
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from PIL import Image

from mxnetseg import create_model
from mxnetseg.engine import checkpoint

from .conftest import CPU


def test_train_then_eval_then_predict(run, recipe_file, streets):
    status, out, _ = run("train", "--config", recipe_file, *CPU, "--quiet", "--set", "train.iterations=4")
    assert status == 0 and "mIoU" in out and re.search(r"next   \S*python3? \S*eval\.py --checkpoint weights", out)
    best = next(Path("weights/bisenet").glob("*_best.params"))
    assert f"best   {best}" in out

    status, out, _ = run("eval", "--checkpoint", best.name, *CPU, "--mode", "val", "--json", "scores.json", "--quiet")
    scores = json.loads(Path("scores.json").read_text())
    assert status == 0 and f"mIoU {100 * scores['miou']:.2f}" in out and "lane mark" in out
    assert scores["images"] == 4 and scores["split"] == "val" and scores["checkpoint"] == str(best)
    assert scores["miou"] == pytest.approx(checkpoint.read(best).record.scores.miou, abs=1e-12)

    image = streets / "images/val/0000.png"
    status, out, _ = run(
        "predict", image, "--checkpoint", best.name, *CPU, "--quiet", "--save", "label", "panel", "color", "overlay"
    )
    assert status == 0 and "1 prediction in runs/predict" in out
    label = np.asarray(Image.open("runs/predict/0000_label.png"))
    assert label.shape == (64, 96) and label.max() < 10
    assert Image.open("runs/predict/0000_overlay.png").size[0] == 96


def test_eval_of_another_split_and_root(run, trained, streets):
    status, out, _ = run(
        "eval", "--checkpoint", trained, *CPU, "--split", "train", "--root", streets, "--json", "a/b.json", "--quiet"
    )
    assert status == 0 and json.loads(Path("a/b.json").read_text())["images"] == 10
    status, _, err = run("eval", "--checkpoint", trained, *CPU, "--json", "a/b.json", "--quiet")
    assert status == 2 and "a/b.json is there already" in err


def test_multi_scale_and_windows_reach_the_evaluation(run, trained):
    arguments = ["eval", "--checkpoint", trained, *CPU, "--quiet", "--json"]
    assert run(*arguments, "plain.json")[0] == 0
    assert (
        run(
            *arguments,
            "ms.json",
            "--ms",
            "--crop",
            "48",
            "64",
            "--stride",
            "32",
            "--base",
            "96",
            "--miou-classes",
            "truth",
        )[0]
        == 0
    )
    plain, ms = (json.loads(Path(f"{n}.json").read_text()) for n in ("plain", "ms"))
    assert plain["eval"]["scales"] == [1.0] and not plain["eval"]["flip"]
    expected = {
        "miou_classes": "truth",
        "crop": [48, 64],
        "stride": 32,
        "base": 96,
        "flip": True,
        "scales": [0.5, 0.75, 1.0, 1.25, 1.5, 1.75],
    }
    assert {k: ms["eval"][k] for k in expected} == expected
    assert plain["miou"] != ms["miou"]


@pytest.mark.parametrize("mode, split", [("testval", "val"), ("TEST", "test")])
def test_predictions_of_a_split(run, trained, streets, mode, split, tmp_path):
    root = tmp_path / "data"
    (root / "images").mkdir(parents=True)
    (root / "images" / split).symlink_to(streets / "images" / "val")  # no labels needed
    status, out, err = run(
        "eval", "--checkpoint", trained, "--root", root, *CPU, "--mode", mode, "--quiet", "--out", "out"
    )
    assert status == 0 and "4 predictions in out" in out, err
    assert len(list(Path("out/color").glob("*.png"))) == len(list(Path("out/label").glob("*.png"))) == 4
    status, _, err = run(
        "eval", "--checkpoint", trained, "--root", root, *CPU, "--mode", mode, "--quiet", "--out", "out"
    )
    assert status == 2 and "is there already and 7 more" in err and "--overwrite" in err


def test_the_seed_command_for_evaluation(run, tmp_path, own_folder):
    """A .params file without a record, as the 2022 toolkit leaves it, on Cityscapes' layout."""
    from mxnetseg.visual import save_png

    rng = np.random.RandomState(0)
    for n in range(2):
        stem = f"ulm_00000{n}_000019"
        save_png(
            Path(f"cs/leftImg8bit/val/ulm/{stem}_leftImg8bit.png"), rng.randint(0, 256, (32, 64, 3)).astype(np.uint8)
        )
        ids = rng.choice(np.array([7, 8, 11, 0, 33], np.uint8), (32, 64))
        save_png(Path(f"cs/gtFine/val/ulm/{stem}_gtFine_labelIds.png"), ids)
    net = create_model("fcn", "resnet18", 19)
    net.initialize()
    Path("weights/fcn").mkdir(parents=True)
    net.save_parameters("weights/fcn/fcn_resnet18_cityscapes_20211014.params")
    seed = (
        "eval --model fcn --backbone resnet18 --checkpoint fcn_resnet18_cityscapes_20211014.params "
        "--ctx cpu --data cityscapes --crop 48 --base 64"
    )
    status, out, err = run(*seed.split(), "--mode", "val", "--scales", "1", "--flip", "--root", "cs", "--quiet")
    assert status == 0 and "traffic light" in out and "left out of the means" in out, err
    status, out, err = run(*seed.split(), "--mode", "testval", "--root", "cs", "--label-ids", "--out", "o", "--quiet")
    assert status == 0, err
    ids = np.asarray(Image.open("o/label_ids/ulm/ulm_000000_000019.png"))
    assert set(np.unique(ids)) <= {7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33}


def test_checkpoints_of_the_2022_toolkit(run, streets):
    """Its names are converted on the way in."""
    net = create_model("fcn", "resnet18", 10, aux=True)
    net.initialize(mx.init.Xavier())
    renamed = {}
    for name, array in checkpoint.weights(net).items():
        name = name.replace("aux_heads.", "aux_head.").replace("backbone.", "")
        if name.startswith(("head.", "aux_head.")):
            name = name.replace(".norm.", ".bn.")
        renamed[name.replace("aux_head.0.", "aux_head.")] = array
    mx.nd.save("old.params", renamed)
    arguments = ["eval", "--checkpoint", "old.params", "--data", "streets", "--root", streets, *CPU, "--quiet"]
    status, out, err = run(*arguments, "--model", "fcn", "--backbone", "resnet18")
    assert status == 0 and "mIoU" in out, err
    status, _, err = run(*arguments)
    assert (
        status == 2 and "old.params has no record of its model" in err and "name --model, --backbone and --data" in err
    )
    status, _, err = run(*arguments, "--model", "fcn", "--backbone", "resnet34")
    assert status == 2 and "does not fit fcn (resnet34)" in err


@pytest.mark.parametrize(
    "argv, message",
    [
        ("train", "name what to train: --model NAME"),
        ("train --model fcnn", "no recipe configs/fcnn.yaml; did you mean fcn"),
        ("train --config nowhere.yaml", "no recipe nowhere.yaml"),
        ("train --model fcn --ctx 0 1 2 3", "finds no GPU here; to train or evaluate on the CPU say --ctx cpu"),
        ("train --model fcn --ctx tpu", "--ctx tpu: write GPU numbers"),
        ("train --model fcn --ctx cpu cpu:0", "a context is named twice"),
        (
            "train --model fcn --ctx cpu",
            "data set cityscapes: no folder datasets/cityscapes; name the right one with --root",
        ),
        ("train --model fcn --ctx cpu --set optimizer.lrr=1", "unknown key optimizer.lrr; did you mean optimizer.lr?"),
        ("train --resume nowhere", "--resume nowhere: no state.ckpt in there"),
        ("eval --checkpoint nowhere.params --workers -1", "--workers -1: a number of processes, 0 or more"),
        ("data check streets --workers -1", "--workers -1: a number of processes, 0 or more"),
        ("data prepare voc2012 --from . --workers -1", "--workers -1: a number of processes, 0 or more"),
        ("eval --checkpoint nowhere.params", "no such file, nor below weights/"),
        (
            "eval --checkpoint bisenet_x_streets_1_bset.params",
            "did you mean weights/bisenet/bisenet_x_streets_1_best.params",
        ),
        (
            "eval --checkpoint {trained} --ctx cpu --model fcn",
            "--model fcn: checkpoint .* holds bisenet; leave --model out",
        ),
        ("eval --checkpoint {trained} --ctx cpu --mode test", "no folder .*images/test for split 'test'"),
        ("eval --checkpoint {trained} --ctx cpu --mode testval --json x", "--json holds scores"),
        ("eval --checkpoint {trained} --ctx cpu --data camvid", "no folder datasets/camvid"),
        ("eval --checkpoint {trained} --ctx cpu --crop 1 2 3", "give the side, or height and width"),
        ("eval --checkpoint {trained} --ctx cpu --scales 0", "eval.scales"),
        ("predict nothing.png --checkpoint {trained} --ctx cpu", "nothing.png: no such image"),
        ("predict . --checkpoint {trained} --ctx cpu", ". holds no images"),
        ("predict . --checkpoint {trained} --ctx cpu:0 cpu:1", "predict runs on one context; name one"),
        ("data show", "name a data set or --config FILE"),
        ("data show camvit", "unknown data set 'camvit'; did you mean camvid"),
        ("evaluate", "unknown command 'evaluate'"),
    ],
)
def test_mistakes_are_one_clear_line(run, trained, argv, message):
    status, _, err = run(
        *argv.format(trained=trained).split(), *(["--quiet"] if argv.split()[0] not in ("data", "evaluate") else [])
    )
    assert status == 2
    lines = [line for line in err.splitlines() if line]
    assert lines[-1].startswith("error: ") and "Traceback" not in err
    assert re.search(message, err), err


def test_a_damaged_checkpoint_is_named(run, trained):
    content = bytearray(trained.read_bytes())
    content[1000] ^= 4
    trained.write_bytes(content)
    status, _, err = run("eval", "--checkpoint", trained, *CPU)
    assert status == 2 and "its checksum does not match" in err and trained.name in err
