"""How time grows with the work: sizes, batches and threads, of an optimized network against OpenVINO and ONNX Runtime.

python -m tools.bench.growth                     # the table
python -m tools.bench.growth --plot FILE.png     # and a plot of it
"""

import argparse
import sys
from pathlib import Path
from typing import Any, Dict, List

from . import machine
from .contenders import select
from .report import median, number, table
from .rounds import Case, Pythons, measure

NETWORK = "bisenet_resnet18"
SIDES, BATCHES, THREADS = (256, 512, 1024, 2048), (1, 4, 16), (1, 2)
MOST = 4 * 1024 * 1024  # pixels of a batch
NAMES = ("MXNetSeg f32", "OpenVINO f32", "ONNX Runtime f32")
COLOURS = {"MXNetSeg f32": "#1f6feb", "OpenVINO f32": "#22863a", "ONNX Runtime f32": "#7d56c2"}
PEERS = Path(__file__).resolve().parents[2] / ".venv-peers" / "bin" / "python"


def cases(most: int) -> List[Case]:
    return [
        Case(NETWORK, (side, side), batch=batch) for side in SIDES for batch in BATCHES if side * side * batch <= most
    ]


def timed(peers: str, rounds: int, most: int) -> List[Dict[str, Any]]:
    """{"case", "threads", "seconds" by contender} for each."""
    from tqdm import tqdm

    contenders = select("inference", ("float32",), NAMES)
    results = []
    for threads in THREADS:
        cores = machine.physical_cores(threads)
        for case in tqdm(cases(most), desc=f"{threads} threads", unit="case", dynamic_ncols=True):
            found = measure(case, contenders, Pythons(sys.executable, peers), cores, rounds, 0.2, lambda text: None)
            results.append({"case": case, "threads": threads, "seconds": {n: median(found[n]) for n in NAMES}})
    return results


def rows(results: List[Dict[str, Any]]) -> List[List[str]]:
    lines = []
    for one in results:
        case, seconds = one["case"], one["seconds"]
        best = min((seconds[name] for name in NAMES[1:] if seconds[name]), default=None)
        times = [number(seconds[name] and 1e3 * seconds[name], 1) for name in NAMES]
        ratio = number(seconds[NAMES[0]] / best, 2) if best and seconds[NAMES[0]] else ""
        lines.append([f"{one['threads']}", f"{case.batch}", f"{case.size[0]}x{case.size[1]}", *times, ratio])
    return lines


def draw(results: List[Dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(THREADS), figsize=(9, 3.6), sharey=True)
    for threads, ax in zip(THREADS, axes):
        for name in NAMES:
            points = [
                (one["case"].batch * one["case"].size[0] * one["case"].size[1] / 1e6, one["seconds"][name])
                for one in results
                if one["threads"] == threads and one["seconds"][name]
            ]
            ax.loglog(*zip(*sorted(points)), "o-", label=name, color=COLOURS[name], markersize=4, linewidth=1)
        ax.set_title(f"{threads} thread{'s' if threads > 1 else ''}")
        ax.set_xlabel("million pixels of a batch")
        ax.grid(True, which="both", linewidth=0.3)
    axes[0].set_ylabel("seconds")
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-python", default=str(PEERS), metavar="PATH", help="a Python that has the peers")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most", type=int, default=MOST, metavar="PIXELS", help="of a batch")
    parser.add_argument("--plot", metavar="FILE", help="a PNG to be written")
    args = parser.parse_args()
    results = timed(args.peers_python, args.rounds, args.most)
    if args.plot:
        draw(results, Path(args.plot))
    print(f"{NETWORK}, float32, medians of {args.rounds} rounds; the ratio is to the faster peer's time:\n")
    headers = ["threads", "batch", "size", *(f"{name}, ms" for name in NAMES), "MXNetSeg / faster peer"]
    print(table(headers, rows(results)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
