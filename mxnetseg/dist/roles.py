"""Which part this process has among those of a run."""

import os
from typing import Literal, Mapping, NamedTuple, Optional

from ..errors import MXNetSegError

__all__ = ["KINDS", "Role", "role_of"]

KINDS = ("env",)

Part = Literal["worker", "server", "scheduler"]

# what launchers call a process's number
RANKS = ("MXNETSEG_RANK", "JOB_COMPLETION_INDEX", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK")
# what MXNet reads: https://mxnet.apache.org/versions/1.9.1/api/faq/distributed_training
NEEDED = ("DMLC_PS_ROOT_URI", "DMLC_PS_ROOT_PORT", "DMLC_NUM_WORKER", "DMLC_NUM_SERVER")


class Role(NamedTuple):
    """`part` is what the process is to be, `rank` its number among the workers, None where nothing gives it one."""

    engine: Literal["kvstore", "horovod"]
    part: Part
    rank: Optional[int] = None


def role_of(kind: str, environment: Mapping[str, str] = os.environ) -> Role:
    """The role that `--dist` stands for; to be asked before MXNet is imported.

    Raises
    ------
    MXNetSegError
        The environment does not say it.
    """
    part = environment.get("DMLC_ROLE", "")
    missing = [name for name in ("DMLC_ROLE", *NEEDED) if not environment.get(name)]
    if missing:
        raise MXNetSegError(f"--dist {kind}: {', '.join(missing)} must be set in the environment")
    if part not in ("worker", "server", "scheduler"):
        raise MXNetSegError(f"--dist {kind}: DMLC_ROLE={part} is none of worker, server, scheduler")
    return Role("kvstore", part, _rank(environment) if part == "worker" else None)  # type: ignore[arg-type]


def _rank(environment: Mapping[str, str]) -> Optional[int]:
    for name in RANKS:
        text = environment.get(name)
        if text is not None:
            if not text.isdecimal():
                raise MXNetSegError(f"{name}={text}: is no number of a process")
            return int(text)
    return None
