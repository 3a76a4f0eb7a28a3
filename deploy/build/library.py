"""The library: what the table names, as one extension for setuptools to build.

mypyc turns the modules into one file of C, from the source as it lies here under the name `forkful`; with `entrance.c`
that becomes a library beside the source in `forkful/worker`. It notes all source that mypyc may have read for it,
since what it takes for known (constants, the insides of classes) may come from any of that.
Can go wrong: mypyc does not take the source: it says why, and the build ends.
"""

import ast
import os
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final

from mypyc.build import mypycify
from setuptools import Extension
from table import COMPILED

ROOT: Final = Path(__file__).resolve().parents[2]
GROUP: Final = "forkful"
SIZE: Final = 16  # bytes of a digest, as `worker/compiled.py` makes it
#: Not the project's settings, which are for who checks the source: here the packages that it imports may be missing.
OPTIONS: Final = (
    *("--config-file", os.devnull, "--cache-dir", os.devnull, "--ignore-missing-imports"),
    *("--namespace-packages", "--explicit-package-bases"),
)


def extension(work: Path) -> Extension:
    """What is to be compiled: C in `work`."""
    work.mkdir(parents=True, exist_ok=True)
    link = work / "forkful"
    if not link.is_symlink():
        link.symlink_to(ROOT)
    before = Path.cwd()
    os.environ["MYPYPATH"] = str(work)
    os.chdir(work)  # tracebacks have the paths that are given here
    try:
        paths = [str(place(name)) for name in COMPILED]
        made = mypycify([*OPTIONS, *paths], target_dir="c", group_name=GROUP, opt_level="3", debug_level="0")
        (work / "c" / "sources.h").write_text(header())
    finally:
        os.chdir(before)
    # The others would be libraries that do what our entrance does, one for each module.
    [one] = [one for one in made if one.name == f"{GROUP}__mypyc"]
    one.name = f"forkful.worker.{GROUP}__mypyc"
    one.sources = [*(str(work / source) for source in one.sources), str(Path(__file__).with_name("entrance.c"))]
    one.depends = [str(work / "c" / "sources.h")]
    one.include_dirs = [str(work / directory) for directory in one.include_dirs]
    # Another compiler may warn of other things, and nobody wrote that code.
    one.extra_compile_args = [flag for flag in one.extra_compile_args if flag != "-Werror"]
    return one


def header() -> str:
    """For `entrance.c`: the modules, and all that they are made of."""
    sources = ",\n".join(f'    {{"{name}", "{digest}"}}' for name, digest in made_of(COMPILED))
    modules = ",\n".join(f'    "{name}"' for name in COMPILED)
    return (
        f"static const char *const SOURCES[][2] = {{\n{sources},\n}};\n"
        f"static const char *const MODULES[] = {{\n{modules},\n}};\n"
    )


def made_of(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """These modules and all of ours that they import, with the digest of each source."""
    waiting, seen = list(names), set(names)
    while waiting:
        name = waiting.pop()
        source = place(name).read_bytes()
        yield name, blake2b(source, digest_size=SIZE).hexdigest()
        new = set(imported(source)) - seen
        seen |= new
        waiting += new


def imported(source: bytes) -> Iterator[str]:
    """Modules of ours that this source imports, at any time."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] == GROUP:
                yield from (name for one in node.names if (name := f"{module}.{one.name}") and place(name).exists())
                if place(module).exists():
                    yield module


def place(name: str) -> Path:
    """Where the source of a module is, from the directory with the link."""
    path = Path(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
