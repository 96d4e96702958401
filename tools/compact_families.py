"""Make the small copies of the originals' outputs that tests/goldens/families keeps.

    python -m tools.compact_families

Reads the whole set where tests/goldens/families.py says it lies. An output keeps at most 256 samples;
of a training step all that the whole set has is kept.
"""

import json

import numpy as np

from tests.goldens.families import COMPACT, EVAL, TRAIN, WHOLE, samples

SAMPLES = 256
META = ("state", "input_seed", "input_shape", "label_seed", "num_classes", "params", "macs_mmcv")


def compact_eval(name: str) -> None:
    meta, found = samples(name)
    kept = {}
    rng = np.random.RandomState(0)
    for key, (index, value) in found.items():
        chosen = np.sort(rng.choice(index.size, min(SAMPLES, index.size), replace=False))
        kept[f"{key}_idx"], kept[f"{key}_val"] = index[chosen].astype("int32"), value[chosen].astype("float32")
    _save(name, {**meta, "outputs": list(found)}, kept, ("outputs",))


def compact_train(name: str) -> None:
    meta = json.loads((WHOLE / f"{name}.json").read_text())
    data = np.load(WHOLE / f"{name}.npz")
    kept = {
        key: data[key].astype("float32") if data[key].dtype == "float64" else data[key]
        for key in data.files
        if not key.endswith("_fp32")
    }
    meta["zero"] = [row[0] for row in meta["zero_grad_params_norm64_norm32"]]
    _save(name, meta, kept, ("total_fp64", "grad_total_norm_fp64", "zero"))


def _save(name: str, meta: dict, arrays: dict, keys) -> None:
    kept = {key: meta[key] for key in (*META, *keys) if key in meta}
    COMPACT.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(COMPACT / f"{name}.npz", meta=np.array(json.dumps(kept)), **arrays)


if __name__ == "__main__":
    for golden in EVAL:
        compact_eval(golden)
    for golden in TRAIN:
        compact_train(golden)
