"""The compilers of the operator library: which there are, and what an nvcc makes code for."""

import os
import re
import shlex
import shutil
import subprocess
from typing import List, NamedTuple, Optional, Tuple

from .. import cuda as gpus
from ..errors import MXNetSegError

__all__ = [
    "ARCHITECTURES",
    "BuildError",
    "compiler",
    "find_nvcc",
    "kernels_problem",
    "nvcc_command",
    "nvcc_facts",
    "run",
]

COMPILERS = ("g++", "c++", "clang++")
# GPUs to compile for, as far as an nvcc knows them; PTX for the newest of them serves those that came later
ARCHITECTURES = (60, 61, 70, 75, 80, 86, 89, 90)


class BuildError(MXNetSegError):
    """The library can't be built; the message says why and what to do."""


def compiler() -> List[str]:
    """The C++ compiler, $CXX or one of COMPILERS, as the begin of a command; raises BuildError where there is none."""
    chosen = os.environ.get("CXX")
    try:
        commands = [shlex.split(chosen)] if chosen else [[name] for name in COMPILERS]
    except ValueError as err:
        raise BuildError(f"CXX={chosen} is no command ({err}): mend its quotation marks, or unset it") from err
    for command in commands:
        if _output([*command, "--version"]) is not None:
            return command
    raise BuildError(
        f"CXX={chosen} does not run; set CXX to a C++17 compiler with OpenMP, or unset it"
        if chosen
        else f"there is no C++ compiler ({', '.join(COMPILERS)}): install g++ 8 or newer (Debian, Ubuntu: "
        "apt install g++), or set CXX"
    )


def find_nvcc() -> Optional[str]:
    """$NVCC, or nvcc of $CUDA_HOME, of PATH, or of /usr/local/cuda."""
    homes = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    places = [os.environ.get("NVCC"), *(f"{home}/bin/nvcc" for home in homes), "nvcc", "/usr/local/cuda/bin/nvcc"]
    return next((found for found in (shutil.which(place) for place in places if place) if found), None)


def nvcc_facts(nvcc: str) -> Tuple[Tuple[int, int], List[int]]:
    """The CUDA of an nvcc, (13, 0), and the GPUs that it makes machine code for, 75 for compute capability 7.5."""
    release = re.search(r"release (\d+)\.(\d+)", _output([nvcc, "--version"]) or "")
    if not release:
        raise BuildError(f"{nvcc} --version names no release; CUDA 11 or newer is needed")
    return (int(release[1]), int(release[2])), _architectures(nvcc)


def kernels_problem(nvcc: str) -> Optional[str]:
    """Why kernels of this nvcc can't run on the GPUs of this machine, or None."""
    try:
        return gpus.toolkit_problem(*nvcc_facts(nvcc))
    except BuildError as err:
        return str(err)


def nvcc_command(nvcc: str, architectures: Optional[Tuple[int, ...]] = None) -> List[str]:
    """nvcc and its flags, for all GPUs it knows or those named (75: compute capability 7.5)."""
    # Only CUDA's own headers are included, which bear compilers newer than nvcc was tested with.
    flags = ["-O3", "-std=c++14", "-Xcompiler", "-fPIC", "-allow-unsupported-compiler"]
    return [nvcc, *flags, *_gpu_codes(nvcc, architectures)]


def _architectures(nvcc: str, wanted: Tuple[int, ...] = ARCHITECTURES) -> List[int]:
    known = sorted(int(number) for number in re.findall(r"compute_(\d+)\b", _output([nvcc, "--list-gpu-arch"]) or ""))
    if not known:
        raise BuildError(f"{nvcc} --list-gpu-arch lists nothing; CUDA 11 or newer is needed")
    return [number for number in wanted if number in known] or known[-1:]


def _gpu_codes(nvcc: str, architectures: Optional[Tuple[int, ...]] = None) -> List[str]:
    chosen = _architectures(nvcc, architectures or ARCHITECTURES)
    codes = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in chosen]
    if architectures is None:
        codes.append(f"-gencode=arch=compute_{chosen[-1]},code=compute_{chosen[-1]}")
    return codes


class Result(NamedTuple):
    program: str
    said: str
    failed: Optional[str]


def run(command: List[str]) -> Result:
    """Run a compiler; what it said, and why it failed if it did."""
    said, failed = f"$ {shlex.join(command)}\n", None
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=1800,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
        said += done.stdout.decode(errors="replace")
        if done.returncode:
            failed = f"exit status {done.returncode}"
    except (OSError, subprocess.TimeoutExpired) as err:
        failed = str(err)
    return Result(command[0], f"{said}{failed}\n" if failed else said, failed)


def _output(command: List[str]) -> Optional[str]:
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
