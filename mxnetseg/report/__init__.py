"""What a network gets right and wrong on a split: a page to look at, and its numbers as files (docs/report.md)."""

from .compare_page import check_compared, write_comparison
from .gather import gather
from .make import make_report
from .results import Results, read_results
from .write import PAGE, check_report, write_report

__all__ = [
    "PAGE",
    "Results",
    "check_compared",
    "check_report",
    "gather",
    "make_report",
    "read_results",
    "write_comparison",
    "write_report",
]
