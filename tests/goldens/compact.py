"""Make the small copies of the originals' outputs that lie in this folder.

    python -m tests.goldens.compact DIR NAME...   classic models: NAME.json (parameters, input, outputs), NAME.npz
    python -m tests.goldens.compact               MogaNet, FFNet and DGMN2, where families.py says the whole set lies

Of an output, 512 or 256 samples are kept; of a step of training, all that the whole set has.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from tests.goldens.families import COMPACT, EVAL, TRAIN, WHOLE, samples

CLASSIC = Path(__file__).parent / "classic"
META = ("state", "input_seed", "input_shape", "label_seed", "num_classes", "params", "macs_mmcv")


def classic(source: Path, name: str) -> None:
    meta = json.loads((source / f"{name}.json").read_text())
    outputs, rng, kept = np.load(source / f"{name}.npz"), np.random.RandomState(0), {}
    for i in range(meta["n_outputs"]):
        values = outputs[f"out{i}"].ravel()
        chosen = _chosen(rng, values.size, 512)
        kept.update({f"index{i}": chosen.astype("int32"), f"value{i}": values[chosen]})
    about = {
        "params": meta["params"],
        "input": {key: meta["input"][key] for key in ("seed", "shape")},
        "step": meta["subsample"],
        "std": [out["std"] for out in meta["outputs"]],
        "features": meta["features"],
    }
    _save(CLASSIC, name, about, kept)


def family(name: str) -> None:
    meta, found = samples(name)
    rng, kept = np.random.RandomState(0), {}
    for key, (index, value) in found.items():
        chosen = _chosen(rng, index.size, min(256, index.size))
        kept.update({f"{key}_idx": index[chosen].astype("int32"), f"{key}_val": value[chosen].astype("float32")})
    _save(COMPACT, name, {**_about(meta), "outputs": list(found)}, kept)


def family_step(name: str) -> None:
    meta = json.loads((WHOLE / f"{name}.json").read_text())
    data = np.load(WHOLE / f"{name}.npz")
    kept = {
        key: data[key].astype("float32") if data[key].dtype == "float64" else data[key]
        for key in data.files
        if not key.endswith("_fp32")
    }
    about = _about(meta, "total_fp64", "grad_total_norm_fp64")
    _save(COMPACT, name, {**about, "zero": [row[0] for row in meta["zero_grad_params_norm64_norm32"]]}, kept)


def _about(meta: dict, *more: str) -> dict:
    return {key: meta[key] for key in (*META, *more) if key in meta}


def _chosen(rng, size: int, count: int) -> np.ndarray:
    return np.sort(rng.choice(size, count, replace=False))


def _save(folder: Path, name: str, meta: dict, arrays: dict) -> None:
    np.savez_compressed(folder / f"{name}.npz", meta=np.array(json.dumps(meta)), **arrays)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", nargs="?", type=Path, metavar="DIR")
    parser.add_argument("names", nargs="*", metavar="NAME")
    args = parser.parse_args()
    for golden in args.names:
        classic(args.source, golden)
    if args.source is None:
        for golden in EVAL:
            family(golden)
        for golden in TRAIN:
            family_step(golden)
