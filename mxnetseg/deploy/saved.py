"""Optimized networks in files: a checkpoint whose arrays are a graph, its weights, and an answer to check it by.

    graph           the symbol as JSON, bytes in a uint8 array
    weight:NAME     float32 and integers
    bfloat16:NAME   weights in bfloat16
    probe:input     a batch (1, 3, h, w) float32
    probe:output    the graph's logits for it where the file was made

A graph is bound to what made it: oneDNN's fused operators to a version of MXNet, ours to the operator library, int8 to
a processor that multiplies without saturating. What can be compared beforehand is; the probe finds the rest.

MXNet runs the graph, so such a file is no longer the harmless data that a checkpoint is. Its name has to say so.
"""

from pathlib import Path
from typing import Any, Dict, Iterable, Mapping, Optional, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet import nd

from .. import ops
from ..engine import checkpoint
from ..engine.arrays import BFLOAT16
from ..engine.checkpoint import Checkpoint
from ..engine.record import NetworkSpec, OptimizedFacts, Record
from ..errors import MXNetSegError
from ..graph import operators_named
from ..network import channels_of
from ..versions import versions

__all__ = ["calls_out", "check_answer", "read", "write"]

FORMAT = 2  # 1: Winograd's convolutions were two operators around a matrix product
SUFFIX = ".optimized"
PROBE = (64, 96)
# Root mean square of what differs from the answer over the answer's deviation. Measured: 3e-5 in float32 between
# AVX512 and SSE4.1, 0.04 in bfloat16 between processors with and without AVX512-BF16, 0 in int8 on any with VNNI, and
# 0.04 to 0.6 on one without, whose sums of products saturate.
MOST = {"float32": 1e-3, "bfloat16": 0.1, "int8": 0.1}
# Parts of the names of operators that take an address in memory, or the name of Python code, from the file
CALLS_OUT = ("Custom", "_NDArray", "_Native")
ANEW = "optimize the network anew from its checkpoint"


def write(path: Union[str, Path], net: Any, weights: Mapping[str, nd.NDArray], overwrite: bool) -> None:
    """As `DeployedNetwork.save`."""
    path = Path(path)
    if path.suffix != SUFFIX:
        raise MXNetSegError(f"{path}: an optimized network is kept in a file whose name ends with {SUFFIX}")
    if path.exists() and not overwrite:
        raise MXNetSegError(f"{path} is there already; name another place, or overwrite=True")
    text = net.symbol.tojson(remove_amp_cast=False)
    foreign = calls_out(operators_named(text))
    if foreign:
        raise MXNetSegError(
            f"{net!r} can't be kept in a file: its graph has {foreign}, which runs code that would not be in it"
        )
    arrays: Dict[str, Any] = {
        "graph": np.frombuffer(text.encode(), np.uint8),
        "probe:input": _probe(channels_of(net)),
    }
    answer = net.unchecked_logits(nd.array(arrays["probe:input"], ctx=net.contexts[0])).asnumpy()
    if not np.isfinite(answer).all():
        raise MXNetSegError(
            f"{net!r} gives NaN or infinity for an ordinary image; look at the weights before it is kept"
        )
    arrays["probe:output"] = answer
    for name, array in weights.items():
        values = array.asnumpy()
        arrays[f"{'bfloat16' if values.dtype == BFLOAT16 else 'weight'}:{name}"] = values
    facts = OptimizedFacts(format=FORMAT, dtype=net.dtype, align_corners=net.align_corners)
    about = {
        "kind": "optimized",
        "model": NetworkSpec(**net.spec) if net.spec else None,
        "optimized": facts,
        "scores": None,  # they are of the network as it was trained
        "state": None,
        "versions": versions(),
    }
    checkpoint.write(path, arrays, (net.record or Record()).model_copy(update=about))


def read(found: Checkpoint) -> Tuple[OptimizedFacts, mx.sym.Symbol, Dict[str, np.ndarray]]:
    """What an optimized network is made of: facts, graph and weights by name, bfloat16 as `BFLOAT16`.

    Raises
    ------
    MXNetSegError
        The file holds something else, or a graph that can't run here.
    """
    facts = found.record.optimized
    if facts is None:
        raise MXNetSegError(f"checkpoint {found.path} is no optimized network; mxnetseg.load opens it")
    if found.path.suffix != SUFFIX:
        raise MXNetSegError(
            f"checkpoint {found.path} holds an optimized network, a graph that MXNet would run; if it is from someone "
            f"you trust, rename it to {found.path.with_suffix(SUFFIX).name}"
        )
    _check_versions(found, facts)
    weights = {**found.part("weight:"), **found.part("bfloat16:")}
    symbol = _symbol(found)
    missing = [name for name in symbol.list_inputs() if name not in weights and name != "data"]
    if missing or not {"probe:input", "probe:output"} <= set(found.arrays):
        raise _broken(found, f"{', '.join(missing[:4]) or 'its probe'} is missing")
    return facts, symbol, weights


