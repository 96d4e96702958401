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
    script = "from mxnetseg import cuda; card, = cuda.cards(); print(card, cuda.card_problem(*card))"
    environment = dict(os.environ, LD_LIBRARY_PATH=str(tmp_path))
    out = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert out.stdout.startswith("('X', (9, 1)) X has compute capability 9.1; MXNet's CUDA builds hold code for 5.0")


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


@pytest.mark.slow
@needs_compiler
def test_the_cuda_build_starts_on_the_packages_alone(tmp_path):
    """No CUDA and no card here: it imports, sees no GPU and works on the CPU."""
    if shutil.disk_usage(tmp_path).free < 12 * 2**30:
        pytest.skip("takes 12 GB of disk for a while")
    venv.create(tmp_path / "venv", with_pip=True, system_site_packages=False)
    python = str(tmp_path / "venv" / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check"]
    for packages in (["--no-deps", *PACKAGES], ["numpy<3", "requests"]):
        if subprocess.run([*pip, *packages], timeout=1800).returncode:
            pytest.skip("the package index can't be reached, or has no CUDA build for this Python")
    shared(tmp_path / "stub", "libcuda.so.1", NO_CARD)
    script = (
        "import mxnetseg, mxnet as mx; assert mx.runtime.Features().is_enabled('CUDA') and mx.context.num_gpus() == 0; "
        "print(mx.nd.Convolution(mx.nd.ones((1, 2, 4, 4)), mx.nd.ones((3, 2, 3, 3)), no_bias=True, kernel=(3, 3), "
        "num_filter=3).sum().asscalar())"
    )
    environment = dict(os.environ, LD_LIBRARY_PATH=str(tmp_path / "stub"))
    done = subprocess.run([python, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    shutil.rmtree(tmp_path / "venv")
    assert done.stdout.split() == ["216.0"], done.stderr


def test_the_remedy_names_what_the_extra_has():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extra = re.search(r"^cu112 = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL).group(1)
    assert sorted(re.findall(r'"(.*?)"', extra)) == sorted(set(preflight.CUDA.values()))
