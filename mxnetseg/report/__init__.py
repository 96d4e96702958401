"""What a network gets right and wrong on a split: a page to look at, and its numbers as files (docs/report.md)."""

from .about import about_checkpoint, view_size
from .compare_page import check_compared, write_comparison
from .gather import gather
from .results import Results, read_results
from .write import check_report, write_report

__all__ = [
    "Results",
    "about_checkpoint",
    "check_compared",
    "check_report",
    "gather",
    "read_results",
    "view_size",
    "write_comparison",
    "write_report",
]
