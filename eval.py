"""python eval.py --checkpoint FILE --mode val      (python eval.py --help tells the rest)"""

import sys

from mxnetseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["eval", *sys.argv[1:]], "python eval.py"))
