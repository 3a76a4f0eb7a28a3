"""What the soak serves: the applications of `forkful.handlers.examples`, broken while the file of that name is there.

`soaked:web.app` is `forkful.handlers.examples.web:app`; no worker imports what it does not serve.
"""

import importlib
import os
from pathlib import Path
from types import ModuleType

if Path(os.environ["BROKEN"]).exists():
    raise RuntimeError("this version is broken")


def __getattr__(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"forkful.handlers.examples.{name}")
    except ModuleNotFoundError as error:
        raise AttributeError(name) from error
