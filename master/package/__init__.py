"""Forkful: a prefork server for any Python network handler. Its parts are `forkful.handlers` and `forkful.master`."""

from typing import Any

__all__ = ["__version__"]

__version__: str


def __getattr__(name: str) -> Any:  # Any: PEP 562; asking for the version reads folders, and workers never do
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from forkful.conf.installed import version  # noqa: PLC0415

    return version()
