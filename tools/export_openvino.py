"""How far OpenVINO is from the logits that a network gives: run by tools.export_table in the peers' Python.

python tools/export_openvino.py NETWORK.onnx IMAGES.npz      arrays image0, logits0, image1, ...
"""

import sys

import numpy as np
import openvino as ov


def main(path: str, arrays: str) -> None:
    """Print the largest difference, by the largest logit."""
    core = ov.Core()
    model = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    largest = greatest = 0.0
    with np.load(arrays) as given:
        for index in range(len(given.files) // 2):
            wanted = given[f"logits{index}"]
            found = model({"image": given[f"image{index}"]})["logits"]
            if found.shape != wanted.shape:
                raise SystemExit(f"logits {found.shape} instead of {wanted.shape}")
            largest = np.maximum(largest, np.abs(found - wanted).max())
            greatest = np.maximum(greatest, np.abs(wanted).max())
    print(float(largest / greatest))


if __name__ == "__main__":
    main(*sys.argv[1:])
