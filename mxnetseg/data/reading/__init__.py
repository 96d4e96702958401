"""Files of pictures and arrays as they come from anywhere: sizes are read, and checked, before memory is taken.

Nothing here trusts a file. `Damaged` is raised for whatever is wrong; `data.decoding` names the file.
"""

from .header import Damaged, Header, TooLarge, Unknown, read_header

__all__ = ["Damaged", "Header", "TooLarge", "Unknown", "read_header"]
