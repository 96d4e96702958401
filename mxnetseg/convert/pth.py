"""PyTorch's checkpoint files (.pth, .pt, .pth.tar) as NumPy arrays: without PyTorch, executing nothing.

Two formats are read. Since PyTorch 1.6 a checkpoint is a zip archive: `<root>/data.pkl` holds the objects,
`<root>/data/<key>` the bytes of one storage each, `<root>/byteorder` their byte order. Before (and with
`_use_new_zipfile_serialization=False` still) it is a row of pickles: magic number, protocol version, system,
objects, storage keys; the storages follow, each an element count (8 bytes) and the bytes, little-endian.

A tensor is a view of a storage: offset, size and stride in elements. Several may share one storage.
"""

import os
import stat
import zipfile
from io import BytesIO
from typing import Any, BinaryIO, Callable, Dict, Iterator, Tuple

import numpy as np

from ..errors import MXNetSegError
from .unpickle import MOST_BYTES, Function, Inert, Refused, load_pickle, printable

__all__ = ["EMA_KEYS", "PLAIN_KEYS", "read_pth"]

PLAIN_KEYS = ("state_dict", "model_state_dict", "model", "module", "net")
EMA_KEYS = ("state_dict_ema", "ema_state_dict", "model_ema", "ema")

AGAIN = "download it again"


def read_pth(path, *, ema: bool = False) -> Dict[str, np.ndarray]:
    """Read the weights of a PyTorch checkpoint.

    The state dict may be the whole file or lie in nested dicts. Of several, the first is taken: at each level
    under `state_dict`, `model_state_dict`, `model`, `module`, `net` in this order, then the tensors of the level
    itself. Moving averages lie under `state_dict_ema`, `ema_state_dict`, `model_ema`, `ema`; a file that has
    nothing else gives those. Two habits are known besides: MMCV's EMAHook keeps averages in the same dict, as
    `ema_backbone_conv_weight` for `backbone.conv.weight`; MMEngine saves the averages as `state_dict` and what
    they were made of as `ema_state_dict`, so there both settings give `state_dict`.

    Prefixes that all names have (`module.` of DataParallel, `_orig_mod.` of torch.compile) are taken off.

    Parameters
    ----------
    path : str or Path
    ema : bool
        Take the moving averages of the weights; parameters that were not averaged (MMCV's buffers) come from
        the plain ones.

    Returns
    -------
    dict
        Name -> array of the tensor's shape and type, bfloat16 as float32, in the file's order; entries that are
        no tensors are left out. Arrays are read-only; those of one storage share memory, and may be strided.

    Raises
    ------
    MXNetSegError
        The file is missing, truncated, damaged or no checkpoint; refers to anything that weights don't need;
        holds no tensors, tensors outside their storage or of a type that NumPy lacks; `ema` asks for averages
        that aren't there.
    """
    try:
        return _read(path, ema)
    except Refused as err:
        raise MXNetSegError(f"checkpoint {path}: {err}") from None
    except OSError as err:
        raise MXNetSegError(f"checkpoint {path}: can't be read ({err.strerror or err})") from err
    except Exception as err:  # zipfile, struct and NumPy fail in more ways than they document
        raise MXNetSegError(f"checkpoint {path}: damaged ({type(err).__name__}); {AGAIN}") from err


def _read(path, ema: bool) -> Dict[str, np.ndarray]:
    kind = os.stat(path).st_mode
    if stat.S_ISDIR(kind):
        raise Refused("is a folder; name the file in it")
    if not stat.S_ISREG(kind):  # a pipe would block, a device never ends
        raise Refused("is no ordinary file; copy it to one")
    with open(path, "rb") as file:
        head = file.read(1024)
        if head.startswith(b"PK\x03\x04"):
            archive = _Zip(file)
        elif head.startswith(b"\x80"):
            archive = _Legacy(file)
        else:
            raise Refused(_not_a_checkpoint(head))
        state = _state_dict(archive.content, ema)
        read = _Reader(archive.storage_bytes)
        return {name: read(name, tensor) for name, tensor in state.items()}


