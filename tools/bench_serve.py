"""Load `mxnetseg serve`, compare every answer, and measure what comes of it.

    python -m tools.bench_serve --minutes 10 --write       # the tables of docs/serve.md: about 35 minutes
    python -m tools.bench_serve --minutes 0.2              # does it run?

Clients ask without a pause, each over one connection. Throughput is compared with the Predictor's own loop over the
same bytes (read, predicted, encoded), measured before the server starts, and once more after its end. Then come clients
that stop while they send, 1000 hostile bodies, and SIGTERM while requests are sent. Figures appear as they come. Exit
status 1: an answer was wrong, or something was not as docs/serve.md says.
"""

import argparse
import collections
import http.client
import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO, Callable, Counter, Dict, List, NamedTuple, Optional, Tuple, TypeVar

import cv2
import numpy as np

import mxnetseg
from mxnetseg import visual
from mxnetseg.data.streets import draw_streets
from mxnetseg.finding import find_checkpoint

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "serve.md"
CHECKPOINT = "swiftnet_efficientnet_lite0_camvid.params"
PICTURES = 8
GROWTH = 50  # MB that a server's memory may grow by
SHARE = 0.9  # of the loop's throughput
MINUTE, LOOP = 60.0, 10.0  # seconds of load, and of the loop between
HALTED = 5.0  # seconds in which what a client left behind is gone
Some = TypeVar("Some")
BATCH, SIDES = 8, (64, 128, 256, 512)


class Asked(NamedTuple):
    """What clients saw."""

    statuses: Counter[str]
    wrong: int
    seconds: List[float]


class Part(NamedTuple):
    """What all clients of some seconds saw, and the server's memory, MB."""

    statuses: Counter[str]
    wrong: int
    rate: float
    times: List[float]
    memory: List[float]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m tools.bench_serve",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--checkpoint", default=CHECKPOINT, metavar="FILE")
    made.add_argument("--minutes", type=float, default=10.0, help="for each number of clients (10)")
    made.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64], metavar="N")
    made.add_argument("--size", type=int, nargs=2, default=[360, 480], metavar="N", help="height and width (360 480)")
    made.add_argument("--hostile", type=int, default=1000, metavar="N", help="bodies that are damaged (1000)")
    made.add_argument("--dtype", metavar="TYPE", help="of the server and of the loop")
    made.add_argument("--no-batches", action="store_true", help="leave out what batches gain")
    made.add_argument("--json", metavar="FILE", help="write all numbers there")
    made.add_argument("--write", action="store_true", help="write the tables to docs/serve.md")
    return made


