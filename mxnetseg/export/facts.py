"""What an ONNX file says of itself: the texts in its metadata."""

import json
from typing import Any, Dict, Mapping

from .. import __version__
from ..engine.record import Record, feeding_of
from ..network import Network
from ..versions import package_version

__all__ = ["facts"]


def facts(network: Network, digest: str, wish: Mapping[str, Any]) -> Dict[str, str]:
    """Texts by key; what is no text is JSON. The keys are listed in docs/export.md.

    `digest` is that of the checkpoint, or empty; `wish` holds arguments of `to_onnx`.
    """
    record: Record = network.record or Record()
    feeding = feeding_of(network)
    found: Dict[str, Any] = {
        "model": network.spec.get("name"),
        "backbone": network.spec.get("backbone"),
        "data_set": feeding.name,
        "classes": feeding.classes,
        "palette": feeding.palette,
        "channel_order": "RGB" if feeding.channels is None else "as in files",
        "channels": feeding.channels,
        "range": feeding.range,
        "shown": feeding.shown,
        "mean": feeding.mean,
        "std": feeding.std,
        "normalized_inside": wish["with_preprocessing"],
        "base": feeding.base,
        "fit": feeding.fit,
        "size": wish["size"] or ("free" if wish["multiple"] == 1 else f"free, in multiples of {wish['multiple']}"),
        "batch": wish["batch"] or "free",
        "output": wish["output"],
        "dtype": wish["dtype"],
        "scores": record.scores.model_dump(include={"pa", "macc", "miou"}) if record.scores else None,
        "checkpoint_sha256": digest or None,
        "versions": {"mxnetseg": __version__, **{name: package_version(name) for name in ("mxnet", "onnx")}},
    }
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in found.items() if value is not None
    }
