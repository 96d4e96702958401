"""Images per second of the training loader, with and without the cache, against Gluon's DataLoader; no training.

    python -m tools.bench.loading --config camvid/bisenet_mobilenet_v2 --set data.root=DIR [--workers 0 1 2]

Every contender reads, augments and batches the same training split, as the recipe says. Gluon's DataLoader is given
the same reading and augmentation as the __getitem__ of a Gluon Dataset. They take turns, each for a number of batches
after some that are not timed; medians of the rounds. The processor time per image is that of one process without
workers; against that of a training step (--step) it says what share of the machine the data need.
"""

import argparse
import statistics
import tempfile
import time

import mxnetseg  # noqa: F401  (sets what MXNet reads when it is imported)

# isort: split
import mxnet as mx
import numpy as np
from tabulate import tabulate

from mxnetseg.config import load_recipe, override_recipe
from mxnetseg.data import Cache, SampleStream, TrainLoader, TrainTransform, normalize, open_dataset
from mxnetseg.data.sampling import Draw, sample_rng


class GluonDataset(mx.gluon.data.Dataset):
    """The same samples, for Gluon's DataLoader."""

    def __init__(self, dataset, transform):
        self.dataset, self.transform = dataset, transform

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        sample = self.dataset.load(index)
        return self.transform(sample.image, sample.label, sample_rng(0, Draw(time.perf_counter_ns(), index)))


def ours(recipe, dataset, workers):
    """Batches without end, and how to close them."""
    stream = SampleStream(len(dataset), recipe.train.batch_size, recipe.train.seed)
    loader = TrainLoader(dataset, TrainTransform(recipe.data), stream, workers)
    return loader, loader.close


def gluon(recipe, dataset, workers):
    loader = mx.gluon.data.DataLoader(
        GluonDataset(dataset, TrainTransform(recipe.data)),
        recipe.train.batch_size,
        shuffle=True,
        last_batch="discard",
        num_workers=workers,
    )

    def batches():
        while True:
            yield from loader

    return batches(), lambda: None


def processor_time(recipe, dataset, images: int) -> float:
    """Milliseconds to read and augment one image."""
    transform = TrainTransform(recipe.data)
    begin = time.process_time()
    for number in range(images):
        draw = Draw(number // len(dataset), number % len(dataset))
        sample = dataset.load(draw.index)
        transform(sample.image, sample.label, sample_rng(0, draw))
    return 1e3 * (time.process_time() - begin) / images


def step_time(recipe, dataset, steps: int = 4) -> float:
    """Milliseconds of processor time that a training step takes per image, all threads together."""
    from mxnetseg.engine.build import build_network
    from mxnetseg.losses import build_loss, total_loss

    context = mx.cpu()
    net = build_network(override_recipe(recipe, ["model.init=random"]), dataset.num_classes, [context])
    criterion = build_loss(recipe.loss, dataset.num_classes)
    criterion.initialize(ctx=context)
    trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 1e-4})
    for block in (net, criterion):
        block.hybridize(static_alloc=True)
    loader, close = ours(recipe, dataset, 0)
    batch = next(loader)
    close()
    images = mx.nd.array(normalize(batch.images, recipe.data.mean, recipe.data.std))
    labels = mx.nd.array(batch.labels, dtype="float32")
    scale = mx.nd.array(np.atleast_1d(1.0 / criterion.normalizer([batch.labels])))
    taken = []
    for _ in range(steps + 1):
        begin = time.process_time()
        with mx.autograd.record():
            loss = total_loss(criterion, net(images), labels, scale, recipe.loss.aux_weight)
        loss.backward()
        trainer.step(1)
        mx.nd.waitall()
        taken.append(1e3 * (time.process_time() - begin) / len(batch.images))
    return statistics.median(taken[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="recipe")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="changes to the recipe")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batches", type=int, default=20, help="batches that are timed in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--step", action="store_true", help="also the processor time of training steps")
    args = parser.parse_args()
    recipe = load_recipe(args.config, args.set)
    plain, cached = (open_dataset(recipe.data, recipe.data.train_split) for _ in range(2))
    with tempfile.TemporaryDirectory() as folder:
        cached.cache = Cache(recipe.data.cache or folder)
        for index in range(len(cached)):
            cached.load(index)
        images = min(len(plain), 64)
        per_image = {name: processor_time(recipe, d, images) for name, d in (("files", plain), ("cache", cached))}
        print("processor time per image, ms: " + ", ".join(f"{k} {v:.1f}" for k, v in per_image.items()))
        if args.step:
            step = step_time(recipe, plain)
            shares = ", ".join(f"{name} {100 * value / step:.1f} %" for name, value in per_image.items())
            print(f"a training step takes {step:.0f} ms per image; reading and augmenting, of that: {shares}")
        rows = []
        for workers in args.workers:
            contenders = {
                "MXNetSeg": ours(recipe, plain, workers),
                "MXNetSeg, cache": ours(recipe, cached, workers),
                "Gluon's DataLoader": gluon(recipe, plain, workers),
            }
            rates = {name: [] for name in contenders}
            for _ in range(args.rounds):
                for name, (batches, _) in contenders.items():
                    rates[name].append(rate(batches, args.batches, recipe.train.batch_size))
            for _, close in contenders.values():
                close()
            rows.append((workers, *(f"{statistics.median(values):.0f}" for values in rates.values())))
    print(tabulate(rows, ("workers", *(f"{name}, images/s" for name in rates)), tablefmt="github"))


def rate(batches, number: int, size: int) -> float:
    """Images per second; what a loader had read ahead while others had their turn is taken first."""
    for _ in range(AHEAD):
        next(batches)
    begin = time.perf_counter()
    for _ in range(number):
        next(batches)
    return number * size / (time.perf_counter() - begin)


AHEAD = 6


if __name__ == "__main__":
    main()
