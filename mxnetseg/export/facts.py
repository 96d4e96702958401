"""What an ONNX file says of itself: the texts in its metadata."""

import json
from typing import Any, Dict, Optional, Tuple

from .. import __version__
from ..engine.record import Record
from ..network import Network
from ..versions import package_version

__all__ = ["facts"]


def facts(
    network: Network,
    record: Record,
    *,
    digest: str,
    size: Optional[Tuple[int, int]],
    batch: Optional[int],
    output: str,
    with_preprocessing: bool,
    dtype: str,
) -> Dict[str, str]:
    """Texts by key; what is no text is JSON. The keys are listed in docs/export.md."""
    feeding = record.feeding
    found: Dict[str, Any] = {
        "model": network.spec.get("name"),
        "backbone": network.spec.get("backbone"),
        "data_set": feeding.name,
        "classes": feeding.classes,
        "palette": feeding.palette,
        "channel_order": "RGB",
        "mean": feeding.mean,
        "std": feeding.std,
        "normalized_inside": with_preprocessing,
        "base": feeding.base,
        "fit": feeding.fit,
        "size": size or "free",
        "batch": batch or "free",
        "output": output,
        "dtype": dtype,
        "scores": record.scores.model_dump(include={"pa", "macc", "miou"}) if record.scores else None,
        "checkpoint_sha256": digest or None,
        "versions": {"mxnetseg": __version__, **{name: package_version(name) for name in ("mxnet", "onnx")}},
    }
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in found.items() if value is not None
    }
