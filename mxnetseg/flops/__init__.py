"""Parameters and FLOPs of a network, read off its inference graph: nothing is computed, no weights are needed.

The FLOPs are multiply-accumulates, counted the way of mmcv's `get_model_complexity_info`
(mmcv 1.7, mmcv/cnn/utils/flops_counter.py), because that is what the papers' tables show; docs/flops.md has the rules.
"""

from .counting import count
from .report import Complexity, Row, short

__all__ = ["Complexity", "Row", "count", "short"]
