"""A document that one program leaves to the next in the same process: JSON in memory, named by a descriptor.

Can go wrong: memory that cannot be had raises `OSError`.
"""

import json
import os
from typing import Any

Document = dict[str, Any]  # Any: JSON


def write(document: Document) -> int:
    """Put it where an exec inherits it; return the descriptor."""
    fd = os.memfd_create("forkful-document", 0)
    with os.fdopen(os.dup(fd), "w") as file:
        json.dump(document, file)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def read(fd: int) -> Document:
    """Take it, and close the descriptor."""
    with os.fdopen(fd) as file:
        document: Document = json.load(file)
    return document
