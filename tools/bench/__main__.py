"""Compare MXNetSeg with PyTorch, ONNX Runtime and OpenVINO on a CPU.

    python -m tools.bench --setup                          # once: a virtual environment for the peers, .venv-peers
    python -m tools.bench --json FILE --write              # everything; docs/performance.md and its plot
    python -m tools.bench --quick                          # does it run? small images, two rounds, nothing written

Each contender runs in a process of its own with the same number of threads on the same cores; all take turns in one
run. Before it is timed, its logits are compared with MXNet's. A contender that fails is left out, its row says why.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".venv-peers" / "bin" / "python"
PAGE, PLOT = ROOT / "docs" / "performance.md", ROOT / "docs" / "images" / "performance.png"
TRAINING = ((256, 256), 2)  # size and batch
EVALUATION, LOADING, GROWTH = "tools.bench.evaluation", "tools.bench.loading", "tools.bench.growth"
# The slim network whole; heavier ones take hours with GluonCV, so they get fewer scales and rounds.
HEAVIER = (
    ["--model", "bisenet", "--backbone", "resnet18", "--scales", "0.5", "1.0", "--rounds", "3"],
    ["--model", "upernet", "--backbone", "moganet_tiny", "--scales", "0.5", "--rounds", "2"],
)
SOME = ["--contenders", "gluoncv", "ours", "deployed", "deployed_whole", "aug_test"]
DTYPES = ("float32", "bfloat16", "int8")


def parser() -> argparse.ArgumentParser:
    from .networks import NETWORKS

    made = argparse.ArgumentParser(
        prog="python -m tools.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--setup",
        nargs="?",
        const=sys.executable,
        metavar="PYTHON",
        help="make the peers' virtual environment, of this Python or another (3.11 or newer), and stop",
    )
    made.add_argument("--peers-python", default=str(PEERS), metavar="PATH", help="a Python that has the peers")
    made.add_argument(
        "--models",
        nargs="+",
        choices=list(NETWORKS),
        default=list(NETWORKS),
        metavar="NAME",
        help=f"of {', '.join(NETWORKS)}; all when left out",
    )
    made.add_argument("--sizes", nargs="+", type=size, metavar="HxW", help="of images, instead of each model's own")
    made.add_argument("--contenders", nargs="+", metavar="TEXT", help="only those whose name contains one of these")
    made.add_argument("--without", nargs="+", default=(), metavar="TEXT", help="not those whose name contains one")
    made.add_argument("--dtypes", nargs="+", choices=DTYPES, help="bfloat16 is left out where there is no AMX")
    made.add_argument("--rounds", type=positive, default=10)
    made.add_argument("--least", type=float, default=0.2, metavar="SECONDS", help="of a contender's turn")
    made.add_argument("--threads", type=positive, help="one per physical core when left out")
    made.add_argument("--no-inference", action="store_true")
    made.add_argument("--no-training", action="store_true")
    made.add_argument("--data-recipe", metavar="FILE", help="also time data loading as this recipe has it")
    made.add_argument("--no-further", action="store_true", help="leave out multi-scale evaluation and data loading")
    made.add_argument("--quick", action="store_true", help="fcn and bisenet on 128x128, two rounds: does it run?")
    made.add_argument("--json", metavar="FILE", help="write all figures there")
    made.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)} and its plot")
    made.add_argument("--page", default=str(PAGE), metavar="FILE", help="another page with the same markers")
    made.add_argument("--plot", default=str(PLOT), metavar="FILE", help="another place for the plot")
    made.add_argument(
        "--from-json",
        nargs="+",
        metavar="FILE",
        help="measure nothing: tables and plot of earlier figures, of several runs together where they were split up",
    )
    return made


def size(text: str):
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, for example 512x512")
    return int(height), int(width)


def positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def main() -> int:
    args = parser().parse_args()
    if args.setup:
        return set_up(args.setup)
    publish(read(args.from_json) if args.from_json else run(args), args)
    return 0


def set_up(python: str) -> int:
    """Make the peers' virtual environment; the exit status of what failed, or 0."""
    requirements = Path(__file__).parent / "requirements.txt"
    for command in (
        [python, "-m", "venv", str(PEERS.parent.parent)],
        [str(PEERS), "-m", "pip", "install", "--disable-pip-version-check", "-r", str(requirements)],
    ):
        print("$", *command, flush=True)
        code = subprocess.call(command)
        if code:
            return code
    return 0


