"""The installed version of this package, by the name of the folder that its metadata is in.

`importlib.metadata` reads the same in the file, and brings `email` and `zipfile`: a tenth of what the settings cost.
Can go wrong: a place that is no folder, or a name that leaves a doubt: then that library is asked.
"""

import os
import re
import sys
from collections.abc import Iterable

_NAME = re.compile(r"forkful-([0-9][0-9a-z.]*)\.dist-info")
_METADATA = (".dist-info", ".egg-info", ".egg")


def version(places: Iterable[str] | None = None) -> str:
    """Raises `importlib.metadata.PackageNotFoundError` where nothing is installed."""
    for place in sys.path if places is None else places:
        if not os.path.exists(place or "."):  # noqa: PTH110  # texts, as they are on the path
            continue
        try:
            names = os.listdir(place or ".")  # noqa: PTH208  # as above
        except OSError:
            break
        found = [name for name in names if name[:7].lower() == "forkful" and name.endswith(_METADATA)]
        if found:
            plain = _NAME.fullmatch(found[0])
            if plain is None or len(found) > 1:
                break
            return plain[1]
    from importlib.metadata import version as told  # noqa: PLC0415

    return told("forkful")
