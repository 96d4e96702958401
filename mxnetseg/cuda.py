"""MXNet's CUDA build: the libraries that it loads, the cards that it has code for, and the toolkits that fit beside it.

mxnet-cu112 and mxnet-cu117 want CUDA 11 and cuDNN 8. Where the system has none, NVIDIA's packages of the index do
(nvidia-cublas-cu11 and so on, the extra cu112), but no loader looks there: `load` does.
"""

import ctypes
import re
import sys
from pathlib import Path
from typing import List, Optional, Sequence, Set, Tuple

__all__ = ["DRIVERS", "card_problem", "cards", "driver", "load", "toolkit_problem"]

# Machine code for 5.0, 6.0, 7.0, 8.0 and 8.6 is in the wheels, each good for later ones of its generation, and
# nothing that a driver could compile for newer generations
OLDEST_CARD, TOO_NEW_CARD = (5, 0), (9, 0)
# CUDA of a toolkit -> the oldest driver that runs what it makes (NVIDIA's CUDA Compatibility, "Minor Version
# Compatibility"); a driver runs what older toolkits have made as well
DRIVERS = {11: 450, 12: 525, 13: 580}
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_...


def load(library: str) -> bool:
    """Load a shared library, and before it those that it misses and NVIDIA's packages hold; whether that worked.

    What does not work is left to be said by whoever loads the library next.
    """
    return _load(library, ctypes.RTLD_LOCAL, set())


def _load(library: str, mode: int, tried: Set[str]) -> bool:
    while True:
        try:
            ctypes.CDLL(library, mode)
            return True
        except OSError as err:
            missing = re.match(r"(lib[\w.+-]+\.so[.\d]*): cannot open shared object", str(err))
        name = missing.group(1) if missing else ""
        found = _packaged(name)
        if found is None or name in tried:
            return False
        tried.add(name)
        _load(str(found), ctypes.RTLD_GLOBAL, tried)


def _packaged(name: str) -> Optional[Path]:
    """The library of that name in one of the packages nvidia-*-cu11."""
    folders = (Path(entry or ".") / "nvidia" for entry in sys.path) if name else ()
    return next((found for folder in folders for found in folder.glob(f"*/lib/{name}")), None)


def driver() -> Optional[Tuple[int, int]]:
    """The newest CUDA that the driver runs, (12, 4); None without a driver."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    version = ctypes.c_int()
    if library.cuDriverGetVersion(ctypes.byref(version)):
        return None
    return version.value // 1000, version.value % 1000 // 10


def cards() -> List[Tuple[str, Tuple[int, int]]]:
    """Name and compute capability of each GPU that the driver knows; none without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return []
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return []
    return [
        (_name(driver, i), (_attribute(driver, i, _MAJOR), _attribute(driver, i, _MINOR))) for i in range(count.value)
    ]


def card_problem(name: str, capability: Tuple[int, int]) -> Optional[str]:
    """Why MXNet's CUDA builds can't run on a card, or None."""
    if OLDEST_CARD <= capability < TOO_NEW_CARD:
        return None
    return (
        f"{name} has compute capability {capability[0]}.{capability[1]}; MXNet's CUDA builds hold code for 5.0 to 8.9 "
        "(Maxwell to Ada) and nothing that newer cards could translate: use another card, or --ctx cpu"
    )


def toolkit_problem(release: Tuple[int, int], architectures: Sequence[int]) -> Optional[str]:
    """Why kernels that a toolkit has made can't run here, or None: also where there is no driver to ask.

    `release` is its CUDA, (13, 0); `architectures` are those that there is machine code for, 75 for compute
    capability 7.5.
    """
    known = driver()
    if known and known[0] < release[0]:
        needed = f" ({DRIVERS[release[0]]} or newer)" if release[0] in DRIVERS else ""
        return (
            f"the driver runs what CUDA up to {known[0]}.{known[1]} makes, and this nvcc is of CUDA "
            f"{release[0]}.{release[1]}: install a newer driver{needed}, or a toolkit of CUDA {known[0]}"
        )
    for name, card in cards():
        served = any(number // 10 == card[0] and number % 10 <= card[1] for number in architectures)
        if card_problem(name, card) is None and not served:
            made = ", ".join(f"{number // 10}.{number % 10}" for number in architectures)
            return (
                f"{name} has compute capability {card[0]}.{card[1]}, and nvcc of CUDA {release[0]}.{release[1]} makes "
                f"code for {made} only; toolkits of CUDA 11 and 12 do from 6.0 on"
            )
    return None


def _name(driver: ctypes.CDLL, device: int) -> str:
    text = ctypes.create_string_buffer(100)
    driver.cuDeviceGetName(text, len(text), device)
    return text.value.decode(errors="replace")


def _attribute(driver: ctypes.CDLL, device: int, which: int) -> int:
    value = ctypes.c_int()
    driver.cuDeviceGetAttribute(ctypes.byref(value), which, device)
    return value.value
