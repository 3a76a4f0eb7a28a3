"""Which files may leave by sendfile(2): those whose descriptor says all that reading them would.

Can go wrong: nothing; what is not sure is read.
"""

import io
import os
import stat


def sendable(filelike: object) -> tuple[int, int, int] | None:
    """(descriptor, offset, length) of what is left of a real file; None where only reading says what is in it.

    A descriptor alone does not: a `GzipFile` has that of what is packed, and a wrapper may read less than the file. So
    its `read` has to be a file's own, be it handed on, as temporary files and Django's do. Nor does a length of 0,
    which files of /proc have.
    """
    read = getattr(filelike, "read", None)
    file = getattr(getattr(read, "__wrapped__", read), "__self__", None)
    raw = file.raw if type(file) in (io.BufferedReader, io.BufferedRandom) else file  # type: ignore[union-attr]  # so
    if type(raw) is not io.FileIO:
        return None
    try:
        fd, offset = raw.fileno(), file.tell()  # type: ignore[union-attr]  # it is a file
        status = os.fstat(fd)
    except (OSError, ValueError):
        return None
    length = status.st_size - offset
    return (fd, offset, length) if stat.S_ISREG(status.st_mode) and length > 0 else None
