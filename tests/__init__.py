# MXNet, which half of the tests import first, starts on NumPy 2 only after this
import mxnetseg  # noqa: F401
