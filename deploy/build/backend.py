"""The build of a wheel: setuptools' own, and with `FORKFUL_COMPILED=1` the HTTP path compiled into it.

    pip install .                        # pure Python: no compiler, nothing more to install for the build
    FORKFUL_COMPILED=1 pip install .     # needs a C compiler and Python's headers; pip gets mypyc for it

An editable installation is always pure: source that is edited would be another than what was compiled.
Can go wrong: no compiler, or mypyc does not take the source: the build ends with what that said.
"""

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import command
from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403  # the hooks of PEP 517 and PEP 660 that stay as they are

#: The library is built by one version, since it begins modules as that one makes them.
COMPILER = "mypy==2.4.1"


def _wanted() -> bool:
    return os.environ.get("FORKFUL_COMPILED") == "1"


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:  # Any: PEP 517 leaves it to the backend
    needs = build_meta.get_requires_for_build_wheel(config_settings)
    return [*needs, COMPILER] if _wanted() else needs


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    command.COMPILES = _wanted()
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
