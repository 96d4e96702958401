"""Weights and inputs that anyone can generate: each tensor is drawn from a stream seeded by its own name."""

import zlib

import numpy as np


def stream(name):
    """The random stream of a tensor's name."""
    return np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF)


def parameter(name, shape):
    """The float32 array that the goldens use for the parameter called `name` in the original toolkit."""
    rng = stream(name)
    leaf = name.rsplit(".", 1)[-1]
    shape = tuple(shape)
    if leaf == "weight":
        value = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    elif leaf == "bias":
        value = rng.standard_normal(shape) * 0.05
    elif leaf in ("beta", "running_mean"):
        value = rng.standard_normal(shape) * 0.1
    elif leaf == "gamma" and shape == (1,):  # a gate
        value = rng.uniform(0.5, 1.0, shape)
    elif leaf in ("gamma", "running_var"):
        value = rng.uniform(0.5, 1.5, shape)
    elif leaf == "pos_embed":
        value = rng.standard_normal(shape) * 0.1
    elif leaf == "alpha":
        value = rng.uniform(0.1, 0.4, shape)
    else:
        raise KeyError(name)
    return value.astype("float32")


def image(seed, shape):
    """The float32 input batch."""
    return np.random.RandomState(seed).standard_normal(tuple(shape)).astype("float32")
