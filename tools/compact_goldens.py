"""Make the small copies of expected outputs that tests/goldens keeps.

    python tools/compact_goldens.py DIR NAME...

DIR holds NAME.json (parameters, input, outputs) and NAME.npz (out0, out1, ... of the original
toolkit, subsampled). Each copy is one .npz with 512 fixed samples of every output.
"""

import argparse
import json
from pathlib import Path

import numpy as np

SAMPLES = 512


def compact(source: Path, name: str, target: Path) -> None:
    meta = json.loads((source / f"{name}.json").read_text())
    outputs = np.load(source / f"{name}.npz")
    kept = {}
    rng = np.random.RandomState(0)
    for i in range(meta["n_outputs"]):
        values = outputs[f"out{i}"].ravel()
        index = np.sort(rng.choice(values.size, SAMPLES, replace=False))
        kept[f"index{i}"] = index.astype("int32")
        kept[f"value{i}"] = values[index]
    kept["meta"] = np.array(
        json.dumps(
            {
                "params": meta["params"],
                "input": {k: meta["input"][k] for k in ("seed", "shape")},
                "step": meta["subsample"],
                "std": [out["std"] for out in meta["outputs"]],
                "features": meta["features"],
            }
        )
    )
    np.savez_compressed(target / f"{name}.npz", **kept)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--to", type=Path, default=Path("tests/goldens/classic"))
    args = parser.parse_args()
    args.to.mkdir(parents=True, exist_ok=True)
    for golden in args.names:
        compact(args.source, golden, args.to)
