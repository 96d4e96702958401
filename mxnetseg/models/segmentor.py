"""Backbone, neck, heads, resize: the part that all models share, written once."""

from functools import partial
from types import SimpleNamespace
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

import mxnet as mx
import numpy as np
from mxnet import autograd, nd
from mxnet.gluon import HybridBlock, nn
from mxnet.ndarray import NDArray

from ..backbones import LEVELS, Backbone
from ..errors import MXNetSegError
from ..network import channels_of, check_input, contexts_of
from ..nn import LinearSum, enlarge_image, forward_only, halve, resize_like, reuse, waits_for_siblings
from ..ops import serves_training, upsample_argmax, waiting
from ..turn import in_turn
from .convolutions import use_winograd

__all__ = ["HALF_LEVELS", "LEVELS", "Branch", "Segmentor"]

HALF_LEVELS = tuple(f"half_{level}" for level in LEVELS)
ENLARGEMENTS = tuple(eighths / 8 for eighths in range(8, 33))


class Branch(NamedTuple):
    """A head, the names of what it is fed, and how many times its logits are enlarged before the last resize.

    Names are c1, c2, c3, c4; half_c1 ... half_c4, the backbone's answers to the image at half its size; image; and,
    for heads of a network with a neck, neck: neck0, neck1, ... where that gives several feature maps.

    A head may return a tuple, its logits first; the next `extra` of them count as auxiliary outputs.
    """

    head: HybridBlock
    inputs: Tuple[str, ...] = ("c4",)
    enlarge: int = 1
    extra: int = 0


