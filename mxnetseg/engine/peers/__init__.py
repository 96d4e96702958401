"""Several processes that train or evaluate one network together.

`Peers` is what all of them use; below it a `Link` carries the sums, one body for each engine. With `Alone` there is
one process, and nothing is carried.
"""

from .alone import Alone
from .joining import join
from .link import LARGE, SMALL, Link
from .peers import OtherFailed, Peers

__all__ = ["LARGE", "SMALL", "Alone", "Link", "OtherFailed", "Peers", "join"]