def _not_a_checkpoint(head: bytes) -> str:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return f"is empty; {AGAIN}"
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`, or download it"
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return f"is a web page, not a checkpoint: the download failed (is a login or a confirmation needed?); {AGAIN}"
    if head[257:262] == b"ustar":
        return (
            "is a tar archive; if it was saved by PyTorch before 0.1.10 load and save it again with a newer PyTorch, "
            "otherwise unpack it first"
        )
    if head.startswith(b"\x1f\x8b"):
        return "is compressed with gzip; unpack it first"
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        return f"is a text, not a checkpoint ({printable(head[:40].decode('ascii'))!r}); {AGAIN}"
    return f"is no checkpoint of PyTorch, or is damaged at its start; {AGAIN}"


# ---- what the pickle may mention ------------------------------------------------------------------------------

# PyTorch's type -> bytes of an element, NumPy's type; None where NumPy has nothing like it
_DTYPES = {
    "float64": (8, "<f8"),
    "float32": (4, "<f4"),
    "float16": (2, "<f2"),
    "bfloat16": (2, "bfloat16"),
    "int64": (8, "<i8"),
    "int32": (4, "<i4"),
    "int16": (2, "<i2"),
    "int8": (1, "i1"),
    "uint64": (8, "<u8"),
    "uint32": (4, "<u4"),
    "uint16": (2, "<u2"),
    "uint8": (1, "u1"),
    "bool": (1, "bool"),
    "complex128": (16, "<c16"),
    "complex64": (8, "<c8"),
    "complex32": (4, None),
    "float8_e4m3fn": (1, None),
    "float8_e4m3fnuz": (1, None),
    "float8_e5m2": (1, None),
    "float8_e5m2fnuz": (1, None),
    "qint8": (1, None),
    "qint32": (4, None),
    "quint8": (1, None),
    "quint4x2": (1, None),
    "quint2x4": (1, None),
}

_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "QInt8Storage": "qint8",
    "QInt32Storage": "qint32",
    "QUInt8Storage": "quint8",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
    "UntypedStorage": None,  # counted in bytes
}

# Found in published checkpoints beside the tensors: options, logs, states of optimizers. None of it is needed.
_INERT = {
    "__builtin__": "basestring bytearray bytes complex dict float frozenset int list long object range set slice "
    "str tuple type unicode xrange Ellipsis NotImplemented",
    "_codecs": "encode",
    "addict": "Dict",
    "addict.addict": "Dict",
    "argparse": "Namespace",
    "collections": "deque",
    "copy_reg": "_reconstructor",
    "datetime": "date datetime timedelta timezone",
    "easydict": "EasyDict",
    "mmcv.utils.config": "Config ConfigDict",
    "mmengine.config": "Config ConfigDict",
    "mmengine.config.config": "Config ConfigDict",
    "mmengine.logging": "HistoryBuffer",
    "mmengine.logging.history_buffer": "HistoryBuffer",
    "numpy": "dtype ndarray bool_ float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64",
    "numpy.core.multiarray": "_reconstruct scalar",
    "numpy.core.numeric": "_frombuffer",
    "omegaconf.base": "ContainerMetadata Metadata Node",
    "omegaconf.dictconfig": "DictConfig",
    "omegaconf.listconfig": "ListConfig",
    "omegaconf.nodes": "AnyNode BooleanNode FloatNode IntegerNode StringNode",
    "pathlib": "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath",
    "pathlib._local": "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath",
    "pytorch_lightning.callbacks.early_stopping": "EarlyStopping",
    "pytorch_lightning.callbacks.model_checkpoint": "ModelCheckpoint",
    "pytorch_lightning.utilities.parsing": "AttributeDict",
    "timm.utils.misc": "Namespace",
    "torch": "Tensor device strided contiguous_format channels_last preserve_format",
    "torch._tensor": "Tensor",
    "torch.nn.parameter": "Buffer Parameter",
    "torch.serialization": "_get_layout",
    "torch.storage": "TypedStorage _TypedStorage",
    "types": "SimpleNamespace",
    "typing": "Any",
    "yacs.config": "CfgNode",
}
_INERT = {(module, name) for module, names in _INERT.items() for name in names.split()}

_OTHER_NAMES = {"builtins": "__builtin__", "copyreg": "copy_reg"}  # Python 3's, of modules that the table has


class _Kind:
    """The type of a storage or a tensor; `name` is None for bytes without a type."""

    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name

    @property
    def itemsize(self) -> int:
        return 1 if self.name is None else _DTYPES[self.name][0]


class _Storage:
    """`count` elements from element `start` on, of the `whole` elements under `key`."""

    __slots__ = ("count", "key", "kind", "start", "whole")

    def __init__(self, key: str, kind: _Kind, whole: int, start: int, count: int):
        self.key, self.kind, self.whole, self.start, self.count = key, kind, whole, start, count


class _Tensor:
    __slots__ = ("kind", "offset", "plain", "size", "storage", "stride")

    def __init__(self, storage: _Storage, offset: int, size: tuple, stride: tuple, kind: _Kind, plain: bool):
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride
        self.kind, self.plain = kind, plain


def _find(module: str, name: str) -> Any:
    """What stands for a global of the pickle."""
    known = (_OTHER_NAMES.get(module, module.replace("numpy._core.", "numpy.core.")), name)
    if known in _FUNCTIONS:
        return _FUNCTIONS[known]
    if known in _INERT or (module == "numpy.dtypes" and name.endswith("DType") and len(name) < 32):
        return Inert(f"{module}.{name}")
    if name in _STORAGES and module in ("torch", "torch.cuda", "torch.storage"):
        return _Kind(_STORAGES[name])
    if module == "torch" and name in _DTYPES:
        return _Kind(name)
    raise Refused(_unneeded(f"{module}.{name}"))


def _unneeded(name: str) -> str:
    return (
        f"holds a reference to {printable(name)}, which weights don't need; nothing was executed. Take the file from "
        "its publisher; if it is what they meant and you trust them, open it with PyTorch and save the model's "
        "state_dict() alone"
    )


def _getattr(target, name) -> Inert:
    # MMEngine's logs name methods of theirs in this way; of an inert object everything is inert
    if type(target) is not Inert or type(name) is not str:
        raise Refused(_unneeded("builtins.getattr"))
    return target


def _make_dict(*items) -> Dict[str, Any]:
    """OrderedDict(), defaultdict(factory), Counter(dict); Python 2 gives an OrderedDict's items as a list of pairs."""
    made = {}
    for given in items:
        if type(given) is dict:
            made.update(given)
        elif type(given) is list:
            made.update((pair[0], pair[1]) for pair in given if type(pair[0]) is str)
    return made


def _size(*sizes) -> tuple:
    if any(type(given) not in (tuple, list) for given in sizes):
        raise ValueError("a size of another type")
    return tuple(sizes[0]) if sizes else ()


def _rebuild_tensor(storage, offset, size, stride) -> _Tensor:
    return _check_tensor(storage, offset, size, stride, storage.kind)


def _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks, metadata=None) -> _Tensor:
    return _check_tensor(storage, offset, size, stride, storage.kind, plain=not metadata)


def _rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype, metadata=None) -> _Tensor:
    return _check_tensor(storage, offset, size, stride, dtype, plain=not metadata)


def _rebuild_parameter(tensor, requires_grad, hooks, state=None) -> _Tensor:
    if type(tensor) is not _Tensor:
        raise ValueError("a parameter of something else")
    return tensor


def _rebuild_from_type(function, kind, arguments, state) -> _Tensor:
    if type(function) is not Function or not function.name.startswith("torch._utils._rebuild_"):
        raise ValueError("a tensor of something else")
    return function.call(*arguments)


def _check_tensor(storage, offset, size, stride, kind, plain: bool = True) -> _Tensor:
    if type(storage) is not _Storage or type(kind) is not _Kind or kind.name is None:
        raise ValueError("a tensor without storage or type")
    if type(size) is not tuple or type(stride) is not tuple or len(size) != len(stride):
        raise ValueError("size and stride of other types")
    if not all(map(_is_count, (offset, *size, *stride))):
        raise ValueError("size, stride or offset of other types")
    tensor = _Tensor(storage, offset, size, stride, kind, plain)
    elements = storage.count * storage.kind.itemsize // kind.itemsize
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    if len(size) > MOST_DIMENSIONS or (0 not in size and last >= elements) or offset > elements:
        raise Refused(
            f"a tensor of size {printable(size)}, stride {printable(stride)}, offset {printable(offset)} lies outside "
            f"its storage of {printable(elements)} elements; {AGAIN}"
        )
    if _numbers(size) > max(elements, MOST_REPEATED):
        raise Refused(f"a tensor of size {printable(size)} repeats the few elements of its storage; {AGAIN}")
    return tensor


def _is_count(n: Any) -> bool:
    return type(n) is int and 0 <= n < 1 << 63  # longer ones could stall arithmetic and printing


def _numbers(size: tuple) -> int:
    count = 1
    for n in size:
        count *= n
    return count


MOST_DIMENSIONS = 32  # NumPy's
MOST_REPEATED = 1 << 26  # an expanded tensor costs no memory in the file, but may for whoever copies it

_FUNCTIONS = {
    ("collections", "OrderedDict"): Function("collections.OrderedDict", _make_dict, is_class=True),
    ("collections", "defaultdict"): Function("collections.defaultdict", _make_dict, is_class=True),
    ("collections", "Counter"): Function("collections.Counter", _make_dict, is_class=True),
    ("__builtin__", "getattr"): Function("builtins.getattr", _getattr),
    ("torch", "Size"): Function("torch.Size", _size, is_class=True),
    ("torch._utils", "_rebuild_tensor"): Function("torch._utils._rebuild_tensor", _rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Function("torch._utils._rebuild_tensor_v2", _rebuild_tensor_v2),
    ("torch._utils", "_rebuild_tensor_v3"): Function("torch._utils._rebuild_tensor_v3", _rebuild_tensor_v3),
    ("torch._utils", "_rebuild_parameter"): Function("torch._utils._rebuild_parameter", _rebuild_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): Function(
        "torch._utils._rebuild_parameter_with_state", _rebuild_parameter
    ),
    ("torch._tensor", "_rebuild_from_type_v2"): Function("torch._tensor._rebuild_from_type_v2", _rebuild_from_type),
}


# ---- the two formats ------------------------------------------------------------------------------------------


class _Storages:
    """Storages that a pickle mentions, by key; `check` looks at each when it is first seen."""

    def __init__(self, check: Callable[[_Storage], None]):
        self.known: Dict[str, _Storage] = {}
        self.check = check

    def __call__(self, identity) -> _Storage:
        """Persistent id -> storage: ("storage", type, key, device, count) and, in the old format, a view or None."""
        if type(identity) is not tuple or len(identity) not in (5, 6) or identity[0] != "storage":
            raise Refused(f"its pickle refers to something that is no storage; {AGAIN}")
        kind, key, whole = identity[1], identity[2], identity[4]
        if type(kind) is not _Kind or type(key) is not str or not _is_count(whole):
            raise Refused(f"its pickle describes a storage in an unknown way; {AGAIN}")
        start, count = 0, whole
        if len(identity) == 6 and identity[5] is not None:
            _view_key, start, count = identity[5]
            if not (_is_count(start) and _is_count(count) and start + count <= whole):
                raise Refused(f"a view lies outside storage {printable(key)}; {AGAIN}")
        storage = _Storage(key, kind, whole, start, count)
        first = self.known.setdefault(key, storage)
        if first is storage:
            self.check(storage)
        elif first.whole * first.kind.itemsize != whole * kind.itemsize:
            raise Refused(f"storage {printable(key)} has two sizes; {AGAIN}")
        return storage


class _Zip:
    """The format since PyTorch 1.6. `content` is what the pickle holds, with _Tensor for tensors."""

    def __init__(self, file: BinaryIO):
        try:
            self.zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError) as err:
            raise Refused(f"is a truncated or damaged zip archive; {AGAIN}") from err
        self.members = {member.filename: member for member in self.zip.infolist()}
        # members that overlap would let a small file ask for much memory
        if sum(member.file_size for member in self.zip.infolist()) > os.fstat(file.fileno()).st_size:
            if any(member.compress_type for member in self.zip.infolist()):
                raise Refused("is compressed, which torch.save never does; unpack it, and zip it without compression")
            raise Refused(f"is a zip archive whose members overlap; {AGAIN}")
        if not any(member.CRC for member in self.zip.infolist()):  # torch.serialization.set_crc32_options(False)
            for member in self.zip.infolist():
                member.CRC = None  # zipfile: nothing to compare with
        roots = [name[: -len("data.pkl")] for name in self.members if name.endswith("/data.pkl")]
        roots = [root for root in roots if root.count("/") == 1]
        if len(roots) != 1:
            raise Refused(
                "is a zip archive, but none that torch.save wrote (no data.pkl in it); if the checkpoint lies inside, "
                "unpack it first"
            )
        self.root = roots[0]
        if f"{self.root}constants.pkl" in self.members:
            raise Refused(
                "is a TorchScript archive; open it with torch.jit.load and save its state_dict() with torch.save"
            )
        order = self.read("byteorder", 16) if f"{self.root}byteorder" in self.members else b"little"
        if order not in (b"little", b"big"):
            raise Refused(f"its byte order is unknown; {AGAIN}")
        self.swap = order == b"big"
        self.content = load_pickle(BytesIO(self.read("data.pkl", MOST_BYTES)), _find, _Storages(self.check))

    def member(self, name: str) -> zipfile.ZipInfo:
        if self.root + name not in self.members:
            raise Refused(f"{printable(name)} is missing in its zip archive; {AGAIN}")
        return self.members[self.root + name]

    def read(self, name: str, most: int) -> bytes:
        if self.member(name).file_size > most:
            raise Refused(f"{name} in its zip archive is too large; this is no checkpoint of weights")
        content = np.empty(self.member(name).file_size, np.uint8)
        self.fill(name, content)
        return content.tobytes()

    def fill(self, name: str, target: np.ndarray) -> None:
        """Read a member into bytes of its size; zipfile checks the CRC at the member's end."""
        try:
            with self.zip.open(self.member(name)) as source:
                view, at = memoryview(target), 0
                while at < len(view):
                    piece = source.read(min(len(view) - at, 1 << 22))
                    if not piece:
                        raise EOFError
                    view[at : at + len(piece)] = piece
                    at += len(piece)
                source.read(1)
        except Exception as err:
            raise Refused(
                f"{printable(name)} in its zip archive is damaged or not readable ({printable(err)}); {AGAIN}"
            ) from err

    def check(self, storage: _Storage) -> None:
        found, expected = self.member(f"data/{storage.key}").file_size, storage.whole * storage.kind.itemsize
        if found != expected:
            raise Refused(
                f"storage {printable(storage.key)} has {found} bytes where {printable(expected)} are expected; {AGAIN}"
            )

    def storage_bytes(self, storage: _Storage) -> Tuple[np.ndarray, bool]:
        """(bytes,) uint8 of the storage under a key, and whether elements must be swapped."""
        content = np.empty(storage.whole * storage.kind.itemsize, np.uint8)
        self.fill(f"data/{storage.key}", content)
        return content, self.swap


class _Legacy:
    """The format before PyTorch 1.6, with the same members as _Zip."""

    MAGIC = 0x1950A86A20F9469CFC6C
    PROTOCOL = 1001

    def __init__(self, file: BinaryIO):
        self.file = file
        file.seek(0)
        storages = _Storages(lambda storage: None)
        try:
            magic = load_pickle(file, _find, storages, most=64)
        except Refused:
            magic = None
        if magic != self.MAGIC:
            raise Refused(f"is a pickle, but none that torch.save wrote, or is damaged at its start; {AGAIN}")
        if load_pickle(file, _find, storages, most=64) != self.PROTOCOL:
            raise Refused(f"has an unknown version of PyTorch's old format; {AGAIN}")
        load_pickle(
            file, _find, storages, most=4096
        )  # the writer's byte order and sizes of types: storages ignore them
        self.content = load_pickle(file, _find, storages)
        self.places = self._places(load_pickle(file, _find, storages), storages.known)

    def _places(self, keys, known: Dict[str, _Storage]) -> Dict[str, int]:
        end = os.fstat(self.file.fileno()).st_size
        if type(keys) is not list or any(type(key) is not str for key in keys) or set(keys) != set(known):
            raise Refused(f"its list of storages does not fit its tensors; {AGAIN}")
        places, at = {}, self.file.tell()
        for key in keys:
            self.file.seek(at)
            count = int.from_bytes(self.file.read(8), "little")
            if at + 8 > end or at + 8 + known[key].whole * known[key].kind.itemsize > end:
                raise Refused(f"is truncated: storage {printable(key)} is not all there; {AGAIN}")
            if count != known[key].whole:
                raise Refused(f"storage {printable(key)} has another size than its tensors expect; {AGAIN}")
            places[key] = at + 8
            at += 8 + known[key].whole * known[key].kind.itemsize
        return places

    def storage_bytes(self, storage: _Storage) -> Tuple[np.ndarray, bool]:
        content = np.empty(storage.whole * storage.kind.itemsize, np.uint8)
        self.file.seek(self.places[storage.key])
        if self.file.readinto(memoryview(content)) != content.size:
            raise Refused(f"is truncated: storage {printable(storage.key)} is not all there; {AGAIN}")
        return content, False


class _Reader:
    """Turns _Tensor into arrays; reads each storage once, when the first tensor needs it."""

    def __init__(self, storage_bytes: Callable[[_Storage], Tuple[np.ndarray, bool]]):
        self.storage_bytes = storage_bytes
        self.loaded: Dict[Tuple[str, str], np.ndarray] = {}

    def __call__(self, name: str, tensor: _Tensor) -> np.ndarray:
        dtype = _DTYPES[tensor.kind.name][1]
        if dtype is None or not tensor.plain:
            what = tensor.kind.name if dtype is None else "a conjugate or negative view"
            raise Refused(f"tensor {printable(name)} is {what}, which NumPy has no type for; save it as float32")
        elements = self.elements(tensor.storage, tensor.kind.name)
        if 0 in tensor.size:
            array = np.zeros(tensor.size, elements.dtype)
        else:
            # a dimension of 1 may have any stride, also one that NumPy can't count
            strides = [elements.itemsize * (step if n > 1 else 1) for n, step in zip(tensor.size, tensor.stride)]
            start = tensor.storage.start * tensor.storage.kind.itemsize // tensor.kind.itemsize + tensor.offset
            array = np.lib.stride_tricks.as_strided(elements[start:], tensor.size, strides)
        array.flags.writeable = False
        return array

    def elements(self, storage: _Storage, kind: str) -> np.ndarray:
        """(elements,) of the whole storage in NumPy's type."""
        if (storage.key, kind) not in self.loaded:
            itemsize, dtype = _DTYPES[kind]
            content, swap = self.storage_bytes(storage)
            content = content[: content.size // itemsize * itemsize]
            stored = np.dtype("<u2" if dtype == "bfloat16" else dtype)
            elements = content.view(stored.newbyteorder(">") if swap else stored)
            if dtype == "bool":
                elements = content != 0  # NumPy expects 0 and 1, a file may hold other bytes
            elif dtype == "bfloat16":  # the upper half of a float32
                elements = (elements.astype(np.uint32) << 16).view(np.float32)
            self.loaded[storage.key, kind] = elements.astype(elements.dtype.newbyteorder("="), copy=False)
        return self.loaded[storage.key, kind]


# ---- the state dict in the file -------------------------------------------------------------------------------


def _state_dict(content: Any, ema: bool) -> Dict[str, _Tensor]:
    if type(content) is not dict:
        what = "one tensor" if type(content) is _Tensor else f"a {getattr(content, 'name', type(content).__name__)}"
        raise Refused(f"holds {printable(what)} instead of a state dict; save model.state_dict()")
    found = [(averaged, _strip(tensors)) for averaged, tensors in _candidates(content)]
    plain = [tensors for averaged, tensors in found if not averaged]
    averaged = [tensors for averaged, tensors in found if averaged]
    if plain:
        state, averages = _split_averages(plain[0])
        if averages:
            averaged.append({**state, **averages})
        plain[0] = state
    keys = ", ".join(printable(key) for key in list(content)[:12]) + (" ..." if len(content) > 12 else "")
    if ema and not averaged:
        raise Refused(f"holds no moving averages of the weights (top level: {keys}); leave ema out")
    chosen = averaged if ema else plain or averaged
    if not chosen:
        raise Refused(f"holds no tensors (top level: {keys or 'nothing'}); is this the file of the weights?")
    return chosen[0]


def _candidates(node: Dict[str, Any], averaged: bool = False, depth: int = 4, seen=None) -> Iterator[Tuple]:
    """(averaged?, {name: _Tensor}) of each state dict in a file, the preferred ones first."""
    seen = set() if seen is None else seen
    if (id(node), averaged) in seen:  # a dict may hold itself
        return
    seen.add((id(node), averaged))
    mmengine = _is_mmengine(node)
    nothing = True
    for key in PLAIN_KEYS + EMA_KEYS if depth else ():
        if type(node.get(key)) is not dict or (mmengine and key == "ema_state_dict"):
            continue
        for kind, tensors in _candidates(node[key], averaged or key in EMA_KEYS, depth - 1, seen):
            nothing = False
            yield kind, tensors
            if mmengine and key == "state_dict":
                yield True, tensors
    tensors = {name: value for name, value in node.items() if type(value) is _Tensor}
    if tensors and nothing:
        yield averaged, tensors


def _is_mmengine(node: Dict[str, Any]) -> bool:
    """Whether the averages were swapped into state_dict, as MMEngine's EMAHook does; it counts its `steps`."""
    averages = node.get("ema_state_dict")
    return type(node.get("state_dict")) is dict and type(averages) is dict and type(averages.get("steps")) is _Tensor


def _strip(tensors: Dict[str, _Tensor]) -> Dict[str, _Tensor]:
    """Without the prefixes that all names have, and the counter that torch's AveragedModel keeps beside them."""
    for prefix in ("module.", "_orig_mod.", "module.", "_orig_mod."):
        names = [name for name in tensors if name not in ("n_averaged", "steps")]
        if names and all(name.startswith(prefix) for name in names):
            tensors = {name[len(prefix) :]: tensors[name] for name in names}
    return tensors


def _split_averages(tensors: Dict[str, _Tensor]) -> Tuple[Dict[str, _Tensor], Dict[str, _Tensor]]:
    """Plain tensors, and MMCV's moving averages among them under the names that they average."""
    copies = {name: "ema_" + name.replace(".", "_") for name in tensors}
    averages = {name: tensors[copy] for name, copy in copies.items() if copy in tensors}
    dropped = {copies[name] for name in averages}
    return {name: tensor for name, tensor in tensors.items() if name not in dropped}, averages