def calls_out(operators: Iterable[str]) -> Optional[str]:
    """The first of the operators that runs code which neither MXNet nor this toolkit has."""
    return next((one for one in operators if any(part in one for part in CALLS_OUT)), None)


def check_answer(net: Any, found: Checkpoint) -> None:
    """Raise MXNetSegError unless the network answers the file's probe as it did where that was made."""
    expected = found.arrays["probe:output"]
    try:
        answer = net.unchecked_logits(nd.array(found.arrays["probe:input"], ctx=net.contexts[0])).asnumpy()
    except mx.MXNetError as err:
        reason = str(err).strip().splitlines()[-1]
        raise MXNetSegError(
            f"checkpoint {found.path}: its {net.dtype} graph does not run here ({reason}); {ANEW} on this machine, "
            "in float32 if its processor has nothing for narrower types"
        ) from err
    if answer.shape != expected.shape:
        raise _broken(found, f"it gives logits {answer.shape} where {expected.shape} are expected")
    noise = float(np.sqrt(np.square(answer - expected).mean()) / max(expected.std(), 1e-30))
    if not noise <= MOST[net.dtype]:
        raise MXNetSegError(
            f"checkpoint {found.path}: its {net.dtype} graph computes something else here than where it was made "
            f"(it differs by {noise:.2g} of the logits' deviation); {ANEW} on this machine, or take another type: int8 "
            "is for processors with VNNI"
        )


def _check_versions(found: Checkpoint, facts: OptimizedFacts) -> None:
    made, here = found.record.versions.get("mxnet", "?"), versions()["mxnet"]
    if facts.format > FORMAT:
        problem = f"is in format {facts.format}, this version of mxnetseg reads {FORMAT}; update it"
    elif facts.format < FORMAT:
        problem = f"is in format {facts.format} of an older mxnetseg, this one reads {FORMAT}; {ANEW}"
    elif made != here:
        problem = f"was made with MXNet {made}, and here is {here}, whose fused operators may differ; {ANEW}"
    elif not mx.runtime.Features().is_enabled("MKLDNN"):
        problem = "needs oneDNN, without which this MXNet was built; install MXNet from its wheel"
    else:
        return
    raise MXNetSegError(f"checkpoint {found.path}: the optimized network {problem}")


def _symbol(found: Checkpoint) -> mx.sym.Symbol:
    try:
        text = found.arrays["graph"].tobytes().decode()
        operators = operators_named(text)
    except (KeyError, TypeError, ValueError, RecursionError) as err:
        raise _broken(found, f"its graph can't be read: {err!r}"[:200]) from err
    foreign = calls_out(operators)
    if foreign:
        raise _broken(found, f"its graph has {foreign}, which runs code from elsewhere")
    if any(operator.startswith("mxnetseg_") for operator in operators):
        try:
            ops.load()
        except MXNetSegError as err:
            raise MXNetSegError(
                f"checkpoint {found.path}: the optimized network was made with the operator library, which can't be had"
                f" here: {err}. Or {ANEW}, which does without"
            ) from err
    try:
        return mx.sym.load_json(text)
    except mx.MXNetError as err:
        raise _broken(found, "MXNet can't read its graph: " + str(err).strip().splitlines()[-1]) from err


def _probe(channels: int) -> np.ndarray:
    """Patches of colour with a little noise."""
    rng = np.random.RandomState(0)
    patches = rng.standard_normal((1, channels, *(side // 8 for side in PROBE))).repeat(8, axis=2).repeat(8, axis=3)
    image: np.ndarray = (patches + 0.1 * rng.standard_normal(patches.shape)).astype(np.float32)
    return image


def _broken(found: Checkpoint, problem: str) -> MXNetSegError:
    return MXNetSegError(f"checkpoint {found.path}: the optimized network is not whole ({problem}); {ANEW}")
