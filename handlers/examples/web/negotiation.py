"""What of a request chooses the answer for a file: its path, the codings it takes, its conditions, its ranges. Pure.

Can go wrong: a path that leads above the root: `ValueError`. What makes no sense otherwise is as if it were not said.
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_SPAN = r"[ \t]*(?:\d{1,18}-(?:\d{1,18})?|-\d{1,18})[ \t]*"
_RANGES = re.compile(rf"bytes={_SPAN}(?:,{_SPAN})*", re.ASCII | re.IGNORECASE)
_NEVER = re.compile(r";\s*q\s*=\s*0(\.0*)?\s*(;|$)")


def names_of(path: str) -> list[str]:
    """The names on the way to a file, as nginx takes a path: `//` and `/./` are `/`, and `..` takes back a name."""
    names: list[str] = []
    for name in path.split("/"):
        if name == "..":
            if not names:
                raise ValueError("above the root")
            names.pop()
        elif name not in ("", "."):
            names.append(name)
    return names


def codings(accepts: str) -> set[str]:
    """The content codings that an Accept-Encoding takes (RFC 9110 section 12.5.3)."""
    parts = [part for part in accepts.lower().split(",") if not _NEVER.search(part)]
    return {part.partition(";")[0].strip() for part in parts}


def holds(request: Mapping[str, str], etag: str, changed: float) -> bool:
    """If-Match and If-Unmodified-Since (RFC 9110 section 13.2.2): whether the client means what is here."""
    if (tags := request.get("if-match")) is not None:
        return tags.strip() == "*" or etag in [tag.strip() for tag in tags.split(",")]
    try:
        date = request.get("if-unmodified-since")
        return date is None or int(changed) <= parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return True


def ranges(said: str, size: int) -> str:
    """A Range as Starlette may read it; "" where it is as if it were not there.

    Starlette answers 400 to what RFC 9110 (14.2) has us ignore, and 416 where one of several is beyond the end.
    """
    if not _RANGES.fullmatch(said):
        return ""
    spans = [tuple(span.strip().split("-")) for span in said[len("bytes=") :].split(",")]
    if any(first and last and int(last) < int(first) for first, last in spans):
        return ""
    within = [(first, last) for first, last in spans if (int(first) < size if first else int(last) > 0)]
    return "bytes=" + ",".join("-".join(span) for span in within or spans[:1])


def span(wanted: str, size: int) -> tuple[int, int] | None:
    """Where what `ranges` has begins and ends, all of the file without one. None: it is several, or beyond the end."""
    if not wanted:
        return 0, size
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    if "," in last:
        return None
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    return (start, end) if start < end else None
