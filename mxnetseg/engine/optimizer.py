"""Optimizers, per-parameter multipliers, clipping, and states as plain arrays."""

import logging
import math
import re
from collections import Counter
from typing import Any, Callable, Container, Dict, List, Mapping, NamedTuple, Optional, Tuple, Type

import mxnet as mx
import numpy as np
from mxnet import gluon, nd

from ..config.schema import OptimizerConfig, ParamRule
from ..errors import MXNetSegError
from ..models import Segmentor
from ..names import near
from .checkpoint import assign
from .layers import BACKBONE, layer_factor

__all__ = ["NAG", "SGD", "Adam", "AdamW", "Group", "Optimizer", "PlainMomentum"]

log = logging.getLogger(__name__)


class SGD(mx.optimizer.SGD):
    """m <- mu * m - lr * (g + decay * w), w <- w + m. One array at a time where `aggregate_num` is 0.

    MXNet's operator for several arrays at once, which spares GPUs launches, takes a CPU twice as long.
    """

    def _update_impl(self, index: Any, weight: Any, grad: Any, state: Any, multi_precision: bool = False) -> None:
        if isinstance(index, (tuple, list)):
            super()._update_impl(index, weight, grad, state, multi_precision)
            return
        self._update_count(index)
        rates = dict(lr=self._get_lr(index), wd=self._get_wd(index), lazy_update=False)
        if state is None:
            nd.sgd_update(weight, grad, out=weight, **rates)
        else:
            nd.sgd_mom_update(weight, grad, state, out=weight, momentum=self.momentum, **rates)


class NAG(mx.optimizer.NAG):
    """Nesterov's momentum with the decay in the gradient: m <- mu * m - lr * g, w <- w + mu * m - lr * g.

    MXNet's kernel writes the weight first and then decays the momentum by the new weight.
    """

    def _update_impl(self, index: int, weight: nd.NDArray, grad: nd.NDArray, *more: Any, **named: Any) -> None:
        decay = super()._get_wd(index)
        super()._update_impl(index, weight, grad + decay * weight if decay else grad, *more, **named)

    def _get_wd(self, index: int) -> float:
        return 0.0  # it is in the gradient


class PlainMomentum(mx.optimizer.Optimizer):
    """SGD as PyTorch's, v <- mu * v + g, w <- w - lr * v, or with `nesterov` w <- w - lr * (g + mu * v).

    The decay is in the gradient. v holds no learning rate, so a rate that changes acts at once; MXNet's
    m <- mu * m - lr * g keeps every gradient at the rate of its own step.
    """

    def __init__(self, momentum: float, nesterov: bool, **kwargs: float):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.nesterov = nesterov

    def create_state(self, index: int, weight: nd.NDArray) -> Optional[nd.NDArray]:
        return nd.zeros_like(weight) if self.momentum else None

    def update(self, index: int, weight: nd.NDArray, grad: nd.NDArray, state: Optional[nd.NDArray]) -> None:
        self._update_count(index)
        decay = self._get_wd(index)
        step = grad + decay * weight if decay else grad
        if state is not None:
            state *= self.momentum
            state += step
            step = step + self.momentum * state if self.nesterov else state
        weight -= self._get_lr(index) * step


class Adam(mx.optimizer.Adam):
    """Adam as PyTorch's: w <- w - lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + epsilon).

    The decay is in the gradient. MXNet's own rule adds epsilon to sqrt(v), which with a beta2 of 0.999 counts 32
    times as much at the first step. Here its kernel gets a rate and an epsilon that make up for that.
    """

    def __init__(self, **kwargs: float):
        super().__init__(lazy_update=False, **kwargs)
        # the kernel's 1 - beta is a difference of float32 numbers, for 0.999 1e-5 off: both moments grow by
        # constant factors, which are taken out again below
        self._factor1, self._factor2 = ((1 - float(np.float32(beta))) / (1 - beta) for beta in (self.beta1, self.beta2))

    def update(self, index: int, weight: nd.NDArray, grad: nd.NDArray, state: Tuple[nd.NDArray, nd.NDArray]) -> None:
        self._update_count(index)
        steps = self._index_update_count[index]
        scale1 = self._factor1 * (1 - self.beta1**steps)
        scale2 = math.sqrt(self._factor2 * (1 - self.beta2**steps))
        rates = dict(lr=self._get_lr(index) * scale2 / scale1, wd=self._get_wd(index), epsilon=self.epsilon * scale2)
        betas = dict(beta1=self.beta1, beta2=self.beta2)
        nd.adam_update(weight, grad, *state, out=weight, **rates, **betas, lazy_update=False)


