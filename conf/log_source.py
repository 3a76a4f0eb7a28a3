"""The file of `log_config`: read into text, and tried before anybody relies on it.

    python -P -m forkful.conf.log_source FILE       says on standard output what is wrong with it

Can go wrong: whatever can be written into such a file. `wrong_with` tries it in a process of its own, for trying it
configures.
"""

import configparser
import json
import logging
import os
import subprocess
import sys
import tomllib
from pathlib import Path

from forkful.conf import descriptors, log_config

_SECONDS = 30.0  # that trying it may take: classes of the operator's may be imported


def read(path: str) -> str:
    """The file's content as `apply` takes it. Raises `OSError` and `ValueError`."""
    text = Path(path).read_text(encoding="utf-8")
    match Path(path).suffix.lower():
        case ".toml":
            return json.dumps(tomllib.loads(text))
        case ".json":
            content = json.loads(text)
            if not isinstance(content, dict):
                raise ValueError("it is no object")  # noqa: TRY004  # a wrong value, to whoever wrote the file
            return json.dumps(content)
        case ".yaml" | ".yml":
            raise ValueError("YAML is not read; write it as TOML (.toml) or JSON (.json)")
        case _:
            try:
                configparser.ConfigParser().read_string(text)
            except configparser.Error as error:
                raise ValueError(
                    f"it is no ini file ({str(error).splitlines()[0]}), nor called .toml or .json"
                ) from error
            return text


def wrong_with(path: str, directory: str) -> str:
    """What is wrong with this file, in words; empty if nothing is. Nothing in this process changes."""
    try:
        read(path)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except ValueError as error:
        return str(error)
    command = [sys.executable, *descriptors.switches(), "-P", "-m", "forkful.conf.log_source", path]
    try:
        tried = subprocess.run(  # noqa: S603
            command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"could not be tried: {error}"
    said = tried.stdout.decode(errors="replace").strip().rpartition("\n")[2]
    return said if tried.returncode or said else ""


def main() -> int:
    """Try the file. No file that it names is made or written."""

    def only_look(handler: logging.FileHandler) -> object:
        directory = os.path.dirname(handler.baseFilename)  # noqa: PTH120
        if not os.access(handler.baseFilename if os.path.exists(handler.baseFilename) else directory, os.W_OK):  # noqa: PTH110
            raise PermissionError(f"{handler.baseFilename} cannot be written")
        return open(os.devnull, "a")  # noqa: PTH123

    logging.FileHandler._open = only_look  # type: ignore[assignment, method-assign]  # noqa: SLF001
    wrong = log_config.apply(read(sys.argv[1]))
    print(wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
