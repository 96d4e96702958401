"""Run the CUDA kernels of mxnetseg.ops against the NumPy reference, and time them. Needs nvcc and a GPU, not MXNet.

    python tools/gpu/check_kernels.py                 compile, check, time
    python tools/gpu/check_kernels.py --table         times as a Markdown table
    python tools/gpu/check_kernels.py --compile-only  no GPU needed
    python tools/gpu/check_kernels.py --emulate       no nvcc and no GPU: their C++ on the CPU, small sizes, no timings

Exit status: 0 all is right; 1 a kernel is wrong or fails; 2 something is missing (nvcc, a device). See docs/gpu.md.
"""

import argparse
import ctypes
import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT))

from mxnetseg.errors import MXNetSegError  # noqa: E402
from mxnetseg.ops import build, compilers  # noqa: E402
from tests.ops import deform_reference as reference  # noqa: E402

TYPES = {"float32": 0, "float16": 2}  # MXNet's numbers
# of the largest value; sums of float32 with atomics in any order, and one rounding to half
TOLERANCE = {"float32": 2e-5, "float16": 2e-3}
WINDOW = 9


class Missing(Exception):
    """Something without which there is nothing to run; the message says what."""


class Geometry(ctypes.Structure):
    """mxnetseg::Geometry of sampling.h."""

    _sizes = ("heads", "channels", "height", "width", "out_height", "out_width", "padding", "dilation", "stride")
    _fields_ = [("batch", ctypes.c_int64), *((name, ctypes.c_int32) for name in _sizes), ("scale", ctypes.c_double)]


# ---- building


def compile_kernels(folder: Path, emulate: bool) -> Path:
    target = folder / "kernels.so"
    if emulate:
        # g++ does not know kernel<<<grid, block, 0, stream>>>(arguments)
        text = build.KERNELS.read_text(encoding="utf-8")
        text, count = re.subn(
            r"(\w+(?:<T>)?)<<<(.+?), (\w+), 0, stream>>>\((.+?)\);",
            r"emulation::launch(\2, \3, [=] { \1(\4); });",
            text,
            flags=re.DOTALL,
        )
        assert count == text.count("emulation::launch") >= 5 and "<<<" not in text
        (folder / "kernels.cc").write_text(f'{text}\n#include "{HERE / "device.cu"}"\n', encoding="utf-8")
        options = ["-O2", "-std=c++17", "-fPIC", "-shared", "-Wno-unknown-pragmas"]
        includes = [f"-I{HERE / 'emulation'}", f"-I{build.KERNELS.parent}"]
        command = [*compilers.compiler(), *options, *includes, str(folder / "kernels.cc")]
    else:
        nvcc = compilers.find_nvcc()
        if nvcc is None:
            raise Missing("no nvcc: put it in PATH, or set CUDA_HOME (or try --emulate)")
        command = [*compilers.nvcc_command(nvcc), "-shared", str(build.KERNELS), str(HERE / "device.cu")]
    print("$", *command, "-o", target.name, flush=True)
    subprocess.run([*command, "-o", str(target)], check=True)
    return target


# ---- the device


