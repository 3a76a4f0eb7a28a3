"""What the tests of both interfaces share."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture
def collector_is_off() -> Iterator[None]:
    """Only reference counting releases anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
