"""What the pickles of a PyTorch checkpoint may refer to: storages, tensors, and what is left unread beside them."""

import math
from typing import Any, Dict

from .unpickle import Function, Inert, Refused, printable

__all__ = ["AGAIN", "STRANGE", "Kind", "Storage", "Tensor", "find_global", "is_count"]

AGAIN = "download it again"

# bytes of an element -> PyTorch's types
_SIZES = {
    16: "complex128",
    8: "float64 int64 uint64 complex64",
    4: "float32 int32 uint32 complex32 qint32",
    2: "float16 bfloat16 int16 uint16",
    1: "int8 uint8 bool float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz qint8 quint8 quint4x2 quint2x4",
}
ITEMSIZES = {name: size for size, names in _SIZES.items() for name in names.split()}
# those that NumPy lacks; bfloat16, which it lacks as well, is read as float32
STRANGE = {name for name in ITEMSIZES if name == "complex32" or name.startswith(("float8", "q"))}

_NAMED = "Double Float Half Long Int Short Char Byte Bool ComplexDouble ComplexFloat"
_NUMPY = "float64 float32 float16 int64 int32 int16 int8 uint8 bool complex128 complex64"
_LIKE_TYPE = "BFloat16 QInt8 QInt32 QUInt8 QUInt4x2 QUInt2x4"
_STORAGES = {f"{name}Storage": kind for name, kind in zip(_NAMED.split(), _NUMPY.split())}
_STORAGES.update((f"{name}Storage", name.lower()) for name in _LIKE_TYPE.split())
_STORAGES["UntypedStorage"] = None  # counted in bytes

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
        return ITEMSIZES.get(self.name, 1)


class Storage:
    """`count` elements from element `start` on, of the `whole` elements under `key`."""

    __slots__ = ("count", "key", "kind", "start", "whole")

    def __init__(self, key: str, kind: Kind, whole: int, start: int, count: int):
        self.key, self.kind, self.whole, self.start, self.count = key, kind, whole, start, count

    @property
    def nbytes(self) -> int:
        """Of the whole."""
        return self.whole * self.kind.itemsize


class Tensor:
    __slots__ = ("kind", "offset", "plain", "size", "storage", "stride")

    def __init__(self, storage: Storage, offset: int, size: tuple, stride: tuple, kind: Kind, plain: bool):
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride
        self.kind, self.plain = kind, plain


def find_global(module: str, name: str) -> Any:
    """What stands for a global of the pickle."""
    known = (_OTHER_NAMES.get(module, module.replace("numpy._core.", "numpy.core.")), name)
    call = _FUNCTIONS.get(known) or _CLASSES.get(known)
    if call:
        return Function(f"{module}.{name}", call, is_class=known in _CLASSES)
    if known in _INERT or (module == "numpy.dtypes" and name.endswith("DType") and len(name) < 32):
        return Inert(f"{module}.{name}")
    if name in _STORAGES and module in ("torch", "torch.cuda", "torch.storage"):
        return Kind(_STORAGES[name])
    if module == "torch" and name in ITEMSIZES:
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
    if math.prod(size) > max(elements, MOST_REPEATED):
        raise Refused(f"a tensor of size {printable(size)} repeats the few elements of its storage; {AGAIN}")
    return tensor


def is_count(n: Any) -> bool:
    return type(n) is int and 0 <= n < 1 << 63  # longer ones could stall arithmetic and printing


MOST_DIMENSIONS = 32  # NumPy's
MOST_REPEATED = 1 << 26  # an expanded tensor takes no memory in the file, but a copy of it does

_CLASSES = {
    ("collections", "OrderedDict"): _make_dict,
    ("collections", "defaultdict"): _make_dict,
    ("collections", "Counter"): _make_dict,
    ("torch", "Size"): _size,
}
_FUNCTIONS = {
    ("__builtin__", "getattr"): _getattr,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
    ("torch._utils", "_rebuild_tensor_v3"): _rebuild_tensor_v3,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _rebuild_from_type,
}