def main() -> int:
    args = parser().parse_args()
    path = find_checkpoint(args.checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        bodies = pictures(Path(folder), tuple(args.size))
        predictor = mxnetseg.Predictor(path, "cpu", dtype=args.dtype)
        expected = [visual.png(predictor(predictor.read(body))) for body in bodies]
        server = Server(path, Path(folder) / "empty", args.dtype)
        try:
            rows = [
                told(f"{count} clients", in_turn, predictor, server, bodies, expected, count, 60 * args.minutes)
                for count in args.clients
            ]
            stopped = told("clients that stop", stop_halfway, server, bodies, 2 * max(args.clients))
            refused = told("hostile bodies", hostile, server, bodies, args.hostile)
            rows[-1]["after"] = load(server, bodies, expected, 1, 1.0).wrong
            ended = told("SIGTERM", drain, server, bodies, expected)
        finally:
            server.process.kill()
        batches = [] if args.no_batches else [told(f"batches of {side}", batch_row, predictor, side) for side in SIDES]
    found = dict(
        size=args.size,
        rows=rows,
        stopped=stopped,
        hostile=dict(refused),
        exit=ended,
        batches=batches,
    )
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    text = tables(found, args)
    print(text)
    if args.write:
        page = PAGE.read_text(encoding="utf-8")
        marks = re.compile(r"(?<=<!-- figures -->\n).*(?=<!-- end of figures -->)", re.DOTALL)
        PAGE.write_text(marks.sub(lambda _: text + "\n", page), encoding="utf-8")
    problems = faults(found)
    print(*(problems or ["all is as it should be"]), sep="\n", file=sys.stderr)
    return 1 if problems else 0


def told(what: str, function: Callable[..., Some], *args: Any) -> Some:
    """What a function gives, with a line before and after."""
    print(f"{time.strftime('%H:%M:%S')} {what} ...", file=sys.stderr, flush=True)
    result = function(*args)
    print(f"         {result}", file=sys.stderr, flush=True)
    return result


def pictures(folder: Path, size: Any) -> List[bytes]:
    """Drawn scenes, as JPEG files."""
    draw_streets(folder, {"val": PICTURES}, size, seed=3, progress=False)
    images = [cv2.imread(str(path)) for path in sorted((folder / "images" / "val").glob("*.png"))]
    return [cv2.imencode(".jpg", image)[1].tobytes() for image in images]


def loop(predictor: Any, bodies: List[bytes], seconds: float) -> float:
    """Pictures a second that the Predictor alone reads, predicts and encodes."""
    started, count = time.monotonic(), 0
    while time.monotonic() < started + seconds:
        visual.png(predictor(predictor.read(bodies[count % len(bodies)])))
        count += 1
    return count / (time.monotonic() - started)


class Server:
    """`mxnetseg serve` in an empty folder."""

    def __init__(self, checkpoint: Path, folder: Path, dtype: Optional[str]):
        folder.mkdir()
        self.folder = folder
        command = [sys.executable, "-m", "mxnetseg", "serve", "--checkpoint", str(checkpoint.resolve()), "--port", "0"]
        command += ["--ctx", "cpu", *(["--dtype", dtype] if dtype else [])]
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r":(\d+)$", line.strip())
        if not found:
            raise SystemExit(f"the server did not start: {line}")
        self.port = int(found[1])
        while self.ask("GET", "/healthz").status != 200:
            if self.process.poll() is not None:
                raise SystemExit(f"the server ended with {self.process.returncode}")
            time.sleep(0.1)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def ask(self, method: str, path: str) -> http.client.HTTPResponse:
        while True:
            try:
                connection = self.connect()
                connection.request(method, path)
                return connection.getresponse()
            except ConnectionRefusedError:  # it is bound, but doesn't listen yet
                if self.process.poll() is not None:
                    raise SystemExit(f"the server ended with {self.process.returncode}") from None
                time.sleep(0.1)

    def memory(self) -> float:
        """Megabytes that it has in memory."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii", errors="replace")
        return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) / 1024

    def open(self) -> Tuple[socket.socket, BinaryIO]:
        """A connection, and what is read from it."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=120)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, connection.makefile("rb")

    def send(self, part: bytes, length: int) -> socket.socket:
        """A connection on which a part of a request was sent."""
        connection, _ = self.open()
        connection.sendall(head_of(length) + part)
        return connection

    def in_progress(self) -> int:
        """Requests for predictions that are being answered, or wait."""
        text = self.ask("GET", "/metrics").read().decode()
        return int(float(re.findall(r"^mxnetseg_in_progress (\S+)", text, re.MULTILINE)[0]))


def head_of(length: int) -> bytes:
    """The head of a request with so many bytes."""
    return b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % length


def answer_of(reader: BinaryIO) -> Tuple[str, bytes]:
    """Status and body of an answer, or ValueError; http.client would take more time from the server."""
    first, *lines = iter(lambda: reader.readline().strip().lower(), b"")
    lengths = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
    content = reader.read(lengths[0]) if lengths else b""
    if not lengths or len(content) < lengths[0]:
        raise ValueError("cut off")
    return first.split()[1].decode(), content