class AdamW(Adam):
    """AdamW as PyTorch's: w <- (1 - lr * decay) * w, then Adam without decay (Loshchilov & Hutter, 2019)."""

    def update(self, index: int, weight: nd.NDArray, grad: nd.NDArray, state: Tuple[nd.NDArray, nd.NDArray]) -> None:
        decay = super()._get_wd(index) * self._get_lr(index)
        if decay:
            weight *= 1 - decay
        super().update(index, weight, grad, state)

    def _get_wd(self, index: int) -> float:
        return 0.0  # Adam's own decay would go through the moments


def _momentum(c: OptimizerConfig, kind: Type[mx.optimizer.Optimizer], nesterov: bool) -> mx.optimizer.Optimizer:
    if c.momentum_lr == "outside":
        return PlainMomentum(c.momentum, nesterov, learning_rate=c.lr, wd=c.weight_decay)
    return kind(momentum=c.momentum, learning_rate=c.lr, wd=c.weight_decay)


def _adam(c: OptimizerConfig, kind: Type[Adam]) -> Adam:
    beta1, beta2 = c.betas
    return kind(learning_rate=c.lr, beta1=beta1, beta2=beta2, epsilon=c.epsilon, wd=c.weight_decay)


OPTIMIZERS: Dict[str, Callable[[OptimizerConfig], mx.optimizer.Optimizer]] = {
    "sgd": lambda c: _momentum(c, SGD, nesterov=False),
    "nag": lambda c: _momentum(c, NAG, nesterov=True),
    "adam": lambda c: _adam(c, Adam),
    "adamw": lambda c: _adam(c, AdamW),
}


class Group(NamedTuple):
    """Parameters that share a learning rate and a weight decay: how many, and what they are called most often."""

    lr: float
    weight_decay: float
    arrays: int
    numbers: int
    example: str


