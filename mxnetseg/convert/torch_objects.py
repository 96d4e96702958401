"""What the pickles of a PyTorch checkpoint may refer to: storages, tensors, and what is left unread beside them."""

from typing import Any, Dict

from .unpickle import Function, Inert, Refused, printable

__all__ = ["AGAIN", "DTYPES", "Kind", "Storage", "Tensor", "find_global", "is_count"]

AGAIN = "download it again"

# PyTorch's type -> bytes of an element, NumPy's type; None where NumPy has nothing like it
DTYPES = {
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


class Kind:
    """The type of a storage or a tensor; `name` is None for bytes without a type."""

    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name

    @property
    def itemsize(self) -> int:
        return 1 if self.name is None else DTYPES[self.name][0]


class Storage:
    """`count` elements from element `start` on, of the `whole` elements under `key`."""

    __slots__ = ("count", "key", "kind", "start", "whole")

    def __init__(self, key: str, kind: Kind, whole: int, start: int, count: int):
        self.key, self.kind, self.whole, self.start, self.count = key, kind, whole, start, count


class Tensor:
    __slots__ = ("kind", "offset", "plain", "size", "storage", "stride")

    def __init__(self, storage: Storage, offset: int, size: tuple, stride: tuple, kind: Kind, plain: bool):
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride
        self.kind, self.plain = kind, plain


def find_global(module: str, name: str) -> Any:
    """What stands for a global of the pickle."""
    known = (_OTHER_NAMES.get(module, module.replace("numpy._core.", "numpy.core.")), name)
    if known in _FUNCTIONS:
        return _FUNCTIONS[known]
    if known in _INERT or (module == "numpy.dtypes" and name.endswith("DType") and len(name) < 32):
        return Inert(f"{module}.{name}")
    if name in _STORAGES and module in ("torch", "torch.cuda", "torch.storage"):
        return Kind(_STORAGES[name])
    if module == "torch" and name in DTYPES:
        return Kind(name)
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


def _rebuild_tensor(storage, offset, size, stride) -> Tensor:
    return _check_tensor(storage, offset, size, stride, storage.kind)


def _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks, metadata=None) -> Tensor:
    return _check_tensor(storage, offset, size, stride, storage.kind, plain=not metadata)


def _rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype, metadata=None) -> Tensor:
    return _check_tensor(storage, offset, size, stride, dtype, plain=not metadata)


def _rebuild_parameter(tensor, requires_grad, hooks, state=None) -> Tensor:
    if type(tensor) is not Tensor:
        raise ValueError("a parameter of something else")
    return tensor


def _rebuild_from_type(function, kind, arguments, state) -> Tensor:
    if type(function) is not Function or not function.name.startswith("torch._utils._rebuild_"):
        raise ValueError("a tensor of something else")
    return function.call(*arguments)


def _check_tensor(storage, offset, size, stride, kind, plain: bool = True) -> Tensor:
    if type(storage) is not Storage or type(kind) is not Kind or kind.name is None:
        raise ValueError("a tensor without storage or type")
    if type(size) is not tuple or type(stride) is not tuple or len(size) != len(stride):
        raise ValueError("size and stride of other types")
    if not all(map(is_count, (offset, *size, *stride))):
        raise ValueError("size, stride or offset of other types")
    tensor = Tensor(storage, offset, size, stride, kind, plain)
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


def is_count(n: Any) -> bool:
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
