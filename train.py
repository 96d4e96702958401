"""python train.py --model fcn --ctx 0 1 2 3        (python train.py --help tells the rest)"""

import sys

from mxnetseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]], "python train.py"))