class Device:
    def __init__(self, path: Path):
        self.library = ctypes.CDLL(str(path))
        self.library.mxnetseg_gpu_error.restype = ctypes.c_char_p

    def call(self, name, *arguments):
        code = getattr(self.library, name)(*arguments)
        if code:
            raise RuntimeError(f"{name}: {self.library.mxnetseg_gpu_error(code).decode()}")

    def count(self) -> int:
        return self.library.device_count()

    def describe(self) -> str:
        name, capability, memory = ctypes.create_string_buffer(256), ctypes.c_int(), ctypes.c_int64()
        self.call("device_describe", 0, name, 256, ctypes.byref(capability), ctypes.byref(memory))
        major, minor = divmod(capability.value, 10)
        return f"{name.value.decode()}, compute capability {major}.{minor}, {memory.value / 2**30:.0f} GiB"

    def allocate(self, size: int) -> ctypes.c_void_p:
        """`size` bytes, aligned as MXNet's arrays are."""
        pointer = ctypes.c_void_p()
        self.call("device_allocate", ctypes.byref(pointer), ctypes.c_int64(max(size, 1)))
        self.call("device_fill", pointer, 0xFF, ctypes.c_int64(size))  # NaN: what is not written shows
        return pointer

    def upload(self, pointer: ctypes.c_void_p, array: np.ndarray) -> None:
        array = np.ascontiguousarray(array)
        self.call("device_upload", pointer, array.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(array.nbytes))

    def download(self, pointer, shape, dtype) -> np.ndarray:
        array = np.empty(shape, dtype)
        self.call("device_download", array.ctypes.data_as(ctypes.c_void_p), pointer, ctypes.c_int64(array.nbytes))
        return array

    def free(self, pointers):
        for pointer in pointers:
            self.call("device_free", pointer)

    def seconds(self, run, rounds=30) -> float:
        """Median time of run() on the device, after a few to warm up."""
        times = []
        for index in range(rounds + 5):
            start, end, taken = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_float()
            self.call("clock_mark", ctypes.byref(start))
            run()
            self.call("clock_mark", ctypes.byref(end))
            self.call("clock_between", start, end, ctypes.byref(taken))
            if index >= 5:
                times.append(taken.value / 1e3)
        return float(np.median(times))

    def bandwidth(self) -> float:
        """Bytes read and written per second by a copy within the device."""
        size = 512 << 20
        pointers = [self.allocate(size) for _ in range(2)]
        seconds = self.seconds(lambda: self.call("device_copy", *pointers, ctypes.c_int64(size)))
        self.free(pointers)
        return 2 * size / seconds


# ---- the operators: how to call a launcher, and what it should give


