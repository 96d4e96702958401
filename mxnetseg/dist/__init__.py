"""One run in many processes: which of them this is (roles), how they start (launcher) and how they end (watch).

Processes find each other through MXNet's ps-lite or Horovod; nothing here moves arrays (engine.peers). This package
never imports MXNet but in servers and schedulers (node), which are processes of their own.
"""

from .roles import KINDS, Role
from .session import failures_told, join

__all__ = ["KINDS", "Role", "failures_told", "join"]
