"""Who works when."""

import threading
import time

from mxnetseg.serve.shifts import Shifts


def at_once(shifts, moments):
    """Start a network and two helpers while the network works; what they did, in order."""
    said, begun, go = [], threading.Event(), threading.Event()

    def network():
        with shifts.network():
            begun.set()
            go.wait(20)
            said.append("network ends")

    def helper():
        with shifts.helper():
            said.append("helper")
            time.sleep(0.05)

    first = threading.Thread(target=network)
    first.start()
    assert begun.wait(20)
    others = [threading.Thread(target=helper) for _ in range(2)]
    for one in others:
        one.start()
    time.sleep(moments)
    go.set()
    for one in (first, *others):
        one.join(20)
    with shifts.network():
        said.append("next")
    return said


def test_helpers_wait_for_the_network_and_go_before_its_next_turn():
    assert at_once(Shifts(True, 20.0), 0.1) == ["network ends", "helper", "helper", "next"]


def test_helpers_wait_for_no_gpu_and_no_network_that_is_stuck():
    for shifts in (Shifts(False, 20.0), Shifts(True, 0.01)):
        assert at_once(shifts, 0.3) == ["helper", "helper", "network ends", "next"]
