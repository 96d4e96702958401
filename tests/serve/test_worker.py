"""The worker: who goes together with whom, and who is left out."""

import threading
import time

import numpy as np

from mxnetseg.serve.worker import Prediction, Worker, predict_together

SMALL, LARGE = np.zeros((4, 4, 3), np.uint8), np.zeros((8, 4, 3), np.uint8)


class Log:
    """Predicts nothing, remembers the batches, and waits before the first until it may go on."""

    def __init__(self, **options):
        self.batches, self.go, self.begun = [], threading.Event(), threading.Event()
        self.worker = Worker(self, lambda: None, **options)
        self.worker.start()

    def __call__(self, images, confident):
        self.begun.set()
        assert self.go.wait(20)
        self.batches.append((len(images), images[0].shape[0], confident))
        return [Prediction(image[..., 0], None) for image in images]


def test_those_of_one_size_that_wait_go_together():
    log = Log(batch=3)
    first = log.worker.submit(LARGE, False, 20)
    assert log.begun.wait(20)
    rest = [log.worker.submit(image, False, 20) for image in (SMALL, LARGE, SMALL, SMALL, SMALL)]
    rest += [log.worker.submit(SMALL, True, 20) for _ in range(2)]  # which takes memory: one by one
    given_up, late = log.worker.submit(SMALL, False, 20), log.worker.submit(SMALL, False, 0.0)
    assert given_up.cancel()
    assert log.worker.waiting() == 9
    log.go.set()
    log.worker.stop()  # it finishes what waits
    assert log.batches == [(1, 8, False), (3, 4, False), (1, 8, False), (1, 4, False), (1, 4, True), (1, 4, True)]
    assert all(future.done() for future in (first, *rest)) and not late.done()


def test_large_ones_do_not_go_together():
    log = Log(batch=8, pixels=50)
    log.worker.submit(SMALL, False, 20)
    assert log.begun.wait(20)
    for image in (SMALL, SMALL, SMALL, SMALL, LARGE, LARGE):
        log.worker.submit(image, False, 20)
    log.go.set()
    log.worker.stop()
    assert log.batches == [(1, 4, False), (3, 4, False), (1, 4, False), (1, 8, False), (1, 8, False)]


def test_it_waits_for_others_of_its_size():
    log = Log(batch=2, wait=20.0)
    log.go.set()
    started = time.monotonic()
    log.worker.submit(SMALL, False, 20)
    time.sleep(0.05)
    second = log.worker.submit(SMALL, False, 20)
    second.result(timeout=10)
    assert log.batches == [(2, 4, False)] and time.monotonic() - started < 10
    log.worker.submit(SMALL, False, 20)
    log.worker.stop()
    assert len(log.batches) == 2


def test_a_batch_says_what_each_picture_says_alone(predictor, image):
    images = [image, image[:, ::-1], image[::-1]]
    together = predict_together(predictor, images, True)
    for one, prediction in zip(images, together):
        np.testing.assert_array_equal(prediction.class_map, predictor(one))
        np.testing.assert_allclose(prediction.confidence, predictor.confidence(one), atol=1e-5)
    assert predict_together(predictor, images[:1], False)[0].confidence is None


def test_what_is_wanted_with_its_confidence_is_computed_once():
    class Counting:
        runs = 0

        def certain(self, batch):
            self.runs += 1
            found = np.moveaxis(np.stack([batch[..., 0], 255 - batch[..., 0]]) / np.float32(255), 0, 1)
            return found.argmax(1).astype(np.uint8), found

    counting = Counting()
    image = np.zeros((2, 3, 3), np.uint8)
    image[0] = 204
    (one,) = predict_together(counting, [image], True)  # class 0 in the upper row alone
    assert counting.runs == 1
    np.testing.assert_array_equal(one.class_map, [[0] * 3, [1] * 3])
    np.testing.assert_allclose(one.confidence, [[0.8] * 3, [1.0] * 3], atol=1e-6)