class Unfold:
    name = "deform_unfold"

    def __init__(self, batch, channels, height, width, padding=1, dilation=1, stride=1):
        self.options = dict(padding=padding, dilation=dilation, stride=stride)
        out = [(size + 2 * padding - 2 * dilation - 1) // stride + 1 for size in (height, width)]
        self.geometry = Geometry(batch, 1, channels, height, width, *out, padding, dilation, stride, 1)
        self.shapes = [(batch, channels, height, width), (batch, 2 * WINDOW, *out)]
        self.offset = 1  # which of the inputs it is
        self.out_shape = (batch, channels * WINDOW, out[0] * out[1])

    def reference(self, inputs, grad):
        return [
            reference.deform_unfold(*inputs, **self.options),
            *reference.deform_unfold_backward(*inputs, grad, **self.options),
        ]

    def __str__(self):
        return f"{self.name} x {self.shapes[0]} {' '.join(f'{k}={v}' for k, v in self.options.items())}"


class Attention:
    name = "deform_attention"

    def __init__(self, batch, heads, channels, height, width, padding=1, dilation=1):
        self.options = dict(padding=padding, dilation=dilation, heads=heads, scale=channels**-0.5)
        self.geometry = Geometry(
            batch, heads, channels, height, width, height, width, padding, dilation, 1, channels**-0.5
        )
        self.shapes = [(batch, height, width, heads * n) for n in (channels, channels, channels, 2 * WINDOW, WINDOW)]
        self.offset = 3
        self.out_shape = self.shapes[0]

    def reference(self, inputs, grad):
        return [
            reference.deform_attention(*inputs, **self.options),
            *reference.deform_attention_backward(*inputs, grad, **self.options),
        ]

    def __str__(self):
        return f"{self.name} q {self.shapes[0]} heads={self.options['heads']} dilation={self.options['dilation']}"


class Run:
    """Inputs and results of one case on the device."""

    def __init__(self, device: Device, case, inputs, grad, dtype: str, shift: bool = False):
        """`shift`: all but the workspace by one element, as views of an array may be."""
        self.device, self.case, self.dtype = device, case, dtype
        self.launcher = f"mxnetseg_gpu_{case.name.split('_')[1]}"
        size = np.dtype(dtype).itemsize
        before = size * shift
        self.owned = [device.allocate(array.size * size + before) for array in (*inputs, grad, grad, *inputs)]
        arrays = [ctypes.c_void_p(pointer.value + before) for pointer in self.owned]
        *self.inputs, self.grad = arrays[: len(inputs) + 1]
        self.results = arrays[len(inputs) + 1 :]
        for pointer, array in zip(arrays, (*inputs, grad)):
            device.upload(pointer, array.astype(dtype))
        self.geometry = ctypes.byref(case.geometry)
        workspace = getattr(device.library, f"{self.launcher}_workspace")
        workspace.restype = ctypes.c_int64
        self.workspace = device.allocate(workspace(TYPES[dtype], self.geometry))
        elements = [int(np.prod(shape)) for shape in case.shapes]
        out = int(np.prod(case.out_shape))
        # bytes that any implementation must read and write
        self.traffic = [(sum(elements) + out) * size, (2 * sum(elements) + out) * size]

    def launch(self, which, inputs, results, workspace=None):
        pointers = [(ctypes.c_void_p * len(of))(*(pointer.value for pointer in of)) for of in (inputs, results)]
        self.device.call(f"{self.launcher}_{which}", TYPES[self.dtype], self.geometry, *pointers, workspace, None)

    def forward(self):
        self.launch("forward", self.inputs, self.results[:1])

    def backward(self):
        self.launch("backward", [self.grad, *self.inputs], self.results[1:], self.workspace)

    def download(self):
        self.device.call("device_wait")
        shapes = [self.case.out_shape, *self.case.shapes]
        return [self.device.download(p, shape, self.dtype) for p, shape in zip(self.results, shapes)]

    def free(self):
        self.device.free([*self.owned, self.workspace])


def draw(case, kind: str, dtype: str, seed=0):
    """Inputs and a gradient, rounded to `dtype` so that the reference sees the same numbers."""
    rng = np.random.RandomState(seed)
    arrays = [rng.randn(*shape) * 0.5 for shape in case.shapes]
    offset = rng.randn(*case.shapes[case.offset])
    if kind == "borders":  # whole and half pixels, far enough to leave the map on every side
        offset = np.round(offset * case.geometry.height) / 2
    elif kind == "far":
        offset = rng.choice([0.25, -1e4, 3e4, np.nan, np.inf], offset.shape)
    arrays[case.offset] = offset
    with np.errstate(invalid="ignore"):
        return [a.astype(dtype).astype("float64") for a in (*arrays, rng.randn(*case.out_shape))]


CHECKS = [
    Unfold(2, 3, 5, 7),
    Unfold(1, 9, 8, 6, padding=2, dilation=2, stride=3),
    Unfold(1, 1, 9, 4, padding=0, stride=2),
    Unfold(2, 40, 9, 5),  # more than one warp takes, in positions and channels
    Attention(2, 2, 64, 5, 7),
    Attention(1, 3, 20, 6, 4, padding=2, dilation=2),
    Attention(1, 1, 100, 3, 3),
    Attention(1, 2, 1, 4, 5),
]
# DGMN2-tiny's four stages at 512x512, batch 2
TIMINGS = [
    *(Unfold(2 * heads, 64, size, size) for heads, size in ((1, 128), (2, 64), (5, 32), (8, 16))),
    *(Attention(2, heads, 64, size, size) for heads, size in ((1, 128), (2, 64), (5, 32), (8, 16))),
]


def check(device: Device) -> int:
    wrong = 0
    for case in CHECKS:
        for kind in ("random", "borders", "far", "shifted"):
            for dtype in TYPES:
                *inputs, grad = draw(case, kind, dtype)
                wanted = case.reference(inputs, grad)
                run = Run(device, case, inputs, grad, dtype, shift=kind == "shifted")
                run.forward()
                run.backward()
                errors = []
                for got, true in zip(run.download(), wanted):
                    error = np.abs(got.astype("float64") - true).max() / max(1.0, np.abs(true).max())
                    errors.append(error if np.isfinite(error) else np.inf)
                run.free()
                good = max(errors) <= TOLERANCE[dtype]
                wrong += not good
                listed = " ".join(f"{error:.0e}" for error in errors)
                print(f"{'ok   ' if good else 'WRONG'} {case} {kind} {dtype}: {listed}", flush=True)
    print(f"{wrong} of the checks are WRONG" if wrong else "every check is right")
    return wrong


def time_all(device: Device, table: bool) -> None:
    bandwidth = device.bandwidth()
    torch = composed = None
    if importlib.util.find_spec("torch"):
        import torch

        from tools.bench import composed_torch as composed

        torch = torch if torch.cuda.is_available() else None
    print(f"\ncopies within the device: {bandwidth / 1e9:.0f} GB/s read and written")
    print("GB/s: what must be read and written, per second; in brackets as a share of a copy's\n")
    if table:
        print("| operator | type | forward, us | backward, us | of a copy's speed | PyTorch forward | with backward |")
        print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for case in TIMINGS:
        for dtype in TYPES:
            *inputs, grad = draw(case, "random", dtype)
            run = Run(device, case, inputs, grad, dtype)
            mine = [device.seconds(launch) for launch in (run.forward, run.backward)]
            rates = [traffic / seconds for traffic, seconds in zip(run.traffic, mine)]
            run.free()
            ratios = []
            if torch is not None:
                theirs = time_torch(torch, composed, case, inputs, grad, dtype)
                ratios = [theirs[0] / mine[0], theirs[1] / sum(mine)]
            if table:
                times = [f"{seconds * 1e6:.0f}" for seconds in mine]
                shares = ", ".join(f"{rate / bandwidth:.0%}" for rate in rates)
                compared = [f"{ratio:.1f} times as long" for ratio in ratios] or ["-", "-"]
                print("|", " | ".join([str(case), dtype, *times, shares, *compared]), "|", flush=True)
                continue
            line = [
                f"{which} {seconds * 1e6:.0f} us, {rate / 1e9:.0f} GB/s ({rate / bandwidth:.0%})"
                for which, seconds, rate in zip(("forward", "backward"), mine, rates)
            ]
            if ratios:
                line.append("PyTorch takes {:.1f} times, with backward {:.1f} times as long".format(*ratios))
            print(f"{case} {dtype}: {'; '.join(line)}", flush=True)


def time_torch(torch, composed, case, inputs, grad, dtype):
    """Seconds of the composition in PyTorch: forward, forward with backward."""
    arrays = [torch.tensor(array, dtype=getattr(torch, dtype), device="cuda", requires_grad=True) for array in inputs]
    grad = torch.tensor(grad, dtype=getattr(torch, dtype), device="cuda")

    def forward():
        if case.name == "deform_unfold":
            return composed.deform_unfold(*arrays).reshape(grad.shape)
        return composed.deform_attention(*arrays, case.options["heads"], case.options["scale"])

    def alone():
        with torch.no_grad():
            forward()

    def both():
        torch.autograd.grad(forward(), arrays, grad)

    medians = []
    for run in (alone, both):
        times = []
        for index in range(25):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            run()
            end.record()
            end.synchronize()
            if index >= 5:
                times.append(start.elapsed_time(end) / 1e3)
        medians.append(float(np.median(times)))
    return medians


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compile-only", action="store_true", help="stop after compiling")
    parser.add_argument("--emulate", action="store_true", help="check the kernels' C++ on the CPU")
    parser.add_argument("--no-timings", action="store_true", help="stop after checking")
    parser.add_argument("--table", action="store_true", help="print the times as a Markdown table")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            device = Device(compile_kernels(Path(folder), args.emulate))
            print("compiled")
            if args.compile_only:
                return 0
            if not device.count():
                raise Missing("there is no CUDA device (or no driver) here: the kernels compile, but were not run")
        except (Missing, MXNetSegError) as err:
            print(err, file=sys.stderr)
            return 2
        except subprocess.CalledProcessError as err:
            print(f"compiling failed (exit status {err.returncode})", file=sys.stderr)
            return 1
        print(device.describe())
        wrong = check(device)
        if not (wrong or args.emulate or args.no_timings):
            time_all(device, args.table)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