class Segmentor(HybridBlock):
    """A semantic segmentation network, composed of a backbone, a head and auxiliary heads.

    Calling it with x (N, channels, H, W), 3 unless it was built for others, gives logits (N, num_classes, H, W), at
    the size of x whatever that is; while recording (`mxnet.autograd.record`) and if it has auxiliary heads, the tuple
    (logits, *aux_logits), all at the size of x. Several threads may call it, and its other methods; they take turns.

    Parameters
    ----------
    backbone : Backbone
        It is told which of its levels are used.
    main : Branch
    aux : sequence of Branch
    neck : Branch, optional
        What several heads are fed with, made once; its head puts out one feature map or a tuple of them.
    align_corners : bool
        Of the last resize, from a head's resolution to that of x.
    enlarge : float
        How many times larger the image is made first, corners aligned: a network sees finer things in small images so.
        1 to 4, in eighths, which every runtime rounds alike.

    Raises
    ------
    MXNetSegError
        A branch is fed with something that there isn't; another `enlarge`.

    Attributes
    ----------
    spec : dict
        The arguments of `mxnetseg.create_model` that build this network again.
    record
        What the checkpoint says that it was loaded from; None for a network that comes from none.
    num_aux : int
    align_corners : bool
    """

    def __init__(
        self,
        backbone: Backbone,
        main: Branch,
        aux: Sequence[Branch] = (),
        *,
        neck: Optional[Branch] = None,
        align_corners: bool = True,
        enlarge: float = 1,
    ):
        super().__init__()
        if isinstance(enlarge, bool) or not isinstance(enlarge, (int, float)) or enlarge not in ENLARGEMENTS:
            raise MXNetSegError(f"enlarge: {enlarge!r} is not a number from 1 to 4 in eighths, such as 1.5")
        used = _inputs([main, *aux], neck)
        known = (*LEVELS, *HALF_LEVELS, "image")
        unknown = [name for name in used if name not in known and not (neck and name.startswith("neck"))]
        if unknown:
            raise MXNetSegError(f"a branch is fed with {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        backbone.keep({level for level, half in zip(LEVELS, HALF_LEVELS) if level in used or half in used})
        with self.name_scope():
            self.backbone = backbone
            if neck:
                self.neck = neck.head
            self.head = main.head
            self.aux_heads = nn.HybridSequential()
            self.aux_heads.add(*(branch.head for branch in aux))
        self.spec: Dict[str, Any] = {}
        self.record: Any = None  # a Record, which is no business of this room
        self.num_aux = len(aux) + main.extra
        self._least_side = backbone.least_side * (1 if used.isdisjoint(HALF_LEVELS) else 2)
        self.align_corners = align_corners
        # One compiled graph per use: inference must not pay for auxiliary heads. The graphs share
        # this network's blocks and are kept out of its children, so parameter names stay single.
        plain, every = [main._replace(extra=0)], [main, *aux]
        build = partial(_Graph, backbone, neck, enlarge=enlarge)
        self._graphs = SimpleNamespace(
            logits=build(plain, align_corners, learns=False),
            coarse=build(plain, align_corners, to_input=False, learns=False),
            train=build(every, align_corners),
            train_coarse=build(every, align_corners, to_input=False),
            heads=build(every, None),
        )

    @property
    def contexts(self) -> List[mx.Context]:
        """The contexts that hold the parameters; MXNetSegError for a network without values."""
        return contexts_of(self)

    def forward(self, x):
        if not isinstance(x, NDArray):  # a Symbol: this network is part of a larger graph
            return self.hybrid_forward(None, x)
        check_input(x, self._least_side, channels_of(self))
        graph = self._graphs.train if autograd.is_recording() else self._graphs.logits
        return graph(x)

    def hybrid_forward(self, F, x):
        return self._graphs.logits(x)

    def coarse_logits(self, x):
        """The logits before the last resize, for callers that resize them as part of what they do with them."""
        if not isinstance(x, NDArray):
            return self._graphs.coarse(x)
        check_input(x, self._least_side, channels_of(self))
        graph = self._graphs.train_coarse if autograd.is_recording() else self._graphs.coarse
        return graph(x)

    @in_turn
    def class_map(self, x) -> NDArray:
        """(N, H, W) uint8: the class of the greatest logit of every pixel, without logits at full resolution."""
        check_input(x, self._least_side, channels_of(self))
        return upsample_argmax(
            nd, self._graphs.coarse(x), height=x.shape[2], width=x.shape[3], align_corners=self.align_corners
        )

    def training_graph(self, coarse: bool = False, x: Optional[NDArray] = None) -> mx.sym.Symbol:
        """What is computed while recording, of `data`, as a symbol; `coarse`: without the last resizes.

        With an image batch x, by the operators that are chosen for its size, type and context, and for the parameters'
        `grad_req` of now.
        """
        graph = self._graphs.train_coarse if coarse else self._graphs.train
        outputs = graph(mx.sym.var("data"))
        symbol = mx.sym.Group(list(outputs)) if isinstance(outputs, (list, tuple)) else outputs
        return symbol if x is None else graph.quick(symbol, x)

    def head_logits(self, x) -> tuple:
        """Logits (N, num_classes, h, w) of the head, then of each auxiliary head, at their own resolutions."""
        check_input(x, self._least_side, channels_of(self))
        outputs = self._graphs.heads(x)
        return tuple(outputs) if isinstance(outputs, (list, tuple)) else (outputs,)

    @in_turn
    def complete_shapes(self) -> None:
        """Find out every parameter's shape, so that `initialize` allocates at once."""
        self._graphs.heads.infer_shape(nd.zeros((1, channels_of(self), 64, 64)))
        self.forget_traces()

    @in_turn
    def reparameterize(self) -> "Segmentor":
        """Fold sums of linear branches and their norms into single convolutions, for deployment; returns the network.

        The logits stay the same up to rounding; training goes on without the norms, so train before. A
        network without such branches stays as it is.
        """
        self.apply(lambda block: block.fold() if isinstance(block, LinearSum) else None)
        self.forget_traces()
        self.spec["reparameterized"] = True
        return self

    @in_turn
    def hybridize(self, active: bool = True, **kwargs: Any) -> None:
        super().hybridize(active, **kwargs)
        for graph in vars(self._graphs).values():
            graph.hybridize(active, **kwargs)

    @in_turn
    def cast(self, dtype):
        super().cast(dtype)
        for graph in vars(self._graphs).values():
            graph._clear_cached_op()  # the parameters are the network's; once per graph takes the memory of all copies

    @in_turn
    def export(self, path, epoch=0, remove_amp_cast=True):
        """`HybridBlock.export` of the inference graph; call the hybridized network once before."""
        return self._graphs.logits.export(path, epoch, remove_amp_cast)

    @in_turn
    def optimize_for(self, x, *args, **kwargs):
        """`HybridBlock.optimize_for`, for the inference graph."""
        return self._graphs.logits.optimize_for(x, *args, **kwargs)

    @in_turn
    def forget_sizes(self) -> None:
        """Let the next image's size decide how weights are laid out in memory.

        On a CPU the first one does, for good: images of another size may have weights laid out anew for every call,
        which takes up to half as long as the call.
        """
        for parameter in self.collect_params().values():
            parameter.cast(parameter.dtype)
        self.forget_traces()

    def forget_traces(self) -> None:
        """Have everything traced anew when it is called next, hybridized as it is."""
        for block in (self, *vars(self._graphs).values()):
            block.apply(lambda one: one._clear_cached_op())


class _Graph(HybridBlock):
    """One way through the network: the image enlarged, the backbone, the neck, some heads, and their resizes unless
    align_corners is None; the last of these, to the size of the input, may be left out."""

    def __init__(self, backbone, neck, branches, align_corners, to_input=True, enlarge=1, learns=True):
        super().__init__()
        self.backbone = backbone
        if neck:
            self.neck = neck.head
        self._neck_inputs = neck.inputs if neck else ()
        self._half = not _inputs(branches, neck).isdisjoint(HALF_LEVELS)
        self._branches = [(branch.inputs, branch.enlarge, branch.extra) for branch in branches]
        self._align_corners = align_corners
        self._to_input = to_input
        self._enlarge = enlarge
        self._learns = learns
        self._adds = False  # whether it is compiled to add gradients of several passes up
        self.heads = nn.HybridSequential()
        self.heads.add(*(branch.head for branch in branches))

    @in_turn
    def __call__(self, x):
        if self._learns and not self._adds and _add([one for is_data, one in self._cached_op_args if not is_data]):
            self._clear_cached_op()
        return super().__call__(x)

    def quick(self, symbol, x):
        """The symbol as it is trained with images like x, and gradients as the parameters ask for them now."""
        with waiting(waits_for_siblings(self)):
            served = self._learns and x.dtype == np.float32 and serves_training(x)
        return use_winograd(symbol, x.shape, adds=_add(self.collect_params().values())) if served else symbol

    def _build_cache(self, x):
        self._adds = _add(self.collect_params().values())
        data, outputs = self._get_graph(x)
        self._cached_graph = data, self.quick(outputs, x)
        super()._build_cache(x)

    def hybrid_forward(self, F, x):
        with forward_only(not self._learns), waiting(waits_for_siblings(self)):
            return self._outputs(F, x)

    def _outputs(self, F, x):
        image = enlarge_image(F, x, self._enlarge)
        features = dict(zip(LEVELS, self.backbone(image)), image=image)
        if self._half:
            with reuse():
                features.update(zip(HALF_LEVELS, self.backbone(halve(F, image))))
        if self._neck_inputs:
            maps = self.neck(*(features[name] for name in self._neck_inputs))
            several = isinstance(maps, (list, tuple))
            features.update({f"neck{i}": x for i, x in enumerate(maps)} if several else {"neck": maps})
        outputs = []
        for head, (inputs, enlarge, extra) in zip(self.heads, self._branches):
            logits = head(*(features[name] for name in inputs))
            for out in logits[: 1 + extra] if isinstance(logits, (list, tuple)) else (logits,):
                if self._align_corners is not None:
                    if enlarge > 1:
                        out = resize_like(F, out, out, align_corners=self._align_corners, factor=enlarge)
                    if self._to_input:
                        out = resize_like(F, out, x, align_corners=self._align_corners)
                outputs.append(out)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)


def _add(parameters: Iterable[mx.gluon.Parameter]) -> bool:
    """Whether any asks that gradients of several passes be added up."""
    return any(one.grad_req == "add" for one in parameters)


def _inputs(branches: Sequence[Branch], neck: Optional[Branch]) -> Set[str]:
    """The names of all that the branches and the neck are fed with."""
    return {name for branch in (*branches, *([neck] if neck else [])) for name in branch.inputs}
