"""Whitenoise in front of an application, as its documentation has it."""

from typing import Any

from whitenoise import WhiteNoise

from tests.bench.apps.hello import wsgi


def make(folder: str) -> Any:  # Any: it has no types
    return WhiteNoise(wsgi, root=folder)
