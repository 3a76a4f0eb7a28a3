"""The page of a folder: what is in it, sorted as the reader likes.

Can go wrong: the folder cannot be read: `OSError`. Names that are no UTF-8 are left out: no address leads to them.
"""

import os
import stat
import time
from collections.abc import Iterator
from html import escape
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

#: No script runs on it, and nothing is loaded, whatever the files are called.
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
MOST: Final = 5000  # entries on a page
_PACKED: Final = (".br", ".zst", ".gz")
_PAGE: Final = Path(__file__).with_name("listing.html").read_text(encoding="utf-8")


class Entry(NamedTuple):
    """One line."""

    name: str
    is_folder: bool
    size: int
    changed: float


def page(folder: str, below: str, names: list[str], mount: str, by: str) -> str:
    """The page's text. `below`: the root that no link leads out of; `mount`: the path of all this."""
    found = list(islice(_entries(folder, below), MOST + 1))
    entries = sorted(found[:MOST], key=lambda entry: (not entry.is_folder, entry.name.casefold()))
    if by in ("size", "time"):
        entries.sort(key=lambda entry: entry.size if by == "size" else entry.changed, reverse=True)
    up = "<tr><td><a href='../' class=folder>..</a><td><td>" if names else ""
    ways = ["/".join([mount, *names[:depth], ""]) for depth in range(len(names) + 1)]
    crumbs = [f"<a href='{quote(way)}'>{escape(name)}</a>" for way, name in zip(ways, ["top", *names], strict=True)]
    return _PAGE % {
        "title": escape("/".join(["", *names, ""])),
        "crumbs": " / ".join(crumbs),
        "rows": up + "".join(map(_row, entries)),
        "count": f"{len(entries):,} entries" + ", and more that are not shown" * (len(found) > MOST),
    }


def _entries(folder: str, below: str) -> Iterator[Entry]:
    """What may be asked for: nothing hidden, no link that leads out, no compressed variant of what is there itself."""
    with os.scandir(folder) as inside:
        every = {entry.name: entry for entry in inside if not entry.name.startswith(".")}
    for name, entry in every.items():
        leads_out = entry.is_symlink() and not f"{os.path.realpath(entry.path)}/".startswith(below)
        if leads_out or (name.endswith(_PACKED) and name.rpartition(".")[0] in every) or "�" in _text(name):
            continue
        try:
            status = entry.stat()
        except OSError:  # it is gone, or a link to nothing
            continue
        if stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode):
            yield Entry(name, stat.S_ISDIR(status.st_mode), status.st_size, status.st_mtime)


def _text(name: str) -> str:
    return os.fsencode(name).decode(errors="replace")


def _row(entry: Entry) -> str:
    name = entry.name + "/" * entry.is_folder
    size, unit = float(entry.size), "B"
    for greater in ("KB", "MB", "GB", "TB"):
        if size >= 1000:  # noqa: PLR2004  # as disks are sold
            size, unit = size / 1000, greater
    shown = "" if entry.is_folder else f"{size:.{0 if unit == 'B' else 1}f} {unit}"
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(entry.changed))
    # With a dot in front, for `javascript:` is a name, too.
    link = f"<a href='./{quote(name)}'{' class=folder' * entry.is_folder}>{escape(name)}</a>"
    return f"<tr><td>{link}<td>{shown}<td>{when}\n"
