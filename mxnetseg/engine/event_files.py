"""TensorBoard's event files of a run that goes on."""

import struct
from pathlib import Path
from typing import Iterator, Tuple

from ..saving import explained, write_file
from .state import RunState

__all__ = ["keep_until", "records"]

HEAD, TAIL = struct.Struct("<QI"), 4  # length and its checksum; the checksum of the content


def keep_until(file: Path, state: RunState) -> None:
    """Cut off what was written after `state`, and a last record that is not whole; a file without any is removed.

    The records of a run are in the order of its steps, and a validation comes last at its own.
    """
    from tensorboardX.proto.event_pb2 import Event

    with explained(file, "read"):
        content = file.read_bytes()
    end, any_left = 0, False
    for event_end, data in records(content):
        event = Event.FromString(data)
        again = state.unscored and any(value.tag.startswith("val") for value in event.summary.value)
        if event.step > state.iteration or (again and event.step == state.iteration):
            break
        end, any_left = event_end, any_left or bool(event.summary.value)
    if not any_left:
        with explained(file):
            file.unlink()
    elif end < len(content):
        write_file(file, content[:end])


def records(content: bytes) -> Iterator[Tuple[int, bytes]]:
    """Where each whole record of a file ends, and what is in it."""
    start = 0
    while start + HEAD.size <= len(content):
        length, _ = HEAD.unpack_from(content, start)
        begin, end = start + HEAD.size, start + HEAD.size + length + TAIL
        if end > len(content):
            return
        yield end, content[begin : end - TAIL]
        start = end
