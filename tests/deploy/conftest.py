import pytest

from .networks import build


@pytest.fixture(scope="module", autouse=True)
def networks_are_given_back():
    """The networks that `build` keeps, and their gradients, are hundreds of megabytes."""
    yield
    build.cache_clear()
