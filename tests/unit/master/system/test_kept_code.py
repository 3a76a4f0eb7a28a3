"""Kept code is that of the source, whatever lies in `__pycache__`."""

import marshal
import os
import py_compile
from pathlib import Path

import pytest

from forkful.master.system.kept_code import KeptCode


def value_of(path: Path) -> object:
    """What the module at `path` says its VALUE is, by the code that was kept of it."""
    found: dict[str, object] = {}
    exec(KeptCode({"kept": str(path)}).code("kept"), found)
    return found["VALUE"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "kept.py"
    path.write_text("VALUE = 1\n")
    return path


def test_without_compiled_code_the_source_is_read(source: Path) -> None:
    assert value_of(source) == 1


@pytest.mark.parametrize("mode", list(py_compile.PycInvalidationMode))
def test_compiled_code_is_taken_as_it_lies_there(source: Path, mode: py_compile.PycInvalidationMode) -> None:
    py_compile.compile(str(source), doraise=True, invalidation_mode=mode)

    assert value_of(source) == 1


def test_compiled_code_of_another_source_is_not(source: Path) -> None:
    py_compile.compile(str(source), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    before = source.stat()
    source.write_text("VALUE = 22\n")
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))  # the size alone tells

    assert value_of(source) == 22
    source.write_text("VALUE = 33\n")
    os.utime(source, (0, 0))  # the time alone tells
    assert value_of(source) == 33


@pytest.mark.parametrize("junk", [b"", b"\0" * 15, b"\0" * 100, marshal.dumps(1)])
def test_what_is_no_compiled_code_is_not(source: Path, junk: bytes) -> None:
    compiled = Path(py_compile.compile(str(source), doraise=True) or "")
    compiled.write_bytes(junk)

    assert value_of(source) == 1
