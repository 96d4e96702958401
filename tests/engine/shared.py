"""What each process of `test_peers` does. Rank 1 is the one that is odd."""

import contextlib
import os
import signal
from pathlib import Path

import mxnet as mx
import numpy as np

from mxnetseg.config import load_recipe, override_recipe
from mxnetseg.engine import checkpoint, learners, peers, step
from mxnetseg.engine.build import build_network
from mxnetseg.engine.record import Record
from mxnetseg.engine.rundir import STATE
from mxnetseg.engine.stop import Interrupted
from mxnetseg.engine.trainer import train
from mxnetseg.errors import MXNetSegError
from tests.engine import tiny

__all__ = [
    "GROWN",
    "TWO",
    "VARIANTS",
    "WORK",
    "begin",
    "called",
    "go_on",
    "main",
    "prepare",
    "same",
    "trained",
    "uneven",
    "variant",
    "variants",
    "without_dropout",
]

TWO = [mx.cpu(0), mx.cpu(1)]
# of a process: how it is one of many, and what it does; a folder follows
WORK = """
import sys
from mxnetseg import dist
with dist.join("%s") as role:  # before MXNet is imported
    from tests.engine import shared
    shared.%s(role, *sys.argv[1:])
"""

# five steps, of which the second begins another epoch
EXACT = [
    "train={iterations: 5, batch_size: 2, accumulate: 2, workers: 0, val_every: 2, ema: 0.9, static: true}",
    "model.aux=true",
    "optimizer={name: sgd, lr: 0.01, momentum: 0.9, clip_norm: 1.0}",
    "loss=[{name: ohem, min_kept: 100}, {name: ce, weight: 0.5, class_weights: [1, 2, 0.3, 1, 1, 1, 1, 4, 1, 1]}]",
]
VARIANTS = {
    "adamw_gn": ["optimizer={name: adamw, lr: 0.003, backbone_lr: 0.1}", "train.static=false", "model.norm=gn"],
    "rare_classes_swa": [
        "data.rare_class={temperature: 0.3}",
        "data.augment.mix={name: copypaste, chance: 0.7, classes: [car, person]}",
        "optimizer={name: nag, lr: 0.01, layer_decay: {rate: 0.7, layers: 4}}",
        "train.swa=0.5",
    ],
    "frozen_dice": [
        "model.freeze=[^backbone]",
        "model.unfreeze_at=3",
        "loss=[{name: dice, classes: present}]",
        "train.checkpoint=true",
    ],
    "distilled_boundary": ["distill={teacher: teacher.params, temperature: 2}", "loss=[{name: boundary}]"],
    "epoch": ["train.epochs=1", "train.accumulate=1"],
}

# nothing that depends on how many images a process has, as batch norm and hard examples do
GROWN = ["train.batch_size=4", "model.norm=gn", "loss=[{name: ce}]"]


def without_dropout(patch=setattr):
    """Its masks differ by process."""
    patch(mx.gluon.nn.Dropout, "hybrid_forward", lambda block, F, x: x)


def trained(name, contexts, joined=None, resume=False, stop=None, changes=(), on_step=None):
    """Train in the folder's `name`, or go on there; `stop`: ask to stop after that iteration."""
    recipe = override_recipe(load_recipe("recipe.yaml", [*EXACT, "model.init=init.params"]), changes)
    where = {"resume": name} if resume else {"run_dir": name, "weights_dir": f"weights_{name}"}
    return train(recipe, contexts, progress=False, peers=joined, on_step=stop_after(stop) if stop else on_step, **where)


def stop_after(iteration):
    return lambda event: event.iteration == iteration and os.kill(os.getpid(), signal.SIGTERM)


def prepare(folder):
    """Data, recipe, initial weights, and a run that one process has begun, in the folder that is the current one."""
    tiny.register()
    tiny.draw(folder / "streets")
    (folder / "recipe.yaml").write_text(tiny.RECIPE % (folder / "streets"))
    net = build_network(load_recipe("recipe.yaml", EXACT), 10, [mx.cpu()])
    checkpoint.write("init.params", checkpoint.weights(net), Record())
    with contextlib.suppress(Interrupted):
        trained("begun_by_one", TWO, stop=2)