def in_turn(
    predictor: Any, server: Server, bodies: List[bytes], expected: List[bytes], count: int, seconds: float
) -> Dict[str, Any]:
    """What clients see in minutes of load, and the loop alone between them: machines have faster and slower minutes."""
    alone, parts = [loop(predictor, bodies, LOOP)], []
    for _ in range(max(1, round(seconds / MINUTE))):
        parts.append(load(server, bodies, expected, count, min(seconds, MINUTE)))
        alone.append(loop(predictor, bodies, LOOP))
    times = np.concatenate([part.times for part in parts])
    memory = np.concatenate([part.memory for part in parts])
    return dict(
        clients=count,
        statuses=dict(sum((part.statuses for part in parts), collections.Counter())),
        wrong=sum(part.wrong for part in parts),
        rate=statistics.median(part.rate for part in parts),
        loop=statistics.median(alone),
        share=statistics.median(2 * part.rate / (alone[i] + alone[i + 1]) for i, part in enumerate(parts)),
        p50=float(np.percentile(times, 50)),
        p99=float(np.percentile(times, 99)),
        memory=[float(memory[0]), float(memory.max()), float(memory[-1])],
    )


def load(server: Server, bodies: List[bytes], expected: List[bytes], count: int, seconds: float) -> Part:
    """What a number of clients see in some seconds."""
    seen = [Asked(collections.Counter(), 0, []) for _ in range(count)]
    until = time.monotonic() + seconds

    def client(number: int) -> None:
        chance = random.Random(number)
        connection, reader = server.open()
        while time.monotonic() < until:
            which = chance.randrange(len(bodies))
            started = time.monotonic()
            try:
                connection.sendall(head_of(len(bodies[which])) + bodies[which])
                status, content = answer_of(reader)
            except (OSError, ValueError) as err:
                content, status = b"", type(err).__name__
                connection.close()
                connection, reader = server.open()
            one = seen[number]
            one.statuses[status] += 1
            one.seconds.append(time.monotonic() - started)
            if status == "200" and content != expected[which]:
                seen[number] = one._replace(wrong=one.wrong + 1)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(count)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    time.sleep(min(30.0, seconds / 4))  # the memory that so many requests at a time take is there by then
    memory = [server.memory()]
    while any(thread.is_alive() for thread in threads):
        threads[0].join(min(1.0, seconds / 10))
        memory.append(server.memory())
    took = time.monotonic() - started
    statuses = sum((one.statuses for one in seen), collections.Counter())
    times = [each for one in seen for each in one.seconds]
    return Part(statuses, sum(one.wrong for one in seen), statuses["200"] / took, times, memory)


