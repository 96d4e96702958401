"""What each process of `test_peers` does. Rank 1 is the one that is odd."""

import os
import signal
from pathlib import Path

import mxnet as mx

from mxnetseg.config import load_recipe
from mxnetseg.engine import peers, start, step
from mxnetseg.engine.stop import Interrupted
from mxnetseg.engine.trainer import train
from mxnetseg.errors import MXNetSegError
from tests.engine import tiny

__all__ = ["EXACT", "main", "stop_after", "trained", "variant", "without_dropout"]

# five steps, of which the second begins another epoch
EXACT = [
    "train={iterations: 5, batch_size: 2, accumulate: 2, workers: 0, val_every: 2, ema: 0.9, static: true}",
    "model.aux=true",
    "optimizer={name: sgd, lr: 0.01, momentum: 0.9, clip_norm: 1.0}",
    "loss=[{name: ohem, min_kept: 100}, {name: ce, weight: 0.5, class_weights: [1, 2, 0.3, 1, 1, 1, 1, 4, 1, 1]}]",
]


def without_dropout(patch=setattr):
    """Its masks differ by process."""
    patch(mx.gluon.nn.Dropout, "hybrid_forward", lambda block, F, x: x)


def trained(name, contexts, joined=None, resume=False, stop=None, changes=EXACT):
    """Train in the folder's `name`, or go on there; `stop`: ask to stop after that iteration."""
    recipe = load_recipe("recipe.yaml", [*changes, "model.init=init.params"])
    where = {"resume": name} if resume else {"run_dir": name, "weights_dir": f"weights_{name}"}
    return train(recipe, contexts, progress=False, peers=joined, on_step=stop and stop_after(stop), **where)


def stop_after(iteration):
    return lambda event: event.iteration == iteration and os.kill(os.getpid(), signal.SIGTERM)


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


def variant(role, folder, name, *changes):
    """Train in the folder's `name`."""
    tiny.register()
    without_dropout()
    os.chdir(folder)
    with peers.join(role, [mx.cpu()]) as joined:
        trained(name, [mx.cpu()], joined, changes=[*EXACT, *changes])


def forgetful(odd):
    """Other initial weights: those of rank 0 count."""
    build = start.build_network

    def built(*args, **kwargs):
        net = build(*args, **kwargs)
        for parameter in net.collect_params().values():
            if odd:
                parameter.set_data(parameter.data() + 1)
        return net

    start.build_network = built


def spoil(odd):
    """A loss that is not a number in the third step."""
    total, calls = step.total_loss, []

    def spoilt(*args):
        calls.append(1)
        return total(*args) * (float("nan") if odd and len(calls) == 5 else 1)

    step.total_loss = spoilt
