"""200 steps of torch.optim: gradients from 1e-8 to 1e2, a rate that falls, factors on rate and decay.

optimizers.npz was made by `python -m tests.goldens.optimizers` with PyTorch 2.13.0 on a CPU; tests need no PyTorch.
"""

from pathlib import Path
from typing import Dict, List

import numpy as np

FILE = Path(__file__).with_name("optimizers.npz")
STEPS = 200
SEEN = (1, 2, 10, 100, 200)  # steps after which weights are kept
SCALES = np.repeat(10.0 ** np.arange(-8, 3), 2).astype(np.float32)
MOMENTUM, BETAS, EPSILON, DECAY = 0.9, (0.9, 0.999), 1e-8, 0.01
# the second parameter learns at another rate and does not decay
START = {"weight": 0.0, "bias": 0.5}
LR_MULT = {"weight": 1.0, "bias": 10.0}
DECAY_MULT = {"weight": 1.0, "bias": 0.0}
FACTOR = {"weight": 1.0, "bias": 2.0}  # of the gradient


def rates() -> List[float]:
    """Warm-up from 0 over five steps, then poly to almost 0."""
    return [0.01 * min(1, i / 5) * (1 - i / STEPS) ** 0.9 for i in range(STEPS)]


def gradients() -> np.ndarray:
    """(steps, numbers) float32; they drift one way, so that no sum cancels."""
    draws = np.random.RandomState(0).standard_normal((STEPS, len(SCALES)))
    return ((1 + draws) * SCALES).astype(np.float32)


def by_torch(name: str) -> Dict[str, np.ndarray]:
    """(seen, numbers) float32 weights and biases of sgd, nag, adam or adamw."""
    import torch

    parameters = {k: torch.nn.Parameter(torch.full((len(SCALES),), start)) for k, start in START.items()}
    groups = [dict(params=[p], lr=0.0, weight_decay=DECAY * DECAY_MULT[k]) for k, p in parameters.items()]
    optimizer = {
        "sgd": lambda: torch.optim.SGD(groups, momentum=MOMENTUM),
        "nag": lambda: torch.optim.SGD(groups, momentum=MOMENTUM, nesterov=True),
        "adam": lambda: torch.optim.Adam(groups, betas=BETAS, eps=EPSILON),
        "adamw": lambda: torch.optim.AdamW(groups, betas=BETAS, eps=EPSILON),
    }[name]()
    kept: Dict[str, List[np.ndarray]] = {k: [] for k in parameters}
    for step, (lr, gradient) in enumerate(zip(rates(), gradients()), 1):
        for group, (k, parameter) in zip(optimizer.param_groups, parameters.items()):
            group["lr"] = lr * LR_MULT[k]
            parameter.grad = torch.from_numpy(gradient * np.float32(FACTOR[k]))
        optimizer.step()
        if step in SEEN:
            for k, parameter in parameters.items():
                kept[k].append(parameter.detach().numpy().copy())
    return {k: np.stack(arrays) for k, arrays in kept.items()}


if __name__ == "__main__":
    names = ("sgd", "nag", "adam", "adamw")
    np.savez_compressed(FILE, **{f"{n}:{k}": array for n in names for k, array in by_torch(n).items()})
