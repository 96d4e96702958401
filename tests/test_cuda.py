"""Libraries of NVIDIA's packages, and cards, without either: small libraries made here stand in."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from mxnetseg import cuda, preflight
from mxnetseg.cli import doctor
from mxnetseg.ops import build, compilers

ROOT = Path(__file__).resolve().parents[1]
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler to make libraries with")

# What the CUDA runtime and MXNet ask of the driver; 100 is CUDA_ERROR_NO_DEVICE
NO_CARD = "".join(
    f"int {name}(void) {{ return 100; }}\n"
    for name in (
        *("cuDeviceGet", "cuDeviceGetCount", "cuDevicePrimaryCtxRetain", "cuDriverGetVersion", "cuGetErrorString"),
        *("cuGetProcAddress", "cuGraphKernelNodeGetParams", "cuGraphNodeGetType", "cuInit", "cuLaunchKernel"),
        *("cuModuleGetFunction", "cuModuleLoadData", "cuModuleLoadDataEx", "cuModuleUnload"),
    )
)
ONE_CARD = """
int cuDriverGetVersion(int *version) { *version = 12040; return 0; }
int cuInit(unsigned flags) { return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGetName(char *name, int length, int device) { name[0] = 'X'; name[1] = 0; return 0; }
int cuDeviceGetAttribute(int *value, int which, int device)
{
    *value = which == 75 ? 9 : which == 76 ? 1 : -1;
    return 0;
}
"""
# All that mxnet-cu112 needs; 3 GB
PACKAGES = (
    "mxnet-cu112==1.9.1",
    "nvidia-cudnn-cu11<9",
    *(f"nvidia-{name}-cu11" for name in ("cuda-runtime", "cublas", "cufft", "curand", "cusolver", "cusparse")),
    *(f"nvidia-{name}-cu11" for name in ("nccl", "cuda-nvrtc", "nvtx")),
)
# the project's own, and the tests'
NEEDS = ("numpy<3", "opencv-python<6", "pillow", "pydantic", "pytest", "pyyaml", "requests", "tabulate", "tqdm")
# what CUDA's runtime makes of a driver without a card
NO_DEVICE = (
    "35 CUDA driver version is insufficient for CUDA runtime version",
    "100 no CUDA-capable device is detected",
)


def shared(folder, name, source, *needs):
    """Compile a shared library that needs others."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "source.c").write_text(source, encoding="ascii")
    libraries = [str(path) for path in needs]
    command = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{name},--no-as-needed", "-o", str(folder / name)]
    subprocess.run([*command, str(folder / "source.c"), *libraries], check=True)
    return folder / name


@needs_compiler
def test_missing_libraries_come_from_nvidias_packages(tmp_path, monkeypatch):
    """One needs the next, as cuBLAS does; the system's loader would find neither."""
    site = tmp_path / "site-packages"
    inner = shared(site / "nvidia" / "cublas" / "lib", "libseg_inner.so.11", "int inner(void) { return 7; }")
    source = "int inner(void); int outer(void) { return inner(); }"
    outer = shared(site / "nvidia" / "cudnn" / "lib", "libseg_outer.so.8", source, inner)
    user = shared(tmp_path, "libseg_user.so", "int outer(void); int use(void) { return outer(); }", outer)
    assert not cuda.load(str(user))
    with pytest.raises(OSError, match="libseg_outer.so.8: cannot open"):
        ctypes.CDLL(str(user))
    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    assert cuda.load(str(user))
    assert ctypes.CDLL(str(user)).use() == 7


@needs_compiler
def test_cards_and_those_that_are_too_new(tmp_path):
    shared(tmp_path, "libcuda.so.1", ONE_CARD)
    script = "from mxnetseg import cuda; card, = cuda.cards(); print(cuda.driver(), card, cuda.card_problem(*card))"
    environment = dict(os.environ, LD_LIBRARY_PATH=str(tmp_path))
    out = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert out.stdout.startswith(
        "(12, 4) ('X', (9, 1)) X has compute capability 9.1; MXNet's CUDA builds hold code for"
    )


# an nvcc that says what it is, and can do no more
NVCC = """#!/bin/sh
[ "$1" = --version ] && echo "Cuda compilation tools, release {release}, V{release}.1"
[ "$1" = --list-gpu-arch ] && printf 'compute_%s\\n' {known}
exit 0
"""
OLD, NEW = ("11.2", "52 60 61 70 75 80 86"), ("13.0", "75 80 86 89 90 120")


@pytest.mark.parametrize(
    "driver, card, nvcc, problem",
    [
        (None, None, NEW, None),  # the machine that compiles need not be the one that has the card
        ((13, 0), (8, 0), NEW, None),
        ((12, 9), (8, 9), OLD, None),  # by the code for 8.6; and a newer driver runs older code
        ((12, 9), (8, 0), NEW, "CUDA up to 12.9 makes, and this nvcc is of CUDA 13.0: install a newer driver (580 or"),
        ((13, 0), (7, 0), NEW, "X has compute capability 7.0, and nvcc of CUDA 13.0 makes code for 7.5, 8.0, 8.6, 8.9"),
        ((13, 0), (10, 0), OLD, None),  # MXNet itself can't use the card, which is another matter
        ((13, 0), (8, 0), ("13.0", ""), "--list-gpu-arch lists nothing"),
    ],
)
def test_toolkits_that_do_not_fit(tmp_path, monkeypatch, driver, card, nvcc, problem):
    """Their kernels would end in an error: the library is built for the CPU alone then, and `doctor` says why."""
    tool = tmp_path / "nvcc"
    tool.write_text(NVCC.format(release=nvcc[0], known=nvcc[1]), encoding="ascii")
    tool.chmod(0o755)
    monkeypatch.setenv("NVCC", str(tool))
    monkeypatch.setattr(cuda, "driver", lambda: driver)
    monkeypatch.setattr(cuda, "cards", lambda: [("X", card)] if card else [])
    monkeypatch.setattr(build, "_mxnet_has_cuda", lambda: True)
    assert build.find().cuda == (problem is None)
    told = []
    rows = dict(doctor._toolkit(told))
    assert [problem in one for one in told] == [True] if problem else told == []
    assert nvcc[1] == "" or f"CUDA {nvcc[0]}, for compute capability" in rows["nvcc"]


@pytest.mark.parametrize("capability, fits", [((3, 7), False), ((5, 0), True), ((8, 9), True), ((9, 0), False)])
def test_generations(capability, fits):
    assert (cuda.card_problem("this card", capability) is None) == fits


@pytest.mark.parametrize(
    "library, remedy",
    [
        ("libcudart.so.11.0", "pip install nvidia-cublas-cu11 "),
        ("libcublasLt.so.11", "pip install nvidia-cublas-cu11 "),
        ("libcuda.so.1", "NVIDIA's driver"),
        ("libgfortran.so.3", "apt-get install libgfortran3"),
    ],
)
def test_what_a_failed_import_says(library, remedy):
    error = OSError(f"{library}: cannot open shared object file: No such file or directory")
    assert remedy in preflight.explain(error) and library in preflight.explain(error)


@pytest.fixture(scope="module")
def cuda_build(tmp_path_factory):
    """(Python, environment) of MXNet's CUDA build on NVIDIA's packages alone: no CUDA and no card here."""
    folder = tmp_path_factory.mktemp("cuda")
    if shutil.disk_usage(folder).free < 12 * 2**30:
        pytest.skip("takes 12 GB of disk for a while")
    venv.create(folder / "venv", with_pip=True, system_site_packages=False)
    python = str(folder / "venv" / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check"]
    for packages in (["--no-deps", *PACKAGES], NEEDS):
        if subprocess.run([*pip, *packages], timeout=1800).returncode:
            pytest.skip("the package index can't be reached, or has no CUDA build for this Python")
    shared(folder / "stub", "libcuda.so.1", NO_CARD)
    yield python, dict(os.environ, LD_LIBRARY_PATH=str(folder / "stub"), MXNETSEG_CACHE=str(folder / "cache"))
    shutil.rmtree(folder / "venv")


def in_cuda_build(cuda_build, *arguments):
    python, environment = cuda_build
    done = subprocess.run([python, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@needs_compiler
def test_the_cuda_build_starts_on_the_packages_alone(cuda_build):
    """It imports, sees no GPU and works on the CPU."""
    script = (
        "import mxnetseg, mxnet as mx; assert mx.runtime.Features().is_enabled('CUDA') and mx.context.num_gpus() == 0; "
        "print(mx.nd.Convolution(mx.nd.ones((1, 2, 4, 4)), mx.nd.ones((3, 2, 3, 3)), no_bias=True, kernel=(3, 3), "
        "num_filter=3).sum().asscalar())"
    )
    assert in_cuda_build(cuda_build, "-c", script).split() == ["216.0"]


LAUNCH = """
import ctypes, mxnetseg, mxnet as mx
from mxnetseg import ops
ops.load()
assert ops.status().cuda, ops.status()
library = ctypes.CDLL(ops.status().path)
library.mxnetseg_gpu_error.restype = ctypes.c_char_p
geometry = (ctypes.c_int32 * 14)(1, 0, 1, 8, 3, 3, 3, 3, 1, 1, 1)  # sampling.h: batch and scale have 64 bits
arrays = (ctypes.c_void_p * 2)()
code = library.mxnetseg_gpu_unfold_forward(0, geometry, arrays, arrays, None, None)
print(code, library.mxnetseg_gpu_error(code).decode())
print(sorted({line.split("/")[-1].strip() for line in open("/proc/self/maps") if "libcudart" in line}))
"""


@pytest.mark.slow
@needs_compiler
@pytest.mark.skipif(compilers.find_nvcc() is None, reason="there is no nvcc to compile the CUDA half with")
def test_the_operators_with_their_cuda_half_in_the_cuda_build(cuda_build):
    """All but the kernels' run on a card: the library is built and loaded with them, its own CUDA runtime works beside
    MXNet's (it finds out that there is no card), and the tests of the operators pass."""
    code, runtimes = in_cuda_build(cuda_build, "-c", LAUNCH).splitlines()
    assert code in NO_DEVICE
    assert runtimes == "['libcudart.so.11.0']"  # MXNet's; the library's is within it
    tests = ["tests/ops/test_deform.py", "tests/ops/test_upsample.py", "-m", "not slow"]
    out = in_cuda_build(cuda_build, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
    assert re.search(r"\d{3} passed", out) and "failed" not in out


def test_the_remedy_names_what_the_extra_has():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extra = re.search(r"^cu112 = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL).group(1)
    assert sorted(re.findall(r'"(.*?)"', extra)) == sorted(set(preflight.CUDA.values()))