class Optimizer:
    """Optimizer steps of a network, on all its contexts.

    Gradients of contexts and processes are to be summed before, not averaged: the loss carries the normalisation
    (see `losses.CrossEntropy`). `net` is initialized on its contexts.

    Raises
    ------
    MXNetSegError
        No parameter is to be trained, or a rule matches none.
    """

    def __init__(self, net: Segmentor, config: OptimizerConfig):
        self._parameters = {k: p for k, p in net._collect_params_with_prefix().items() if p.grad_req != "null"}
        if not self._parameters:
            raise MXNetSegError(
                f"{net.spec['name']} has no parameter to train: grad_req of all is 'null'. Let some learn, e.g. "
                "net.head.collect_params().setattr('grad_req', 'write'), or freeze parts by model.freeze instead"
            )
        _apply_rules(self._parameters, config.rules)
        if config.layer_decay is not None:
            for name, parameter in self._parameters.items():
                parameter.lr_mult *= layer_factor(name, net.backbone, config.layer_decay)
        if config.backbone_lr is not None:
            for name, parameter in self._parameters.items():
                parameter.lr_mult *= config.backbone_lr if name.startswith(BACKBONE) else 1.0
        self._config = config
        contexts = next(iter(self._parameters.values())).list_ctx()
        self._optimizer = OPTIMIZERS[config.name](config)
        if contexts[0].device_type == "cpu":
            self._optimizer.aggregate_num = 0
        parameters = {parameter.name: parameter for parameter in self._parameters.values()}
        self._trainer = gluon.Trainer(parameters, self._optimizer, kvstore=None)
        # the trainer sorts its parameters itself; states are saved under structural names
        by_identity = {id(p): name for name, p in self._parameters.items()}
        self._names: List[str] = [by_identity[id(p)] for p in self._trainer._params]
        self._clip = config.clip_norm
        self._contexts = contexts

    def gradients(self) -> Dict[str, List[nd.NDArray]]:
        """By parameter, one for every context; what the next forward pass wants first comes first."""
        return {name: p.list_grad() for name, p in self._parameters.items() if p.grad_req != "null"}

    def update(self, lr: float) -> None:
        """Clip the global norm of the gradients, update."""
        self._trainer.set_learning_rate(lr)
        if self._clip:
            for gradients in zip(*self.gradients().values()):
                norm = nd.sqrt(nd.add_n(*[g.square().sum() for g in gradients])).asscalar()
                if norm > self._clip:
                    for gradient in gradients:
                        gradient *= self._clip / norm
        self._trainer.update(1)

    def warn_of_idle(self, still: Container[str]) -> None:
        """Log the settings that concern nothing but parameters which stand `still` for good."""
        settings = {f"optimizer.rules: {rule.match!r}": rule.match for rule in self._config.rules}
        if self._config.backbone_lr is not None:
            settings["optimizer.backbone_lr"] = f"^{re.escape(BACKBONE)}"
        for setting, pattern in settings.items():
            if all(name in still for name in self._parameters if re.search(pattern, name)):
                log.warning(
                    "%s has no effect: all that it is for is frozen for good; leave it out, freeze less "
                    "(model.freeze), or give model.unfreeze_at",
                    setting,
                )

    def groups(self, still: Container[str] = ()) -> List[Group]:
        """The parameters by learning rate and decay, the lowest rate first, without those that stand `still`."""
        members: Dict[Tuple[float, float], List[str]] = {}
        for name, parameter in self._parameters.items():
            if name in still:
                continue
            members.setdefault((parameter.lr_mult, parameter.wd_mult), []).append(name)
        groups = []
        for (lr_mult, decay_mult), names in sorted(members.items()):
            lr, decay = self._config.lr * lr_mult, self._config.weight_decay * decay_mult
            numbers = sum(self._parameters[name].data(self._contexts[0]).size for name in names)
            places = Counter(map(_place, names))
            example = ", ".join(place for place, _ in places.most_common(3)) + (", ..." if len(places) > 3 else "")
            groups.append(Group(lr, decay, len(names), numbers, example))
        return groups

    def state(self) -> Dict[str, nd.NDArray]:
        """Momenta and moments of the first context, by "<parameter>:<number>"."""
        return {
            f"{self._names[index]}:{number}": array
            for index, state in self._updaters()[0].states.items()
            for number, array in enumerate(_flatten(state))
        }

    def load_state(self, arrays: Mapping[str, np.ndarray], updates: int, fewer: Mapping[str, int] = {}) -> None:
        """Take `state()` back, after `updates` steps had been made; of which parameters named in `fewer` took so many.

        Raises MXNetSegError for one that is missing or has another shape.
        """
        for context, updater in zip(self._contexts, self._updaters()):
            made = {index: fewer.get(name, updates) for index, name in enumerate(self._names)}
            for index in filter(made.get, made):
                name = self._names[index]
                weight = self._parameters[name].data(context)
                updater.states[index] = self._optimizer.create_state_multi_precision(index, weight)
                updater.states_synced[index] = True
                for number, array in enumerate(_flatten(updater.states[index])):
                    assign(array, arrays, f"{name}:{number}", "the optimizer's")
            counts = self._optimizer._all_index_update_counts.setdefault(context.device_id, {})
            counts.update({index: count for index, count in made.items() if count})
        self._optimizer.num_update = updates

    def _updaters(self) -> List[mx.optimizer.Updater]:
        if not self._trainer._kv_initialized:
            self._trainer._init_kvstore()
        updaters: List[mx.optimizer.Updater] = self._trainer._updaters
        return updaters


def _flatten(state: Any) -> List[nd.NDArray]:
    if state is None:
        return []
    return [array for part in state for array in _flatten(part)] if isinstance(state, (list, tuple)) else [state]


def _place(name: str) -> str:
    """backbone.stages.2.7.main.fc1.weight -> backbone.stages.2; backbone.stem.0.gamma -> backbone.stem; heads: head."""
    parts = name.split(".")
    if parts[0] != "backbone":
        return parts[0]
    return ".".join(parts[: 3 if parts[1] == "stages" else 2])


def _apply_rules(parameters: Mapping[str, gluon.Parameter], rules: List[ParamRule]) -> None:
    for parameter in parameters.values():
        parameter.lr_mult = parameter.wd_mult = 1.0
    for rule in rules:
        matching = [p for name, p in parameters.items() if re.search(rule.match, name)]
        if not matching:
            close = near(re.sub(r"[^\w.]", "", rule.match), parameters) or list(parameters)
            raise MXNetSegError(
                f"optimizer.rules: {rule.match!r} matches no parameter; there are {', '.join(close[:3])}, ..."
            )
        for parameter in matching:
            parameter.lr_mult *= rule.lr_mult
            parameter.wd_mult *= rule.decay_mult
