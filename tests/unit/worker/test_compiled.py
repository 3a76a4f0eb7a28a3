"""The compiled HTTP path: used where it can be, and otherwise it is said why not."""

import runpy
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from forkful import worker
from forkful.worker import compiled


def test_without_a_library_there_is_nothing_to_say() -> None:
    state, finder = compiled.look(None)

    assert (str(state), state.why, finder) == ("pure", "", None)


def test_what_is_no_library_is_not_used_and_said(tmp_path: Path) -> None:
    library = tmp_path / f"forkful__mypyc{EXTENSION_SUFFIXES[0]}"
    library.write_bytes(b"not ELF")

    state, finder = compiled.look(library)

    assert (str(state), finder) == ("pure", None)
    assert library.name in state.why


def test_a_library_that_vanishes_as_it_is_looked_at_is_not_used_and_said(tmp_path: Path) -> None:
    state, finder = compiled.look(tmp_path / "gone.so")

    assert (str(state), finder) == ("pure", None)
    assert "gone.so" in state.why


def test_what_is_used_here_is_what_the_modules_are() -> None:
    from forkful.worker.http import http1  # noqa: PLC0415  # as it is used

    assert compiled.has(http1.__name__) is compiled.use().compiled
    assert type(http1.HttpConnection.__dict__["answered"]).__name__ == (
        "method_descriptor" if compiled.use().compiled else "function"
    )


def test_another_use_is_the_same() -> None:
    before = list(sys.meta_path)

    assert compiled.use() is compiled.use()
    assert sys.meta_path == before


def test_each_module_of_http_is_compiled_or_has_its_reason_not_to_be() -> None:
    table = runpy.run_path(str(Path(__file__).parents[3] / "deploy" / "build" / "table.py"))
    source = Path(worker.__path__[0])
    http = {
        ".".join(("forkful.worker", *path.relative_to(source).with_suffix("").parts))
        for path in (source / "http").rglob("*.py")
        if path.name != "__init__.py"
    }

    assert not {*table["COMPILED"]} & {*table["SOURCE"]}
    assert http <= {*table["COMPILED"]} | {*table["SOURCE"]}
    for name in (*table["COMPILED"], *table["SOURCE"]):
        assert source.joinpath(*name.split(".")[2:]).with_suffix(".py").exists(), name
