"""What has to be there before anything else works, with the remedy for what is not.

Run as a script before anything is installed (`python mxnetseg/preflight.py`, as the Makefile does), so
every Python must be able to parse it, and it imports nothing but the standard library.
"""

import ctypes
import os
import re
import sys

OLDEST, NEWEST = (3, 8), (3, 13)
OLDEST_NUMPY, NOT_YET_NUMPY = (1, 22), (3, 0)

# shared library -> Debian / Ubuntu package
PACKAGES = {
    "libGL.so.1": "libgl1",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libgomp.so.1": "libgomp1",
    "libquadmath.so.0": "libquadmath0",
    "libgfortran.so.3": "libgfortran3",
}

# libraries of CUDA 11 and cuDNN 8 that MXNet's CUDA builds load -> NVIDIA's package of the index (the extra cu112)
CUDA = {
    "libcublas": "nvidia-cublas-cu11",
    "libcublasLt": "nvidia-cublas-cu11",
    "libcudart": "nvidia-cuda-runtime-cu11",
    "libcudnn": "nvidia-cudnn-cu11<9",
    "libcufft": "nvidia-cufft-cu11",
    "libcurand": "nvidia-curand-cu11",
    "libcusolver": "nvidia-cusolver-cu11",
    "libcusparse": "nvidia-cusparse-cu11",
    "libnccl": "nvidia-nccl-cu11",
    "libnvToolsExt": "nvidia-nvtx-cu11",
    "libnvrtc": "nvidia-cuda-nvrtc-cu11",
}

# module -> the package that brings it, where that has another name
DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python", "yaml": "pyyaml"}


def python_problem(version=None):
    """Why this Python can't run MXNetSeg, or None."""
    version = tuple(version or sys.version_info)[:2]
    if OLDEST <= version <= NEWEST:
        return None
    return (
        "Python %d.%d does not work; MXNetSeg needs Python 3.8 to 3.13. Install one of them "
        "(apt-get install python3.11 python3.11-venv, pyenv install 3.11, or conda create -n mxnetseg python=3.11) "
        "and name it: make PYTHON=python3.11 ..." % version
    )


def venv_problem():
    """Why no virtual environment can be made, or None."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return "this Python can't make virtual environments; apt-get install python%d.%d-venv" % sys.version_info[:2]
    return None


def library_problems():
    """What to do about each shared library that opencv-python needs and this machine lacks."""
    if not sys.platform.startswith("linux"):
        return []
    problems = []
    for library in ("libGL.so.1", "libgthread-2.0.so.0"):
        try:
            ctypes.CDLL(library)
        except OSError:
            problems.append(missing_library(library))
    return problems


def missing_library(library):
    """The sentence that names a library and the package that brings it."""
    if library == "libcuda.so.1":
        return "libcuda.so.1 is missing (MXNet's CUDA build needs it); it comes with NVIDIA's driver (460 or newer)"
    if library.split(".so")[0] in CUDA:
        # all of them, for one that is missing seldom comes alone; not the extra: it would bring MXNet's CPU build along
        packages = " ".join("'%s'" % name if "<" in name else name for name in sorted(set(CUDA.values())))
        return "%s is missing (MXNet's CUDA build needs it); pip install %s" % (library, packages)
    package = PACKAGES.get(library)
    remedy = "apt-get install " + package if package else "install the package that brings it"
    return "%s is missing (OpenCV or MXNet needs it); %s" % (library, remedy)


def numpy_problem():
    """Why the installed NumPy does not work, or None; without importing it."""
    from importlib import metadata

    try:
        version = metadata.version("numpy")
    except metadata.PackageNotFoundError:
        return "NumPy is not installed; " + install_command("numpy")
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:2])
    if OLDEST_NUMPY <= numbers < NOT_YET_NUMPY:
        return None
    return "NumPy %s does not work; MXNetSeg needs 1.22 to 2.x: pip install 'numpy>=1.22,<3'" % version


def install_command(module):
    """How to install what a module belongs to: the whole set of a clone, else the one package."""
    if module == "mxnet" and sys.version_info >= (3, 13):
        return "pip install --no-deps mxnet==1.9.1"  # its own word, NumPy < 2, can't be kept there
    requirements = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "requirements.txt")
    if os.path.exists(requirements):
        return "pip install -r " + os.path.relpath(requirements)
    return "pip install " + DISTRIBUTIONS.get(module, module)


def explain(error):
    """What an ImportError or OSError from an import means for the user, or None if it is something else."""
    text = str(error)
    library = re.search(r"(lib[\w.+-]+\.so[.\d]*): cannot open shared object", text)
    if library:
        return missing_library(library.group(1))
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("mxnetseg"):
        return "the package %s is not installed; %s" % (error.name, install_command(error.name))
    return None


def problems():
    """Everything that is wrong before a single package is looked at."""
    first = python_problem()
    if first:
        return [first]
    found = library_problems()
    venv = venv_problem()
    return found + ([venv] if venv else [])


if __name__ == "__main__":
    found = problems()
    for problem in found:
        sys.stderr.write("error: %s\n" % problem)
    sys.exit(2 if found else 0)