def cases(args):
    """(case, contenders) in the order they run."""
    from .contenders import has_amx, select
    from .networks import NETWORKS
    from .rounds import Case

    dtypes = args.dtypes or [d for d in DTYPES if d != "bfloat16" or has_amx()]
    models, training_size = args.models, TRAINING[0]
    sizes = {name: args.sizes or NETWORKS[name].sizes for name in models}
    if args.quick:
        models = [name for name in models if name in ("fcn_resnet50", "bisenet_resnet18")] or models[:1]
        sizes = {name: args.sizes or [(128, 128)] for name in models}
        training_size = (128, 128)
    chosen = []
    if not args.no_inference:
        chosen += [Case(name, tuple(shape)) for name in models for shape in sizes[name]]
    if not args.no_training:
        chosen += [Case(name, training_size, "training", TRAINING[1]) for name in models if NETWORKS[name].trains]
    return [(case, select(case.task, dtypes, args.contenders, args.without)) for case in chosen]


def run(args) -> dict:
    from tqdm import tqdm

    from . import machine
    from .rounds import Pythons, measure

    peers = args.peers_python if machine.versions(args.peers_python, ()) else None
    if peers is None:
        print(f"no peers: {args.peers_python} does not run; see python -m tools.bench --setup", file=sys.stderr)
    cores = machine.physical_cores(args.threads)
    if args.threads and len(cores) < args.threads:
        raise SystemExit(f"--threads {args.threads}: this process may use {len(cores)} physical cores")
    rounds = 2 if args.quick else args.rounds
    planned = cases(args)
    report = {
        "date": datetime.date.today().isoformat(),
        "quick": args.quick,
        "machine": machine.describe(sys.executable, peers, cores),
        "cases": [],
    }
    steps = sum(1 + len(contenders) * (1 + rounds) for _, contenders in planned)
    with tqdm(total=steps, unit="turn", dynamic_ncols=True) as bar:
        for case, contenders in planned:

            def tick(text, case=case):
                bar.set_description(f"{case.task}, {case.title}: {text}")
                bar.update()

            before = bar.n
            result = measure(case, contenders, Pythons(sys.executable, peers), cores, rounds, args.least, tick)
            bar.update(before + 1 + len(contenders) * (1 + rounds) - bar.n)  # turns of those that failed
            report["cases"].append({**case._asdict(), "title": case.title, "contenders": result})
            keep(report, args.json)  # what there is, should the run be stopped
    if not (args.no_further or args.quick):
        report["sections"] = further(args, len(cores))
    keep(report, args.json)
    return report


def keep(report: dict, path) -> None:
    if path:
        Path(path).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def read(paths) -> dict:
    """What --json wrote; of several files the cases of all, where they are from one machine."""
    reports = []
    for path in paths:
        try:
            reports.append(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError) as err:
            raise SystemExit(f"--from-json {path}: {err}; give a file that --json wrote") from err
        if any(reports[0].get(key) != reports[-1].get(key) for key in ("machine", "quick")):
            raise SystemExit(f"--from-json {path}: not from the machine of {paths[0]}, or only one is quick")
    for name in ("cases", "sections"):
        reports[0][name] = [one for report in reports for one in report.get(name, ())]
    return reports[0]


def further(args, threads: int) -> list:
    """What benchmarks of their own print: each becomes a section."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    growth = Path(args.plot).absolute().with_name("performance_growth.png")
    peers = ["--peers-python", args.peers_python]
    chosen = [
        ("Multi-scale evaluation", EVALUATION, [[*one, *peers] for one in ([], *([*one, *SOME] for one in HEAVIER))]),
        (
            "Growth with sizes, batches and threads",
            GROWTH,
            [[*peers, "--plot", str(growth)]],
        ),
    ]
    if args.data_recipe:
        chosen.append(("Data loading", LOADING, [["--config", args.data_recipe]]))
    sections = []
    for title, module, runs in chosen:
        print(f"{title}: {module}", file=sys.stderr, flush=True)
        texts = []
        for options in runs:
            command = [sys.executable, "-m", module, *options]
            done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
            failed = f"`{module}` ended with status {done.returncode}."
            texts.append(done.stdout.strip() if done.returncode == 0 else failed)
        if module == GROWTH and growth.exists():
            texts.append(f"![Time against work](images/{growth.name})")
        sections.append({"title": title, "text": "\n\n".join(texts)})
    return sections


def publish(report: dict, args) -> None:
    from . import summary
    from .plot import draw
    from .report import replace_between, tables

    page, plot = Path(args.page).absolute(), Path(args.plot).absolute()
    if not args.write:
        print(tables(report))
        return
    drawn = draw(report, plot)
    try:
        link = plot.relative_to(page.parent).as_posix()
    except ValueError:
        link = str(plot)
    try:
        replace_between(page, tables(report, link if drawn else None))
        page.write_text(summary.text(page.read_text(encoding="utf-8")), encoding="utf-8")
    except (OSError, ValueError) as err:
        raise SystemExit(f"{err}; the tables can be made again with --from-json") from err
    print(f"wrote {page}" + (f" and {plot}" if drawn else ""))


if __name__ == "__main__":
    sys.exit(main())
