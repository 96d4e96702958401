"""mxnetseg report"""

from pathlib import Path

from ..errors import MXNetSegError
from . import options

HELP = "Make a report's page anew from its saved results, or compare two or three reports."


def add_arguments(parser) -> None:
    what = "folder that `eval --report` wrote; its page, tables and plots are made anew"
    parser.add_argument("folder", metavar="DIR", nargs="?", help=what)
    what = "compare the reports in these folders: the first with each of the others"
    parser.add_argument("--compare", metavar="DIR", nargs="+", help=what)
    what = "folder to write to; with DIR, the same when left out (then say --overwrite)"
    parser.add_argument("--out", metavar="DIR", help=what)
    options.add(parser, "--overwrite")


def run(args) -> int:
    from ..report import check_compared, check_report, read_results, write_comparison, write_report

    if bool(args.folder) == bool(args.compare):
        raise MXNetSegError("name the folder of one report, or those of two or three after --compare")
    if args.folder:
        out = Path(args.out or args.folder)
        results = read_results(Path(args.folder))
        check_report(out, args.overwrite)
        print(write_report(results, out))
        return 0
    if not 2 <= len(args.compare) <= 3:
        raise MXNetSegError(f"--compare {' '.join(args.compare)}: two or three reports can be compared")
    if not args.out:
        raise MXNetSegError("say where the comparison is to be written: --out DIR")
    check_compared(Path(args.out), args.overwrite)
    reports = [(Path(folder), read_results(Path(folder))) for folder in args.compare]
    print(write_comparison(reports, Path(args.out)))
    return 0
