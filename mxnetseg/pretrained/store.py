"""GluonCV's store of ImageNet weights: one file per classifier, kept where GluonCV keeps it."""

import hashlib
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Optional

from mxnet.gluon.utils import check_sha1, download

from ..errors import MXNetSegError
from ..saving import write_file

__all__ = ["SHA1", "cached_file", "download_file", "models_folder"]

ADDRESS = "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/"
SHA1 = {
    "densenet121": "f27dbf2dbd5ce9a80b102d89c7483342cd33cb31",
    "densenet161": "b6c8a95717e3e761bd88d145f4d0a214aaa515dc",
    "densenet169": "2603f878403c6aa5a71a124c4a3307143d6820e9",
    "densenet201": "1cdbc116bc3a1b65832b18cf53e1cb8e7da017eb",
    "mobilenetv2_0.25": "9b1d2cc38fed4cd171a7f7a0d17fe1a905573887",
    "mobilenetv2_0.5": "0803818513599fa1329524ee3607b708b4a4630f",
    "mobilenetv2_0.75": "b56e3d1c33eb52d0b90678db4ce6c5ca6c9a6704",
    "mobilenetv2_1.0": "f9952bcde7a7982947ac5240546e1c1c8f057370",
    "resnest14": "7e0b0cae2fd7e9084d1e498b858af1429a6eb1cb",
    "resnest26": "364590740605b6a2b95f5bb77436d781a817436f",
    "resnest50": "bcfefe1dd1dd1ef5cfed5563123c1490ea37b42e",
    "resnest101": "5da943b3230f071525a98639945a6b3b3a45ac95",
    "resnest200": "0c5d117df664ace220aa6fc2922c094bb079d381",
    "resnest269": "11ae7f5da2bcdbad05ba7e84f9b74383e717f3e3",
    "resnet18_v1b": "2d9d980c990442f826f20781ed039851e78dabe3",
    "resnet34_v1b": "8e16b84814e84f64d897854003f049872991eaa6",
    "resnet50_v1s": "25a187fa281ddc98afbcd0cc0f0646885b874b80",
    "resnet101_v1s": "bd93a83c05f709a803b1221aeff0b028e6eebb03",
    "resnet152_v1s": "cf74621d988ad06c6c6aa44f5597e5b600a966cc",
    "xception": "37c1c90b56800303a66934487fbf017bca8bba00",
}


def models_folder() -> Path:
    """Where GluonCV keeps what it has downloaded: ~/.mxnet/models ($MXNET_HOME/models)."""
    return Path(os.environ.get("MXNET_HOME") or "~/.mxnet").expanduser() / "models"


def cached_file(name: str) -> Optional[Path]:
    """The whole file of the classifier `name`, if it is in that folder."""
    path = _place(name)
    return path if path.is_file() and check_sha1(str(path), SHA1[name]) else None


def download_file(name: str) -> Path:
    """Download the file of the classifier `name` into that folder, from $MXNET_GLUON_REPO if that is set.

    Raises
    ------
    MXNetSegError
        It can't be had, or what came is another file.
    """
    path = _place(name)
    address = os.environ.get("MXNET_GLUON_REPO") or ADDRESS
    try:
        with tempfile.TemporaryDirectory() as scratch:
            archive = str(Path(scratch, "archive.zip"))
            download(f"{address.rstrip('/')}/gluon/models/{path.stem}.zip", archive, retries=2)
            with zipfile.ZipFile(archive) as unpacked:
                content = unpacked.read(path.name)
    except Exception as err:  # a download fails in many ways
        raise MXNetSegError(f"{path.stem}.zip can't be had from {address} ({err})") from err
    if hashlib.sha1(content).hexdigest() != SHA1[name]:
        raise MXNetSegError(f"{path.stem}.zip from {address} holds another file than {path.name}")
    write_file(path, content)
    return path


def _place(name: str) -> Path:
    return models_folder() / f"{name}-{SHA1[name][:8]}.params"
