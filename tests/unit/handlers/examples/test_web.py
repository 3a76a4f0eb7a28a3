"""What chooses the answer for a file, as tables."""

import asyncio
import errno
import os
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Message

from forkful.handlers.examples.web import listing
from forkful.handlers.examples.web.files import Files
from forkful.handlers.examples.web.negotiation import codings, holds, names_of, ranges, span
from forkful.handlers.examples.web.packing import Packer


@pytest.mark.parametrize(
    ("path", "names"),
    [("/", []), ("/a//b/./c/", ["a", "b", "c"]), ("/a/../b", ["b"]), ("/a/b/../..", []), ("/..a/b..", ["..a", "b.."])],
)
def test_a_path_is_taken_as_names(path: str, names: list[str]) -> None:
    assert names_of(path) == names


@pytest.mark.parametrize("path", ["/..", "/a/../..", "/../a", "/a/../../a"])
def test_a_path_does_not_lead_above_the_root(path: str) -> None:
    with pytest.raises(ValueError, match="above"):
        names_of(path)


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("gzip, br;q=0.5", "gzip br"),
        ("gzip;q=0, br", "br"),
        ("GZIP ; q = 0.000", ""),
        ("zstd;q=0.01;x", "zstd"),
        ("", ""),
    ],
)
def test_a_client_names_the_codings_that_it_takes(said: str, taken: str) -> None:
    assert codings(said) - {""} == set(taken.split())


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("bytes=0-4", "bytes=0-4"),
        ("Bytes= 0-4 , -1", "bytes=0-4,-1"),
        ("bytes=0-4,900-", "bytes=0-4"),
        ("bytes=900-", "bytes=900-"),  # 416
        ("bytes=-0", "bytes=-0"),  # as well
        *(
            (said, "")
            for said in ("bytes=4-0", "bytes=", "bytes=-", "bytes=a-b", "items=0-4", "bytes=0-4;", "bytes=٣-٤")
        ),
        ("bytes=" + "9" * 5000 + "-", ""),
    ],
)
def test_a_range_is_read_or_as_if_it_were_not_there(said: str, read: str) -> None:
    assert ranges(said, 100) == read


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("", (0, 100)),
        ("bytes=0-4", (0, 5)),
        ("bytes=0-0", (0, 1)),
        ("bytes=-1", (99, 100)),
        ("bytes=-999", (0, 100)),
        ("bytes=99-", (99, 100)),
        ("bytes=0-999", (0, 100)),
        *((wanted, None) for wanted in ("bytes=100-", "bytes=-0", "bytes=0-1,3-4")),
    ],
)
def test_one_range_is_where_it_begins_and_ends(wanted: str, found: tuple[int, int] | None) -> None:
    assert span(wanted, 100) == found


@pytest.mark.parametrize("date", ["nonsense", "Mon, 01 Jan 99999 00:00:00 GMT", ""])
def test_a_date_that_is_none_is_no_condition(date: str) -> None:
    assert holds({"if-unmodified-since": date}, '"a"', 1e9)


def test_a_file_is_compressed_once_for_each_version_and_not_more_is_kept_than_there_is_room(tmp_path: Path) -> None:
    async def use() -> None:
        packer = Packer(room=200)
        for number in range(20):
            path = tmp_path / f"{number}.txt"
            path.write_text(f"{number} " * 4000)
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                many = await asyncio.gather(*(packer.gzip(file.fileno(), status) for _ in range(5)))
            assert all(packed is many[0] for packed in many)
        assert sum(map(len, packer._kept.values())) <= 200  # noqa: SLF001  # that is the question

    asyncio.run(use())


def test_the_page_of_a_folder_can_be_looked_at_whatever_its_files_are_called(tmp_path: Path) -> None:
    for name in ("<script>alert(1)<", "javascript:alert(1)", "%2e%2e", 'a"b', "a'b", "ä%s", b"\xff\xfe"):
        (tmp_path / os.fsdecode(name)).write_text("x")
    (tmp_path / "big").write_text("x" * 2000)

    shown = listing.page(str(tmp_path), f"{tmp_path}/", ["<b>"], "/m", "size")
    assert "<script" not in shown
    assert "<b>" not in shown
    assert "href='./javascript%3Aalert%281%29'" in shown
    assert "href='./%252e%252e'" in shown
    assert "7 entries" in shown
    assert shown.index(">big<") < shown.index("javascript")


def got(app: ASGIApp, path: str) -> tuple[int, dict[bytes, bytes]]:
    """Status and fields of an answer."""
    said: list[Message] = []

    async def tell(message: Message) -> None:
        said.append(message)

    async def nothing() -> Message:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "query_string": b"", "headers": []}
    asyncio.run(app(scope, nothing, tell))  # type: ignore[arg-type]  # a coroutine it is
    return said[0]["status"], dict(said[0]["headers"])


@pytest.mark.parametrize(
    ("trouble", "status"), [(errno.EMFILE, 503), (errno.ENFILE, 503), (errno.ENOENT, 404), (errno.ENAMETOOLONG, 404)]
)
def test_a_file_that_cannot_be_opened_for_now_is_not_said_to_be_gone(
    trouble: int, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("here")
    app = Files(str(tmp_path))

    def fails(*_: object) -> int:
        raise OSError(trouble, "no")

    monkeypatch.setattr("forkful.handlers.examples.web.files.os.open", fails)
    code, fields = got(app, "/a.txt")
    monkeypatch.undo()

    assert code == status
    assert (b"retry-after" in fields) == (status == 503)
