"""What the figures were measured on."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any, Dict, List, Optional

__all__ = ["describe", "physical_cores"]

PEERS = ("torch", "onnxruntime", "openvino", "nncf")
_VERSIONS = """
import json, sys
from importlib import metadata
found = {"python": sys.version.split()[0]}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        found[name] = None
print(json.dumps(found))
"""


def physical_cores(count: Optional[int] = None) -> List[int]:
    """The first `count` processors that this process may use, one per physical core; all when left out."""
    try:
        allowed = sorted(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        allowed = list(range(os.cpu_count() or 1))
    chosen = {}
    for cpu in allowed:
        chosen.setdefault(_core(cpu), cpu)
    return sorted(chosen.values())[:count]


def describe(own: str, peers: Optional[str], cores: List[int]) -> Dict[str, Any]:
    return {
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": len(cores),
        "memory_gb": _memory(),
        "flags": _flags(),
        "versions": {
            "own": versions(own, ("mxnet", "numpy")),
            "peers": versions(peers, PEERS) if peers else {},
        },
    }


def versions(python: str, names) -> Dict[str, Optional[str]]:
    """Versions of packages in another Python; {} where it does not run."""
    import json

    try:
        done = subprocess.run([python, "-c", _VERSIONS, *names], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return json.loads(done.stdout)


def _core(cpu: int):
    # as in mxnetseg.startup, but importing that sets variables which the peers' processes would inherit
    topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
    try:
        return (topology / "physical_package_id").read_text(), (topology / "core_id").read_text()
    except OSError:
        return cpu


def _cpuinfo(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _flags() -> List[str]:
    known = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
    return [flag for flag in known if flag in _cpuinfo("flags").split()]


def _memory() -> Optional[int]:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (AttributeError, ValueError, OSError):
        return None
