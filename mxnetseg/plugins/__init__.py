"""What others add: tables of models, backbones, losses, data sets and transforms, and who filled them.

Two ways lead into a table. An installed package has entry points (`mxnetseg.models` and so on), each of which is
imported when its name is looked up and not before. A module that the user names, `--import my_module`, is imported
before the first look-up. Both register what they have, as our own files do. Nothing else is ever imported: a recipe
or a checkpoint can name a thing, never a module to fetch it from.
"""

from .imports import request
from .needs import Need, check_installed, require
from .points import Origin
from .table import TABLES, Table, caller, named, names_of, registered_first
from .wording import PluginError, reason

__all__ = [
    "TABLES",
    "Need",
    "Origin",
    "PluginError",
    "Table",
    "caller",
    "check_installed",
    "named",
    "names_of",
    "reason",
    "registered_first",
    "request",
    "require",
]