def stop_halfway(server: Server, bodies: List[bytes], count: int) -> int:
    """What is still held of so many clients, a while after they closed their connections half way through a body."""
    for number in range(count):
        body = bodies[number % len(bodies)]
        server.send(body[: len(body) // 2], len(body)).close()
    until = time.monotonic() + HALTED
    while server.in_progress() and time.monotonic() < until:
        time.sleep(0.1)
    return server.in_progress()


def drain(server: Server, bodies: List[bytes], expected: List[bytes]) -> Dict[str, Any]:
    """How the server ends after SIGTERM: its exit status, answers that are not right to requests which had begun, and
    what it has left in its folder."""
    begun = [server.send(body[: len(body) // 2], len(body)) for body in bodies]
    while server.in_progress() < len(bodies):
        time.sleep(0.1)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    lost = 0
    for connection, body in zip(begun, bodies):
        connection.sendall(body[len(body) // 2 :])
    for connection, right in zip(begun, expected):
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        lost += answer.read() != right
        connection.close()
    status = server.process.wait(timeout=120)
    return dict(status=status, lost=lost, files=sorted(path.name for path in server.folder.iterdir()))


def hostile(server: Server, bodies: List[bytes], count: int) -> Counter[str]:
    """Statuses of answers to damaged bodies: those of the tests, and pictures with bits that are turned over."""
    from tests.data.hostile import cases

    made, chance = [case.data for case in cases().values()], random.Random(0)
    while len(made) < count:
        changed = bytearray(chance.choice(bodies))
        for _ in range(chance.randint(1, 20)):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        made.append(bytes(changed[: chance.randrange(len(changed))]) if chance.random() < 0.3 else bytes(changed))
    statuses: Counter[str] = collections.Counter()
    for body in made[:count]:
        connection = server.connect()
        try:
            connection.request("POST", "/predict", body, {"Content-Type": "application/octet-stream"})
            status = str(connection.getresponse().status)
        except (OSError, http.client.HTTPException) as err:
            status = type(err).__name__
        statuses[status] += 1
        connection.close()
    return statuses


def batch_row(predictor: Any, side: int) -> Dict[str, Any]:
    """Seconds for pictures one by one, and at once; each the best of five rounds."""
    images = np.random.RandomState(0).randint(0, 256, (BATCH, side, side, 3), np.uint8)
    ways = {"alone": lambda: [predictor(image) for image in images], "together": lambda: predictor(images)}
    best = dict.fromkeys(ways, float("inf"))
    for turn in range(6):
        for name, work in ways.items():
            started = time.perf_counter()
            work()
            if turn:  # the first one traces
                best[name] = min(best[name], time.perf_counter() - started)
    return dict(side=side, **best)


def faults(found: Dict[str, Any]) -> List[str]:
    """What is not as the page says."""
    problems = []
    for row in found["rows"]:
        who = f"{row['clients']} clients"
        if row["wrong"] or row.get("after"):
            problems.append(f"{who}: {row['wrong']} wrong answers, {row.get('after', 0)} after the hostile bodies")
        others = set(row["statuses"]) - {"200", "503", "504"}
        if others:
            problems.append(f"{who}: {', '.join(sorted(others))}")
        if row["memory"][-1] - row["memory"][0] > GROWTH:
            problems.append(f"{who}: memory grew from {row['memory'][0]:.0f} to {row['memory'][-1]:.0f} MB")
        if row["clients"] > 1 and row["share"] < SHARE:
            problems.append(f"{who}: {row['share']:.2f} of the loop's throughput")
    if set(found["hostile"]) - {"200", "413", "415", "422"}:
        problems.append(f"hostile bodies: {found['hostile']}")
    if found["stopped"]:
        problems.append(f"{found['stopped']} requests are held whose clients have gone")
    if found["exit"] != dict(status=0, lost=0, files=[]):
        problems.append(f"the end: {found['exit']}")
    return problems


def tables(found: Dict[str, Any], args: argparse.Namespace) -> str:
    """As they stand in docs/serve.md."""
    high, wide = args.size
    cores = len(os.sched_getaffinity(0))
    lines = [
        f"{args.checkpoint.split('_2026')[0]}, {args.dtype or 'as trained'}, JPEGs of {wide}x{high} pixels, {cores} "
        f"processors that clients and server share, {args.minutes:g} min each. After every minute the Predictor's "
        "own loop has its turn, which reads the same bytes and encodes the same answers; medians.",
        "",
        "| clients | answers | wrong | 503, 504 | a second | the loop, a second | of the loop "
        "| p50, ms | p99, ms | memory, MB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in found["rows"]:
        busy = row["statuses"].get("503", 0) + row["statuses"].get("504", 0)
        lines.append(
            f"| {row['clients']} | {sum(row['statuses'].values())} | {row['wrong']} | {busy} | {row['rate']:.1f} | "
            f"{row['loop']:.1f} | {row['share']:.2f} | {1000 * row['p50']:.0f} | {1000 * row['p99']:.0f} | "
            f"{row['memory'][0]:.0f} to {row['memory'][-1]:.0f} |"
        )
    said = ", ".join(f"{count} x {status}" for status, count in sorted(found["hostile"].items()))
    lines += ["", f"{sum(found['hostile'].values())} hostile bodies: {said} (200: damage that no checksum tells)."]
    count = 2 * max(args.clients)
    lines += [
        f"{count} clients that stop half way through a body: {found['stopped']} requests are left {HALTED:g} s later.",
        f"SIGTERM while {PICTURES} bodies are sent: {found['exit']['lost']} answers are lost, exit status "
        f"{found['exit']['status']}.",
    ]
    if found["batches"]:
        lines += ["", "| size | one by one, ms | 8 at once, ms | gain |", "| --- | --- | --- | --- |"]
        for row in found["batches"]:
            one, many = (1000 * row[name] / BATCH for name in ("alone", "together"))
            lines.append(f"| {row['side']}x{row['side']} | {one:.1f} | {many:.1f} | {one / many:.2f} |")
        lines += ["", "Milliseconds for each picture, the network alone."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
