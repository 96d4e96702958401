"""Results without a network: class maps that are right here and wrong there, and how sure one was of them."""

import numpy as np

from mxnetseg.report.pictures import draw
from mxnetseg.report.results import Results
from mxnetseg.report.tally import Tally

PALETTE = [(200, 60, 60), (60, 160, 90), (70, 90, 200)]


def maps(rng, shape=(24, 32), classes=3, ignored=0.1, wrong=0.25):
    """Truth with regions and ignored pixels, a prediction that differs in blocks, and confidences."""
    blocks = rng.randint(0, classes, (shape[0] // 8 + 1, shape[1] // 8 + 1))
    truth = np.kron(blocks, np.ones((8, 8)))[: shape[0], : shape[1]].astype(np.uint8)
    prediction = truth.copy()
    for _ in range(6):
        top, left = rng.randint(0, shape[0] - 4), rng.randint(0, shape[1] - 4)
        prediction[top : top + 4, left : left + 4] = rng.randint(0, classes)
    spots = rng.rand(*shape) < wrong / 5
    prediction[spots] = rng.randint(0, classes, spots.sum())
    truth[rng.rand(*shape) < ignored] = 255
    return truth, prediction, rng.uniform(1 / classes, 1, shape).astype(np.float32)


def results(seed=0, images=6, names=None, classes=("grass", "path", "pond"), pictures=True, worse=0.0):
    """`Results` of drawn maps; `worse` of the predictions become class 0."""
    rng, spoiling = np.random.RandomState(seed), np.random.RandomState(seed + 1)
    tally, drawn = Tally(len(classes)), {}
    for number in range(images):
        truth, prediction, confidence = maps(rng, classes=len(classes))
        prediction[spoiling.rand(*prediction.shape) < worse] = 0
        tally.update(truth, prediction, confidence)
        if pictures:
            image = rng.randint(0, 256, (*truth.shape, 3)).astype(np.uint8)
            drawn[number] = draw(image, truth, prediction, confidence, PALETTE)
    names = names or [f"image_{number}" for number in range(images)]
    about = {"checkpoint": "a.params", "data": "garden", "split": "val", "digest": "0" * 64, "eval": {}}
    palette = (PALETTE * (len(classes) // 3 + 1))[: len(classes)]
    return Results(names, list(classes), palette, about, tally.arrays(), drawn)
