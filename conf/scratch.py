"""Scratch: a directory for what need not last, wherever one can be written.

In a container the root file system may be read-only, and then `/tmp` is, too.
Can go wrong: there is none (`None`); its users do without, each in its own way.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping

_USUAL = ("/tmp", "/var/tmp", "/usr/tmp", "/dev/shm")  # noqa: S108  # what is made there has a name of its own, and mode 0700  # nosec B108
_LAST = ("/run",)


def places(environ: Mapping[str, str]) -> Iterator[str]:
    """Where to look, in this order: what the operator named, where everybody may write, what is ours alone."""
    named = [environ.get(name, "") for name in ("TMPDIR", "TEMP", "TMP")]
    own = [environ.get("RUNTIME_DIRECTORY", "").split(":")[0], environ.get("XDG_RUNTIME_DIR", "")]
    yield from dict.fromkeys(os.path.abspath(place) for place in (*named, *_USUAL, *own, *_LAST) if place)  # noqa: PTH100


def make(prefix: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """Make a directory of our own in the first place that takes it."""
    for place in places(environ):
        with contextlib.suppress(OSError):
            return tempfile.mkdtemp(prefix=prefix, dir=place)
    return None


def directory(environ: Mapping[str, str] = os.environ) -> str | None:
    """The first place that takes a file."""
    for place in places(environ):
        with contextlib.suppress(OSError):
            tempfile.TemporaryFile(dir=place).close()
            return place
    return None