def same(one, other, **within):
    """Assert that two runs have ended alike: to the bit, or `within` tolerances."""
    one, other = (checkpoint.read(Path(name) / STATE) for name in (one, other))
    assert one.arrays.keys() == other.arrays.keys()
    for name, array in one.arrays.items():
        np.testing.assert_allclose(array, other.arrays[name], err_msg=name, **(within or {"rtol": 0}))
    ours, theirs = one.record.state, other.record.state
    assert ours.iteration == theirs.iteration
    assert within or (ours.best, ours.scored) == (theirs.best, theirs.scored)
    assert ours.scored.pa is not None


def main(role, folder):
    tiny.register()
    without_dropout()
    os.chdir(folder)
    contexts = [mx.cpu()]
    with peers.join(role, contexts) as joined:
        odd = joined.rank == 1
        forgetful(odd)
        trained("whole", contexts, joined)
        try:
            trained("stopped", contexts, joined, stop=3 if odd else None)
        except Interrupted as stop:
            print(f"rank {joined.rank} ended: {stop}", flush=True)
        trained("begun_by_one", contexts, joined, resume=True)
        spoil(odd)
        try:
            trained("spoilt", contexts, joined)
        except MXNetSegError as err:
            print(f"rank {joined.rank} ended: {err}", flush=True)
    assert odd or Path("spoilt/recipe.yaml").exists()


def variants(role, folder):
    """Train each in the folder's `NAME_SIZE`."""
    tiny.register()
    without_dropout()
    os.chdir(folder)
    with peers.join(role, [mx.cpu()]) as joined:
        for name in VARIANTS:
            variant(name, joined.size, [mx.cpu()], joined)


def uneven(role, folder):
    """Train in `uneven`; the second process has two contexts."""
    tiny.register()
    without_dropout()
    os.chdir(folder)
    contexts = [mx.cpu(i) for i in range(1 + role.rank)]
    with peers.join(role, contexts) as joined:
        trained("uneven", contexts, joined, changes=["train.batch_size=4"])


def begin(role, folder):
    """Train in `grown` until the second iteration."""
    _grown(role, folder, stop=2)


def go_on(role, folder):
    """Go on there."""
    _grown(role, folder, resume=True)


def _grown(role, folder, **how):
    tiny.register()
    without_dropout()
    os.chdir(folder)
    with peers.join(role, [mx.cpu()]) as joined, contextlib.suppress(Interrupted):
        trained("grown", [mx.cpu()], joined, changes=GROWN, **how)


def called(role, folder):
    """A callback of rank 1 ends a run, in `asked`, and raises, in `raised`."""
    tiny.register()
    without_dropout()
    os.chdir(folder)
    with peers.join(role, [mx.cpu()]) as joined:

        def ask(event):
            if joined.rank == 1 and event.iteration == 2:
                event.stop("enough")

        def fail(event):
            if joined.rank == 1 and event.iteration == 2:
                raise ZeroDivisionError("mine")

        for name, on_step in (("asked", ask), ("raised", fail)):
            try:
                why = trained(name, [mx.cpu()], joined, on_step=on_step).stopped
            except ZeroDivisionError as err:
                why = f"raised {err}"
            print(f"rank {joined.rank} {name}: {why}", flush=True)


def variant(name, size, contexts, joined=None):
    """Two images a process or context and step; one in an epoch, for there are four."""
    share = 1 if name == "epoch" else 2
    where = f"{name}_{size}" + ("" if joined else "_here")
    trained(where, contexts, joined, changes=[*VARIANTS[name], f"train.batch_size={share * size}"])


def forgetful(odd):
    """Other initial weights: those of rank 0 count."""
    build = learners.build_network

    def built(*args, **kwargs):
        net = build(*args, **kwargs)
        for parameter in net.collect_params().values():
            if odd:
                parameter.set_data(parameter.data() + 1)
        return net

    learners.build_network = built


def spoil(odd):
    """A loss that is not a number in the third step."""
    total, calls = step.total_loss, []

    def spoilt(*args):
        calls.append(1)
        return total(*args) * (float("nan") if odd and len(calls) == 5 else 1)

    step.total_loss = spoilt
